"""Entry point of the Cloud Function, at the root of its archive as the builder requires."""

import logging
import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import flask
import functions_framework
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.envelope import EnvelopeError
from collector.settings import read_secrets
from feed import redact_secrets
from gbfs.collection.systems import list_secrets
from gbfs_collector.instance import Instance, read_task
from gbfs_collector.settings import Settings, load_systems
from gbfs_collector.tick import Services
from telemetry import log, log_as_json, redact_log


@cache
def _get_instance() -> Instance:
    """Return the instance, made by its first request and reused: it keeps connections and the request state."""
    log_as_json()
    settings = Settings.of(os.environ)
    systems = load_systems(Path(__file__).parent)
    services = Services(
        storage=StorageClient(project=settings.project),
        # A job outside of the multi-regions US and EU is only found with its location.
        bigquery=bigquery.Client(project=settings.project, location=settings.location),
        now=lambda: datetime.now(UTC),
    )
    secrets = read_secrets(list_secrets(systems.values()), os.environ)
    redact_log(lambda text: redact_secrets(text, secrets.values()))
    return Instance(settings, systems, services, secrets)


@functions_framework.http
def collect(request: flask.Request) -> tuple[str, int]:
    """Run the task of a pushed message. Returns 204 once everything is stored, 400 for an invalid message."""
    try:
        instance = _get_instance()
        instance.run_task(read_task(request.path, request.get_json(silent=True), instance.settings.shards))
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
