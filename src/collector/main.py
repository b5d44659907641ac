"""Entry point of the Cloud Function, at the root of its archive, where the builder expects it."""

import logging
import os
from functools import cache
from pathlib import Path

import flask
import functions_framework
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.api import make_session
from collector.envelope import EnvelopeError, read_delivery
from collector.settings import Settings, read_secrets
from collector.tick import Services, collect_tick
from feed import Feed, load_feed
from telemetry import log, log_as_json, redact_log


@cache
def _get_instance() -> tuple[Settings, Feed, Services]:
    """Return settings, feed and clients; made by the first request of an instance, so that connections are reused."""
    log_as_json()
    settings = Settings.of(os.environ)
    feed = load_feed(Path(__file__).parent / settings.source_folder)
    services = Services(
        api=make_session(),
        storage=StorageClient(project=settings.project),
        # BigQuery finds a job outside of the multi-regions US and EU only if its location is given.
        bigquery=bigquery.Client(project=settings.project, location=settings.location),
        secrets=read_secrets(feed.secrets, os.environ),
    )
    redact_log(services.redact)
    return settings, feed, services


@functions_framework.http
def collect(request: flask.Request) -> tuple[str, int]:
    """Collect the tick of a pushed message: 204 if all is stored, 400 if the body is no Pub/Sub message."""
    try:
        settings, feed, services = _get_instance()
        collect_tick(settings, feed, services, read_delivery(request.get_json(silent=True)))
    except EnvelopeError as error:
        log(
            logging.ERROR,
            f"invalid message (status 400), which Pub/Sub redelivers until it is a dead letter: {error}",
        )
        return str(error), 400
    except Exception as error:
        log(logging.ERROR, f"collection failed; Pub/Sub will redeliver the message: {error}", exc_info=True)
        raise
    return "", 204
