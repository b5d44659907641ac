"""Entry point of the Cloud Function; at the root of its archive, as the builder expects."""

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
from collector.settings import Settings, secrets_of
from collector.tick import Services, collect_tick
from feed import Feed, load_feed
from telemetry import log, log_as_json, redact_log


@cache
def _instance() -> tuple[Settings, Feed, Services]:
    """Made by an instance's first request, and kept: connections are what costs."""
    log_as_json()
    settings = Settings.of(os.environ)
    feed = load_feed(Path(__file__).parent / settings.source_folder)
    services = Services(
        api=make_session(),
        storage=StorageClient(project=settings.project),
        # Without its location, a job outside of the multi-regions US and EU is not found again.
        bigquery=bigquery.Client(project=settings.project, location=settings.location),
        secrets=secrets_of(feed.secrets, os.environ),
    )
    redact_log(services.redact)
    return settings, feed, services


@functions_framework.http
def collect(request: flask.Request) -> tuple[str, int]:
    """Collect the tick of a pushed message: 204 when all is stored, 400 for what is no message."""
    try:
        settings, feed, services = _instance()
        collect_tick(settings, feed, services, read_delivery(request.get_json(silent=True)))
    except EnvelopeError as error:
        log(logging.ERROR, f"refused: {error}")
        return str(error), 400
    except Exception as error:
        log(logging.ERROR, f"not collected, to be delivered again: {error}", exc_info=True)
        raise
    return "", 204
