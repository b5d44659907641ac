"""What an instance remembers of files: their ETag, and the first tick at which they may be requested again.

Only responses of stored packs are remembered: a later 304 must mean a body that is kept. The first request of a UTC day
has no condition, so that a day's packs hold all of its bodies. An instance that starts anew knows nothing and requests
everything, which is more than is needed and never wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from gbfs.packs import Fetched
from gbfs.rows import summarize
from gbfs.shards import next_tick, retry_after_seconds
from gbfs_collector.fetching import Request

CONDITIONS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


@dataclass(frozen=True)
class Known:
    """What is known of one file; `conditions` are headers of its next request, for the body of the tick `body_at`."""

    next_tick: datetime
    ttl_seconds: int = 0
    failures: int = 0
    conditions: tuple[tuple[str, str], ...] = ()
    body_at: datetime | None = None


class Memory:
    """The files that an instance has requested, by URL."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def select_due(self, requests: Iterable[Request], tick: datetime) -> list[Request]:
        """Return the requests that may be made at a tick, with the conditions of what is kept already."""
        due = []
        for request in requests:
            known = self._known.get(request.url)
            if known is None:
                due.append(request)
            elif known.next_tick <= tick:
                due.append(_with_conditions(request, known, tick))
        return due

    def remember(self, fetched: Iterable[Fetched], tick: datetime) -> None:
        """Remember the results of the stored pack of a tick."""
        for each in fetched:
            summary = summarize(each)
            before = self._known.get(each.url, Known(tick))
            if before.next_tick > tick:
                continue  # a later tick is known already
            failures = before.failures + 1 if summary.outcome == "failed" else 0
            is_received = summary.outcome == "received"
            # A response 304 of another instance says which body it means, and often its ETag.
            is_news = is_received or (summary.outcome == "unchanged" and not before.conditions)
            ttl_seconds = summary.ttl_seconds if is_received else before.ttl_seconds
            self._known[each.url] = Known(
                next_tick=next_tick(
                    tick,
                    ttl_seconds=ttl_seconds,
                    retry_after_seconds=retry_after_seconds(each.headers, each.fetched_at),
                    failures=failures,
                ),
                ttl_seconds=ttl_seconds,
                failures=failures,
                conditions=_conditions(each) if is_news else before.conditions,
                body_at=(tick if is_received else each.unchanged_since) if is_news else before.body_at,
            )


def _with_conditions(request: Request, known: Known, tick: datetime) -> Request:
    body_at = known.body_at
    if not known.conditions or body_at is None or _day(body_at) != _day(tick):
        return request
    return replace(request, headers=(*request.headers, *known.conditions), unchanged_since=body_at)


def _day(tick: datetime) -> date:
    return tick.astimezone(UTC).date()


def _conditions(each: Fetched) -> tuple[tuple[str, str], ...]:
    found = ((CONDITIONS.get(name.lower()), value) for name, value in each.headers)
    return tuple((name, value) for name, value in found if name)
