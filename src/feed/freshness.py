"""How old what a response says is: a feed that stopped keeps answering."""

import hashlib
from datetime import datetime, timedelta

from feed.model import Condition, Feed
from feed.outcome import Outcome

# A station's clock may be ahead of ours; a time further ahead says nothing of the feed.
_CLOCK_SKEW = timedelta(minutes=5)


def newest_report(feed: Feed, outcome: Outcome) -> datetime | None:
    """The newest `last_reported` of the rows (UTC); None for a feed or a response without one."""
    name = feed.common.last_reported
    if name is None:
        return None
    latest = outcome.collected_at + _CLOCK_SKEW
    times = (row[name] for row in outcome.rows)
    return max((at for at in times if at is not None and at <= latest), default=None)


def stale_minutes(feed: Feed, outcome: Outcome) -> int | None:
    """How many minutes ago the newest station reported, where that is `stale_minutes` of the feed or more."""
    newest = newest_report(feed, outcome)
    if newest is None or not feed.stale_minutes:
        return None
    age = (outcome.collected_at - newest) // timedelta(minutes=1)
    return age if age >= feed.stale_minutes else None


def moving_columns(feed: Feed) -> tuple[str, ...]:
    """The columns of which one changes while a feed is alive: bikes, docks and state of each station.

    Of a feed that names neither bikes nor docks, all but the time of the last report.
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


def state_digest(feed: Feed, outcome: Outcome) -> str:
    """A digest of what moves, whatever the order of the rows; "" for a response without rows."""
    if not outcome.rows:
        return ""
    names = moving_columns(feed)
    stations = sorted(repr([row[name] for name in names]) for row in outcome.rows)
    return hashlib.sha256("\n".join(stations).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def frozen_minutes(feed: Feed, outcome: Outcome, unchanged_since: datetime | None) -> int | None:
    """For how many minutes nothing has moved, where that is `frozen_minutes` of the feed or more."""
    if unchanged_since is None or not feed.frozen_minutes or not outcome.rows:
        return None
    minutes = (outcome.collected_at - unchanged_since) // timedelta(minutes=1)
    return minutes if minutes >= feed.frozen_minutes else None
