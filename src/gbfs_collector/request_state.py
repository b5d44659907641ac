"""The request state of an instance: the ETag of each file, and the first tick at which it may be requested again.

Only responses of stored packs are recorded, so that a later 304 refers to a stored body. The first request of a UTC day
is unconditional, so that a day's packs contain all of its bodies. A new instance has no state and requests everything:
more than needed, but correct.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from gbfs.collection.packs import FetchResult
from gbfs.collection.rows import summarize_result
from gbfs.collection.shards import compute_next_tick, parse_retry_after
from gbfs_collector.fetching import Request

CONDITION_HEADERS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


@dataclass(frozen=True)
class FileState:
    """The state of one file; `conditions` are headers of its next request, for the body of the tick `body_at`."""

    next_tick: datetime
    ttl_seconds: int = 0
    failures: int = 0
    conditions: tuple[tuple[str, str], ...] = ()
    body_at: datetime | None = None


class RequestState:
    """The state of each file that an instance has requested, by URL."""

    def __init__(self) -> None:
        self._known: dict[str, FileState] = {}

    def select_due(self, requests: Iterable[Request], tick: datetime) -> list[Request]:
        """Return the requests that may be made at a tick, with conditions where a body is stored."""
        due = []
        for request in requests:
            known = self._known.get(request.url)
            if known is None:
                due.append(request)
            elif known.next_tick <= tick:
                due.append(_add_conditions(request, known, tick))
        return due

    def record(self, fetched: Iterable[FetchResult], tick: datetime) -> None:
        """Record the results of the stored pack of a tick."""
        for each in fetched:
            summary = summarize_result(each)
            previous = self._known.get(each.url, FileState(tick))
            if previous.next_tick > tick:
                continue  # a later tick is already recorded
            failures = previous.failures + 1 if summary.outcome == "failed" else 0
            is_received = summary.outcome == "received"
            # A 304 of another instance names the tick of its body, and often its ETag.
            has_new_body = is_received or (summary.outcome == "unchanged" and not previous.conditions)
            ttl_seconds = summary.ttl_seconds if is_received else previous.ttl_seconds
            self._known[each.url] = FileState(
                next_tick=compute_next_tick(
                    tick,
                    ttl_seconds=ttl_seconds,
                    retry_after_seconds=parse_retry_after(each.headers, each.fetched_at),
                    failures=failures,
                ),
                ttl_seconds=ttl_seconds,
                failures=failures,
                conditions=_make_conditions(each) if has_new_body else previous.conditions,
                body_at=(tick if is_received else each.unchanged_since) if has_new_body else previous.body_at,
            )


def _add_conditions(request: Request, known: FileState, tick: datetime) -> Request:
    body_at = known.body_at
    if not known.conditions or body_at is None or _utc_date(body_at) != _utc_date(tick):
        return request
    return replace(request, headers=(*request.headers, *known.conditions), unchanged_since=body_at)


def _utc_date(tick: datetime) -> date:
    return tick.astimezone(UTC).date()


def _make_conditions(each: FetchResult) -> tuple[tuple[str, str], ...]:
    found = ((CONDITION_HEADERS.get(name.lower()), value) for name, value in each.headers)
    return tuple((name, value) for name, value in found if name)
