"""The response of one tick: not requested before the API allows it, and again where it is of no use for a moment."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Client as StorageClient

from collector.api import Answer, ApiError
from collector.paging import Ask, fetch_pages
from feed import Feed, Outcome, charset_of, pack, parse, rejected_name
from telemetry import log

TRIES = 3  # requests of a tick whose responses are of no use
FIRST_PAUSE_SECONDS = 1.0  # doubled after each
# A proxy's page, a body that was cut: what may be over in a second. A feed that has changed for good is not.
MOMENTARY = frozenset({"html", "truncated", "trailing_data", "not_json", "not_csv", "empty", "no_records"})
CALL_SECONDS = 30.0
_COUNT = "unusable_responses"


@dataclass(frozen=True)
class Limits:
    """Within which all requests of a tick are made."""

    seconds: float
    size: int


@dataclass(frozen=True)
class Asked:
    """The response that is the tick's, what it gives, and what came before it."""

    answer: Answer
    outcome: Outcome
    first: Answer | None = None  # the first one, where it was of no use and a later one is the tick's


def ask_for_tick(
    feed: Feed,
    ask: Ask,
    url: str,
    tick: datetime,
    limits: Limits,
    *,
    tries: int = TRIES,
    on_error: Callable[[ApiError], None] = lambda _: None,
    redact: Callable[[str], str] = str,
) -> Asked:
    """Return the tick's response: the first that is of use, else the first of all. Raises ApiError.

    `limits` are for all `tries` together. The number of responses that were of no use is kept in the metadata of the
    one that is returned. `on_error` is called with each ApiError, also where an earlier response is returned; `redact`
    takes secrets out of what is logged of a response.
    """
    ends_at = time.monotonic() + limits.seconds
    first: Asked | None = None
    unusable = 0
    for number in range(tries):
        left_s = ends_at - time.monotonic()
        try:
            answer = fetch_pages(feed, ask, url, timeout_s=left_s, max_bytes=limits.size)
        except ApiError as error:
            on_error(error)
            if first is None:
                raise
            break
        outcome = parse(feed, answer.body, tick, charset=charset_of(answer.headers.get("content-type", "")))
        if not is_momentary(outcome):
            return Asked(_counted(answer, unusable), outcome, first.answer if first else None)
        first, unusable = first or Asked(answer, outcome), unusable + 1
        pause_s = FIRST_PAUSE_SECONDS * 2**number
        if number == tries - 1 or ends_at - time.monotonic() <= pause_s:
            break
        reason = redact(outcome.rejections[0].message)
        log(logging.WARNING, f"asked again in {pause_s:g} s: {reason}", event="asked_again", feed=feed.name)
        time.sleep(pause_s)
    if first is None:
        raise ApiError(f"{feed.name}: no request was made")
    return replace(first, answer=_counted(first.answer, unusable))


def is_momentary(outcome: Outcome) -> bool:
    """Whether a response is of no use for a reason that may be over in a moment."""
    return not outcome.is_usable and outcome.rejections[0].reason in MOMENTARY


def unusable_responses(metadata: Mapping[str, str]) -> int:
    """How many responses of the tick were of no use, by the metadata of its raw object."""
    return int(metadata.get(_COUNT, "0"))


def _counted(answer: Answer, unusable: int) -> Answer:
    return replace(answer, metadata=answer.metadata | {_COUNT: str(unusable)}) if unusable else answer


def keep_rejected(client: StorageClient, bucket: str, feed_name: str, tick: datetime, answer: Answer) -> None:
    """Store a response that another one of the same tick replaces."""
    blob = client.bucket(bucket).blob(rejected_name(feed_name, tick))
    blob.metadata = dict(answer.headers)
    try:
        blob.upload_from_string(
            pack(answer.body), content_type="application/gzip", if_generation_match=0, timeout=CALL_SECONDS
        )
    except PreconditionFailed:
        log(logging.INFO, "another delivery of this tick has kept one", object=blob.name)
