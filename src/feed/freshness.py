"""How old what a response says is: a feed that stopped keeps answering."""

from datetime import datetime, timedelta

from feed.model import Feed
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
