"""Detect stale and frozen feeds: an API that repeats an old response."""

import hashlib
from datetime import datetime, timedelta

from feed.model import Condition, Feed
from feed.parsing.outcome import Outcome

# A station's clock may be ahead of ours; times further ahead are ignored.
CLOCK_SKEW = timedelta(minutes=5)


def find_newest_report(feed: Feed, outcome: Outcome) -> datetime | None:
    """Return the newest `last_reported` of the rows (UTC); None if the feed or the response has none."""
    name = feed.common.last_reported
    if name is None:
        return None
    latest = outcome.collected_at + CLOCK_SKEW
    times = (row[name] for row in outcome.rows)
    return max((at for at in times if at is not None and at <= latest), default=None)


def count_stale_minutes(feed: Feed, outcome: Outcome) -> int | None:
    """Return the minutes since the newest report if they reach the feed's `stale_minutes`, else None."""
    newest = find_newest_report(feed, outcome)
    if newest is None or not feed.stale_minutes:
        return None
    age = (outcome.collected_at - newest) // timedelta(minutes=1)
    return age if age >= feed.stale_minutes else None


def list_changing_columns(feed: Feed) -> tuple[str, ...]:
    """Return the columns that show whether a feed is frozen: bikes, docks and state of each station.

    For a feed with neither bikes nor docks in [common]: all columns except the time of the last report.
    """
    common = feed.common
    if common.num_bikes_available is None and common.num_docks_available is None:
        return tuple(column.name for column in feed.columns if column.name != common.last_reported)
    state = (
        common.is_operational.column
        if isinstance(common.is_operational, Condition)
        else common.is_operational
    )
    names = (common.station_id, common.num_bikes_available, common.num_docks_available, state)
    return tuple(name for name in names if name is not None)


def digest_state(feed: Feed, outcome: Outcome) -> str:
    """Return a digest of the changing columns, independent of the order of rows; "" for a response without rows."""
    if not outcome.rows:
        return ""
    names = list_changing_columns(feed)
    stations = sorted(repr([row[name] for name in names]) for row in outcome.rows)
    return hashlib.sha256("\n".join(stations).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def count_frozen_minutes(feed: Feed, outcome: Outcome, unchanged_since: datetime | None) -> int | None:
    """Return the minutes without any change if they reach the feed's `frozen_minutes`, else None."""
    if unchanged_since is None or not feed.frozen_minutes or not outcome.rows:
        return None
    minutes = (outcome.collected_at - unchanged_since) // timedelta(minutes=1)
    return minutes if minutes >= feed.frozen_minutes else None
