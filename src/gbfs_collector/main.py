"""Entry point of the Cloud Function; at the root of its archive, as the builder expects."""

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
from collector.settings import secrets_of
from feed import redacted
from gbfs.roster import secrets_of as secret_names
from gbfs_collector.instance import Instance, read_task
from gbfs_collector.settings import Settings, load_systems
from gbfs_collector.tick import Services
from telemetry import log, log_as_json, redact_log


@cache
def _instance() -> Instance:
    """Made by an instance's first request, and kept: connections and what is remembered are what saves."""
    log_as_json()
    settings = Settings.of(os.environ)
    systems = load_systems(Path(__file__).parent)
    services = Services(
        storage=StorageClient(project=settings.project),
        # Without its location, a job outside of the multi-regions US and EU is not found again.
        bigquery=bigquery.Client(project=settings.project, location=settings.location),
        now=lambda: datetime.now(UTC),
    )
    secrets = secrets_of(secret_names(systems.values()), os.environ)
    redact_log(lambda text: redacted(text, secrets.values()))
    return Instance(settings, systems, services, secrets)


@functions_framework.http
def collect(request: flask.Request) -> tuple[str, int]:
    """Do the task of a pushed message: 204 when all is stored, 400 for what is no message."""
    try:
        instance = _instance()
        instance.run(read_task(request.path, request.get_json(silent=True), instance.settings.shards))
    except EnvelopeError as error:
        log(logging.ERROR, f"refused: {error}")
        return str(error), 400
    except Exception as error:
        log(logging.ERROR, f"collection failed; Pub/Sub will redeliver the message: {error}", exc_info=True)
        raise
    return "", 204
