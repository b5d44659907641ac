"""The HTTP routes: the page at `/`, its files below `/data` and `/static`, and `/health`."""

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

from dashboard.data.cache import Cache, Document
from dashboard.data.documents import Documents, UnknownDayError, UnknownSystemError
from dashboard.data.source import Source
from dashboard.page import ASSETS, render_page, static_version
from dashboard.settings import Settings
from dashboard.warehouse import BudgetError, Warehouse
from telemetry import log, log_as_json

STATIC = Path(__file__).parent / "static"
# A settled day only changes by a backfill or a rebuild: the ETag makes revalidation cheap.
FINAL_DAY = "private, max-age=3600"
FOREVER = "private, max-age=31536000, immutable"
REVALIDATE = "private, no-cache"
USED_UP = "the daily query allowance is used up; data that was loaded before is still available"
BINARY = "application/octet-stream"
# No resources of other origins, and no embedding in frames.
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
    """Return the application; by default with the settings of the environment variables."""
    log_as_json()
    configured = settings or Settings.of(os.environ)
    app = flask.Flask("dashboard", static_folder=None)
    documents = _make_documents(configured, client or cache(bigquery.Client), now)
    _add_data_routes(app, documents)
    if configured.has_systems:
        _add_system_routes(app, documents)
    _add_page_routes(app, documents)

    @app.get("/health")
    @app.get("/healthz")
    def report_health() -> dict[str, Any]:
        if configured.public:  # a public page does not disclose the remaining allowance
            return {"status": "ok"}
        return {"status": "ok", "cache_bytes": documents.cache.size, **documents.warehouse.get_usage()}

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        response.headers.extend(HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> tuple[dict[str, object], int]:
        return {"error": error.name, "detail": error.description}, error.code or 500

    @app.errorhandler(BudgetError)
    def handle_budget_error(error: BudgetError) -> tuple[dict[str, str], int]:
        log(logging.WARNING, f"{flask.request.path}: {error}")
        return {"error": "Service Unavailable", "detail": USED_UP}, 503

    @app.errorhandler(Exception)
    def handle_error(error: Exception) -> tuple[dict[str, str], int]:
        log(logging.ERROR, f"{flask.request.path} failed: {error}", exc_info=True)
        return {
            "error": "Service Unavailable",
            "detail": "the data cannot be read, and no earlier copy is available",
        }, 503

    return app


def _make_documents(
    settings: Settings, client: Callable[[], bigquery.Client], now: Callable[[], datetime]
) -> Documents:
    warehouse = Warehouse(
        client, now, max_query_bytes=settings.max_query_bytes, daily_bytes=settings.daily_bytes
    )
    source = Source(settings.feed, settings.title, settings.licence, settings.time_zone)
    return Documents(settings, source, warehouse, Cache(settings.cache_bytes, now), now)


def _add_data_routes(app: flask.Flask, documents: Documents) -> None:
    files = {"now": documents.get_newest, "stations": documents.get_stations, "status": documents.get_status}

    @app.get("/data/<any(now, stations, status):name>.json")
    def serve_json(name: str) -> flask.Response:
        return _make_response(files[name](), "application/json", REVALIDATE)

    @app.get("/data/week.bin")
    def serve_week() -> flask.Response:
        return _make_response(documents.get_week(), BINARY, REVALIDATE)

    @app.get("/data/<day>.bin")
    def serve_day(day: str) -> flask.Response:
        return _serve_day(documents, day)


def _add_system_routes(app: flask.Flask, documents: Documents) -> None:
    """Add the files of GBFS systems; an ID may have slashes, which a URL has as %2F."""
    app.url_map.merge_slashes = False

    @app.get("/data/systems.json")
    def serve_systems() -> flask.Response:
        return _make_response(documents.get_systems(), "application/json", REVALIDATE)

    @app.get("/data/systems/<path:system>/<any(now, stations):name>.json")
    def serve_system_json(system: str, name: str) -> flask.Response:
        found = _find_system(documents, system)
        document = found.get_newest() if name == "now" else found.get_stations()
        return _make_response(document, "application/json", REVALIDATE)

    @app.get("/data/systems/<path:system>/week.bin")
    def serve_system_week(system: str) -> flask.Response:
        return _make_response(_find_system(documents, system).get_week(), BINARY, REVALIDATE)

    @app.get("/data/systems/<path:system>/<day>.bin")
    def serve_system_day(system: str, day: str) -> flask.Response:
        return _serve_day(_find_system(documents, system), day)


def _find_system(documents: Documents, system: str) -> Documents:
    try:
        return documents.of_system(system)
    except UnknownSystemError as error:
        flask.abort(404, str(error))


def _serve_day(documents: Documents, day: str) -> flask.Response:
    try:
        found = date.fromisoformat(day)
        document = documents.get_day(found)
    except UnknownDayError as error:
        flask.abort(404, str(error))
    except ValueError:
        flask.abort(404, f"found day {day!r}, expected a date such as 2026-11-24")
    return _make_response(document, BINARY, FINAL_DAY if documents.is_final(found) else REVALIDATE)


def _add_page_routes(app: flask.Flask, documents: Documents) -> None:
    @app.get("/")
    def serve_page() -> flask.Response:
        try:
            data = [
                json.loads(gzip.decompress(each().body))
                for each in (documents.get_stations, documents.get_newest)
            ]
        except Exception as error:  # noqa: BLE001 - the page is served without data
            log(logging.ERROR, f"the page is served without data: {error}", exc_info=True)
            data = [{}, {}]
        settings = documents.settings
        content = render_page(
            STATIC, *data, now=documents.now(), zone=settings.time_zone, has_systems=settings.has_systems
        )
        return _make_response(
            Document.from_content(content.encode(), documents.now()), "text/html", REVALIDATE
        )

    started_at = documents.now()
    assets = {name: Document.from_content((STATIC / name).read_bytes(), started_at) for name in ASSETS}

    @app.get(f"/static/<version>/<any({', '.join(map(repr, ASSETS))}):name>")
    def serve_static(version: str, name: str) -> flask.Response:
        current = version == static_version(STATIC)
        return _make_response(assets[name], ASSETS[name], FOREVER if current else REVALIDATE)


def _make_response(document: Document, kind: str, caching: str) -> flask.Response:
    """Return a document, or 304 if the client has it; a stale one has a Warning header."""
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
