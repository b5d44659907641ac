"""The HTTP endpoints of the copier: `POST /sweep`, and `GET /health` or `/healthz`. All responses are JSON."""

import logging
import os
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path

import flask
from google.cloud.storage import Client as StorageClient
from requests.adapters import HTTPAdapter
from werkzeug.exceptions import HTTPException

from copier.settings import Settings
from copier.sweep import sweep_landing_bucket
from feed import Feed, load_feeds
from telemetry import log, log_as_json

SOURCES = Path(__file__).parent.parent / "sources"


def create_app(
    settings: Settings | None = None, client: StorageClient | None = None, feeds: list[Feed] | None = None
) -> flask.Flask:
    """Return the application; settings and feeds that are not given come from the environment and the image."""
    log_as_json()
    app = flask.Flask("copier")
    known = settings or Settings.of(os.environ)
    old = feeds if feeds is not None else [feed for feed in load_feeds(SOURCES).values() if feed.legacy]

    @cache
    def storage() -> StorageClient:
        return client or _make_client(known.threads)

    # Cloud Run reserves some paths that end with z: its probes reach /healthz, other callers may not.
    @app.get("/health")
    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/sweep")
    def run_sweep() -> tuple[dict[str, object], int]:
        started = time.monotonic()
        done = sweep_landing_bucket(storage(), known, old, time.monotonic)
        counts = {**asdict(done), "seconds": round(time.monotonic() - started, 3)}
        severity = logging.WARNING if done.refused or done.failed else logging.INFO
        message = f"sweep: {done.moved} moved, {done.retained} retained, {done.refused} refused, {done.failed} failed"
        log(severity, message, event="swept", **counts)
        # A status other than 2xx makes Cloud Scheduler retry before the next scheduled sweep.
        return counts, 500 if done.failed else 200

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[dict[str, object], int, list[tuple[str, str]]]:
        headers = [(name, value) for name, value in error.get_headers() if name == "Allow"]
        return {"error": error.name, "detail": error.description}, error.code or 500, headers

    @app.errorhandler(Exception)
    def fail(error: Exception) -> tuple[dict[str, str], int]:
        log(logging.ERROR, f"sweep failed: {error}", exc_info=True)
        return {"error": "Internal Server Error", "detail": str(error)[:500]}, 500

    return app


def _make_client(threads: int) -> StorageClient:
    """Return a client with a connection for each thread; the default pool of 10 would discard the others."""
    client = StorageClient()
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=threads)
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, adapter)
    return client
