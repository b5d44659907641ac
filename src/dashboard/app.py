"""The service's HTTP side: the page at `/`, its files below `/data` and `/static`, and `/health`."""

import gzip
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import flask
from google.cloud import bigquery
from werkzeug.exceptions import HTTPException

from dashboard.cache import Cache, Document
from dashboard.documents import Documents, UnknownDayError
from dashboard.pages import render_page, static_version
from dashboard.settings import Settings
from dashboard.warehouse import BudgetError, Warehouse
from telemetry import log, log_as_json

STATIC = Path(__file__).parent / "static"
# A settled day changes when a backfill or a rebuild loads it: the ETag makes asking again cheap.
SETTLED = "private, max-age=3600"
FOREVER = "private, max-age=31536000, immutable"
REVALIDATE = "private, no-cache"
USED_UP = "what may be read in a day is used up; what was read before can still be opened"
BINARY = "application/octet-stream"
# Nothing is loaded from anywhere else, and nobody may frame the page.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_app(
    settings: Settings | None = None,
    client: Callable[[], bigquery.Client] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> flask.Flask:
    """Return the application; what is not given comes from the environment."""
    log_as_json()
    known = settings or Settings.of(os.environ)
    app = flask.Flask("dashboard", static_folder=None)
    documents = _documents(known, client or cache(bigquery.Client), now)
    _add_data(app, documents)
    _add_page(app, documents)

    @app.get("/health")
    @app.get("/healthz")
    def health() -> dict[str, Any]:
        if known.public:  # what is left of the allowance is nobody's business
            return {"status": "ok"}
        return {"status": "ok", "cache_bytes": documents.cache.size, **documents.warehouse.usage()}

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        response.headers.extend(HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[dict[str, object], int]:
        return {"error": error.name, "detail": error.description}, error.code or 500

    @app.errorhandler(BudgetError)
    def refuse_for_today(error: BudgetError) -> tuple[dict[str, str], int]:
        log(logging.WARNING, f"{flask.request.path}: {error}")
        return {"error": "Service Unavailable", "detail": USED_UP}, 503

    @app.errorhandler(Exception)
    def fail(error: Exception) -> tuple[dict[str, str], int]:
        log(logging.ERROR, f"{flask.request.path} failed: {error}", exc_info=True)
        return {
            "error": "Service Unavailable",
            "detail": "the data cannot be read, and none is known yet",
        }, 503

    return app


def _documents(
    settings: Settings, client: Callable[[], bigquery.Client], now: Callable[[], datetime]
) -> Documents:
    warehouse = Warehouse(
        client, now, max_query_bytes=settings.max_query_bytes, daily_bytes=settings.daily_bytes
    )
    return Documents(settings, warehouse, Cache(settings.cache_bytes, now), now)


def _add_data(app: flask.Flask, documents: Documents) -> None:
    files = {"now": documents.newest, "stations": documents.stations, "status": documents.status}

    @app.get("/data/<any(now, stations, status):name>.json")
    def serve_json(name: str) -> flask.Response:
        return _respond(files[name](), "application/json", REVALIDATE)

    @app.get("/data/week.bin")
    def serve_week() -> flask.Response:
        return _respond(documents.week(), BINARY, REVALIDATE)

    @app.get("/data/<day>.bin")
    def serve_day(day: str) -> flask.Response:
        try:
            found = date.fromisoformat(day)
            document = documents.day(found)
        except UnknownDayError as error:
            flask.abort(404, str(error))
        except ValueError:
            flask.abort(404, f"a day such as 2026-11-24 is expected, found {day!r}")
        return _respond(document, BINARY, SETTLED if documents.is_settled(found) else REVALIDATE)


def _add_page(app: flask.Flask, documents: Documents) -> None:
    @app.get("/")
    def serve_page() -> flask.Response:
        try:
            data = [
                json.loads(gzip.decompress(each().body)) for each in (documents.stations, documents.newest)
            ]
        except Exception as error:  # noqa: BLE001 - whatever stands in the way, the page says so
            log(logging.ERROR, f"the page has no data: {error}", exc_info=True)
            data = [{}, {}]
        content = render_page(STATIC, *data, now=documents.now(), zone=documents.settings.time_zone)
        response = flask.Response(content, mimetype="text/html")
        response.headers["Cache-Control"] = REVALIDATE
        return response

    @app.get("/static/<version>/<any('page.js', 'page.css'):name>")
    def serve_static(version: str, name: str) -> flask.Response:
        current = version == static_version(STATIC)
        response = flask.send_file(STATIC / name, max_age=0)
        response.headers["Cache-Control"] = FOREVER if current else REVALIDATE
        return response


def _respond(document: Document, kind: str, caching: str) -> flask.Response:
    """Answer with a document, or 304 where the caller has it; one that could not be renewed says so."""
    response = flask.Response(mimetype=kind)
    response.set_etag(document.etag)
    response.headers["Cache-Control"] = REVALIDATE if document.failed else caching
    response.headers["Last-Modified"] = document.made_at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    response.headers["Vary"] = "Accept-Encoding"
    if document.failed:
        response.headers["Warning"] = '110 - "Response is Stale"'
    if document.etag in flask.request.if_none_match:
        response.status_code = 304
    elif "gzip" in flask.request.headers.get("Accept-Encoding", ""):
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(document.body)
    else:
        response.set_data(gzip.decompress(document.body))
    return response
