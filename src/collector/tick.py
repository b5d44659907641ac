"""Collect one tick: fetch, store, parse, load. Every failure is raised, so that Pub/Sub redelivers the message."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import requests
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.api import ApiError, Response, fetch
from collector.envelope import Delivery
from collector.fetching import TRIES, Limits, fetch_tick_response, is_transient, store_rejected_response
from collector.landing import LandedObject, land_response
from collector.loading import get_utc_now, has_rows, load_rows_once
from collector.paging import FetchUrl
from collector.reporting import report_failure, report_outcome
from collector.retry_after import check_wait_marker, create_wait_markers
from collector.settings import Settings
from collector.station_state import LastState
from feed import (
    VERSION_CHANGED,
    DecompressionError,
    Feed,
    Outcome,
    add_query,
    convert_rows_to_json,
    decompress,
    empty_responses_schema,
    make_empty_response_rows,
    make_rejection_rows,
    make_unreadable_outcome,
    parse_charset,
    parse_response,
    quarantine_schema,
    redact_body,
    redact_secrets,
    resolve_parameters,
    station_schema,
)


@dataclass
class TickMemory:
    """What an instance remembers of earlier ticks."""

    state: LastState = field(default_factory=LastState)
    was_unusable: bool = False  # all responses of the previous tick were, so the reason is not transient


@dataclass(frozen=True)
class Services:
    """The clients that the function uses, made once per instance."""

    api: requests.Session
    storage: StorageClient
    bigquery: bigquery.Client
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # name → value
    now: Callable[[], datetime] = get_utc_now
    memory: TickMemory = field(default_factory=TickMemory)

    def redact(self, text: str) -> str:
        """Return the text without any of the secrets."""
        return redact_secrets(text, self.secrets.values())


def collect_tick(settings: Settings, feed: Feed, services: Services, delivery: Delivery) -> Outcome:
    """Store the response of a tick, load its rows, quarantine what was rejected; return the outcome."""
    started, tick = time.monotonic(), delivery.tick
    landed = land_response(
        services.storage,
        settings.landing_bucket,
        settings.archive_bucket,
        feed.name,
        tick,
        is_redelivery=not delivery.is_first,
        fetch_response=lambda: _fetch_response(settings, feed, services, tick),
    )
    outcome = _parse_landed(feed, landed, tick, settings.api_max_bytes)
    job = f"vlille-{landed.name.split('.')[0].replace('/', '-')}"
    at: dict[str, datetime | str] = {"collected_at": outcome.collected_at}
    of_object = at | {"object": landed.name}
    loads = (
        ("rows", settings.station_table, convert_rows_to_json(feed, outcome), station_schema(feed), at),
        (
            "quarantine",
            settings.quarantine_table,
            make_rejection_rows(outcome, landed.name),
            quarantine_schema(),
            of_object,
        ),
        (
            "empty",
            settings.empty_responses_table,
            make_empty_response_rows(outcome, landed.name),
            empty_responses_schema(),
            of_object,
        ),
    )
    for kind, table, lines, schema, values in loads:
        # The batch may have rebuilt the rows of an existing object, by load jobs with other IDs.
        if lines and (landed.is_new or not has_rows(services.bigquery, table, values)):
            load_rows_once(services.bigquery, table, lines, schema, f"{job}-{kind}-{_short_digest(table)}")
    report_outcome(feed, outcome, landed, time.monotonic() - started, services.redact)
    return outcome


def _fetch_response(settings: Settings, feed: Feed, services: Services, tick: datetime) -> Response:
    """Fetch the response from the API unless a wait marker forbids it; return it with its metadata."""
    bucket = services.storage, settings.landing_bucket
    check_wait_marker(*bucket, feed.name, services.now())

    def handle_error(error: ApiError) -> None:
        report_failure(feed, error)
        create_wait_markers(*bucket, feed.name, services.now(), error)

    fetched = fetch_tick_response(
        feed,
        make_fetch_url(feed, services),
        settings.api_url,
        tick,
        Limits(settings.api_timeout_s, settings.api_max_bytes),
        tries=1 if services.memory.was_unusable else TRIES,
        on_error=handle_error,
        redact=services.redact,
    )
    services.memory.was_unusable = is_transient(fetched.outcome)
    if fetched.rejected is not None:
        store_rejected_response(*bucket, feed.name, tick, fetched.rejected)
    state = services.memory.state.update(*bucket, feed, tick, fetched.outcome)
    response = fetched.response
    versions = [drift.found for drift in fetched.outcome.drifts if drift.kind == VERSION_CHANGED]
    noted = {"gbfs_version": services.redact(versions[0])} if versions else {}
    return replace(response, metadata=response.metadata | noted | (state.metadata if state else {}))


def make_fetch_url(feed: Feed, services: Services) -> FetchUrl:
    """Return the function that fetches a URL with the feed's parameters and headers; its errors contain no secrets."""
    query, headers = (
        resolve_parameters(feed.query, services.secrets),
        resolve_parameters(feed.headers, services.secrets),
    )

    def fetch_url(url: str, seconds: float, size: int) -> Response:
        try:
            response = fetch(
                services.api,
                add_query(url, query),
                timeout_s=seconds,
                max_bytes=size,
                headers=headers,
                redact=services.redact,
            )
        except Exception as error:
            if not services.secrets:
                raise
            name = "" if isinstance(error, ApiError) else f"{type(error).__name__}: "
            message = name + services.redact(str(error))
            status = error.status if isinstance(error, ApiError) else None
            retry_after_s = error.retry_after_s if isinstance(error, ApiError) else None
        else:
            return replace(response, body=redact_body(response.body, services.secrets.values()))
        # Without its cause, whose message has the URL with its secrets.
        raise ApiError(message, status=status, retry_after_s=retry_after_s)

    return fetch_url


def _parse_landed(feed: Feed, landed: LandedObject, tick: datetime, limit: int) -> Outcome:
    try:
        body = decompress(landed.content, limit)
    except DecompressionError as error:
        return make_unreadable_outcome(feed, tick, error)
    return parse_response(feed, body, tick, charset=parse_charset(landed.content_type))


def _short_digest(table: str) -> str:
    """Return a digest of the table's name: a table that was created under a new name needs its own load jobs."""
    return hashlib.sha256(table.encode()).hexdigest()[:8]
