"""One tick from the API to the tables. Whatever fails is raised, so that the message is delivered again."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import requests
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.api import Answer, ApiError, fetch
from collector.asking import TRIES, Limits, ask_for_tick, is_momentary, keep_rejected
from collector.envelope import Delivery
from collector.landing import Landed, land
from collector.loading import has_rows, load_once, utc_now
from collector.paging import Ask
from collector.reporting import report_failure, report_outcome
from collector.settings import Settings
from collector.unchanged import LastState
from collector.waiting import note_wait, refuse_early_request
from feed import (
    Feed,
    Outcome,
    RawError,
    charset_of,
    load_rows,
    parse,
    quarantine_rows,
    quarantine_schema,
    redacted,
    station_schema,
    unpack,
    unreadable,
    values_of,
    with_query,
)


@dataclass
class Memory:
    """What an instance knows of the ticks before."""

    state: LastState = field(default_factory=LastState)
    was_unusable: bool = False  # all responses of the tick before, which says that it is not for a moment


@dataclass(frozen=True)
class Services:
    """What the function calls; made once per instance."""

    api: requests.Session
    storage: StorageClient
    bigquery: bigquery.Client
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # name → value
    now: Callable[[], datetime] = utc_now
    memory: Memory = field(default_factory=Memory)

    def redact(self, text: str) -> str:
        """The text without any of the secrets."""
        return redacted(text, self.secrets.values())


def collect_tick(settings: Settings, feed: Feed, services: Services, delivery: Delivery) -> Outcome:
    """Land the tick's answer, load its rows, quarantine what is no row; return what the answer gave."""
    started, tick = time.monotonic(), delivery.tick
    landed = land(
        services.storage,
        settings.landing_bucket,
        settings.archive_bucket,
        feed.name,
        tick,
        is_redelivery=not delivery.is_first,
        ask=lambda: _response(settings, feed, services, tick),
    )
    outcome = _outcome(feed, landed, tick, settings.api_max_bytes)
    job = f"vlille-{landed.name.split('.')[0].replace('/', '-')}"
    at: dict[str, datetime | str] = {"collected_at": outcome.collected_at}
    rows, rejected = load_rows(feed, outcome), quarantine_rows(outcome, landed.name)
    loads = (
        ("rows", settings.station_table, rows, station_schema(feed), at),
        (
            "quarantine",
            settings.quarantine_table,
            rejected,
            quarantine_schema(),
            at | {"object": landed.name},
        ),
    )
    for kind, table, lines, schema, own in loads:
        # An object that was there before may have been rebuilt by the batch, whose jobs have other ids.
        if lines and (landed.is_new or not has_rows(services.bigquery, table, own)):
            load_once(services.bigquery, table, lines, schema, f"{job}-{kind}-{_short_digest(table)}")
    report_outcome(feed, outcome, landed, time.monotonic() - started, services.redact)
    return outcome


def _response(settings: Settings, feed: Feed, services: Services, tick: datetime) -> Answer:
    """Ask the API, where it allows that now; what is kept beside the response goes with it."""
    place = services.storage, settings.landing_bucket
    refuse_early_request(*place, feed.name, services.now())

    def failed(error: ApiError) -> None:
        report_failure(feed, error)
        note_wait(*place, feed.name, services.now(), error)

    asked = ask_for_tick(
        feed,
        request_of(feed, services),
        settings.api_url,
        tick,
        Limits(settings.api_timeout_s, settings.api_max_bytes),
        tries=1 if services.memory.was_unusable else TRIES,
        on_error=failed,
        redact=services.redact,
    )
    services.memory.was_unusable = is_momentary(asked.outcome)
    if asked.first is not None:
        keep_rejected(*place, feed.name, tick, asked.first)
    state = services.memory.state.next(*place, feed, tick, asked.outcome)
    return replace(asked.answer, metadata=asked.answer.metadata | (state.metadata if state else {}))


def request_of(feed: Feed, services: Services) -> Ask:
    """What makes one request of the feed, with its parameters and headers; no message of it has a secret."""
    query, headers = values_of(feed.query, services.secrets), values_of(feed.headers, services.secrets)

    def ask(url: str, seconds: float, size: int) -> Answer:
        try:
            return fetch(
                services.api,
                with_query(url, query),
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
        # Without its cause, whose message has the address.
        raise ApiError(message, status=status, retry_after_s=retry_after_s)

    return ask


def _outcome(feed: Feed, landed: Landed, tick: datetime, limit: int) -> Outcome:
    try:
        body = unpack(landed.packed, limit)
    except RawError as error:
        return unreadable(feed, tick, error)
    return parse(feed, body, tick, charset=charset_of(landed.content_type))


def _short_digest(table: str) -> str:
    """A table made anew under another name is another target, whose rows were not loaded yet."""
    return hashlib.sha256(table.encode()).hexdigest()[:8]
