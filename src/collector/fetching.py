"""Fetch the response of one tick, and request again where a response is unusable for a transient reason."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Client as StorageClient

from collector.api import ApiError, Response
from collector.paging import FetchUrl, fetch_pages
from feed import Feed, Outcome, compress, parse_charset, parse_response, rejected_name
from telemetry import log

TRIES = 3  # requests of one tick while its responses are unusable
FIRST_PAUSE_SECONDS = 1.0  # doubled after each request
# An error page of a proxy or a truncated body may be gone a second later; a changed schema is not.
TRANSIENT_REASONS = frozenset(
    {"html", "truncated", "trailing_data", "not_json", "not_csv", "empty", "no_records"}
)
CALL_SECONDS = 30.0
_COUNT_KEY = "unusable_responses"


@dataclass(frozen=True)
class Limits:
    """The limits of all requests of a tick together: seconds, and bytes of the body."""

    seconds: float
    size: int


@dataclass(frozen=True)
class TickResponse:
    """The response that is stored for a tick, and its outcome."""

    response: Response
    outcome: Outcome
    rejected: Response | None = None  # the first, unusable response, if a later one replaced it


def fetch_tick_response(
    feed: Feed,
    fetch_url: FetchUrl,
    url: str,
    tick: datetime,
    limits: Limits,
    *,
    tries: int = TRIES,
    on_error: Callable[[ApiError], None] = lambda _: None,
    redact: Callable[[str], str] = str,
) -> TickResponse:
    """Return the first response that is usable or has a lasting fault; otherwise the first one. Raises ApiError.

    `limits` apply to all `tries` together. The metadata of the returned response counts the unusable ones. `on_error`
    is called with each ApiError, also where an earlier response is returned. `redact` removes secrets from log
    messages.
    """
    deadline = time.monotonic() + limits.seconds
    first: TickResponse | None = None
    unusable = 0
    for number in range(tries):
        left_s = deadline - time.monotonic()
        try:
            response = fetch_pages(feed, fetch_url, url, timeout_s=left_s, max_bytes=limits.size)
        except ApiError as error:
            on_error(error)
            if first is None:
                raise
            break
        charset = parse_charset(response.headers.get("content-type", ""))
        outcome = parse_response(feed, response.body, tick, charset=charset)
        if not is_transient(outcome):
            rejected = first.response if first else None
            return TickResponse(_add_unusable_count(response, unusable), outcome, rejected)
        first, unusable = first or TickResponse(response, outcome), unusable + 1
        pause_s = FIRST_PAUSE_SECONDS * 2**number
        if number == tries - 1 or deadline - time.monotonic() <= pause_s:
            break
        reason = redact(outcome.rejections[0].message)
        message = f"unusable response, requesting again in {pause_s:g} s: {reason}"
        log(logging.WARNING, message, event="request_repeated", feed=feed.name)
        time.sleep(pause_s)
    if first is None:
        raise ApiError(f"{feed.name}: no request was made, because `tries` is {tries}; expected 1 or more")
    return replace(first, response=_add_unusable_count(first.response, unusable))


def is_transient(outcome: Outcome) -> bool:
    """Return whether a response is unusable for a reason that may be gone a moment later."""
    return not outcome.is_usable and outcome.rejections[0].reason in TRANSIENT_REASONS


def count_unusable_responses(metadata: Mapping[str, str]) -> int:
    """Return how many responses of the tick were unusable, as the metadata of its raw object says."""
    return int(metadata.get(_COUNT_KEY, "0"))


def _add_unusable_count(response: Response, unusable: int) -> Response:
    return (
        replace(response, metadata=response.metadata | {_COUNT_KEY: str(unusable)}) if unusable else response
    )


def store_rejected_response(
    client: StorageClient, bucket: str, feed_name: str, tick: datetime, response: Response
) -> None:
    """Store an unusable response that a later one of the same tick replaced."""
    blob = client.bucket(bucket).blob(rejected_name(feed_name, tick))
    blob.metadata = dict(response.headers)
    try:
        blob.upload_from_string(
            compress(response.body),
            content_type="application/gzip",
            if_generation_match=0,
            timeout=CALL_SECONDS,
        )
    except PreconditionFailed:
        log(logging.INFO, "another delivery of this tick has stored its rejected response", object=blob.name)
