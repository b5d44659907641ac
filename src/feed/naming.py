"""Make and parse the names of stored objects. All times are UTC."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from feed.model import Feed

# Tables, views and other resources that every stack has.
RESERVED_NAMES = frozenset(
    {
        *(
            "quarantine",
            "batch_runs",
            "empty_responses",
            "availability",
            "availability_now",
            "minutes_present",
            "dataset",
            "views",
        ),
        # Of GBFS systems: gbfs.tables.
        *("polls", "station_status", "station_status_changes", "systems", "station_information"),
        *("rejected", "waits"),  # folders of the landing bucket
    }
)
FEED_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LANDING = re.compile(r"(?P<feed>[a-z][a-z0-9_]{0,62})/(?P<stamp>[0-9]{8}T[0-9]{6}Z)\.json\.gz")
_ARCHIVE = re.compile(
    r"feed=(?P<feed>[a-z][a-z0-9_]{0,62})/date=[0-9-]{10}/hour=[0-9]{2}/(?P<stamp>[0-9]{8}T[0-9]{6}Z)\.json\.gz"
)
_REJECTED = re.compile(r"rejected/(?P<feed>[a-z][a-z0-9_]{0,62})/(?P<stamp>[0-9]{8}T[0-9]{6}Z)\.gz")
_WAIT = re.compile(r"waits/(?P<feed>[a-z][a-z0-9_]{0,62})/(?P<stamp>[0-9]{8}T[0-9]{6}Z)")
# How far clocks may differ, and how long after its tick an object may be stored.
_CLOCK_SKEW = timedelta(minutes=5)
_STORED_WITHIN = timedelta(hours=1)


def landing_name(feed_name: str, tick: datetime) -> str:
    """Return `<feed>/20231026T205000Z.json.gz`. Raises ValueError for a tick without time zone or with microseconds."""
    return f"{_check_feed_name(feed_name)}/{_format_stamp(tick)}.json.gz"


def archive_name(feed_name: str, tick: datetime) -> str:
    """Return `feed=<feed>/date=2023-10-26/hour=20/20231026T205000Z.json.gz`. Raises ValueError as landing_name."""
    stamp = _format_stamp(tick)
    return f"{archive_prefix(feed_name, _to_utc(tick).date())}hour={stamp[9:11]}/{stamp}.json.gz"


def archive_prefix(feed_name: str, day: date) -> str:
    """Return `feed=<feed>/date=2023-10-26/`, the prefix of one UTC day's objects."""
    return f"feed={_check_feed_name(feed_name)}/date={date(day.year, day.month, day.day).isoformat()}/"


def rejected_name(feed_name: str, tick: datetime) -> str:
    """Return `rejected/<feed>/20231026T205000Z.gz`, for an unusable response that a later one replaced."""
    return f"rejected/{_check_feed_name(feed_name)}/{_format_stamp(tick)}.gz"


def rejected_archive_name(feed_name: str, tick: datetime) -> str:
    """Return `rejected/feed=<feed>/date=2023-10-26/20231026T205000Z.gz`, which the batch does not list."""
    return f"rejected/{archive_prefix(feed_name, _to_utc(tick).date())}{_format_stamp(tick)}.gz"


def wait_marker_name(feed_name: str, minute: datetime) -> str:
    """Return `waits/<feed>/20231026T205000Z`: the note that nothing may be requested in that minute."""
    return f"waits/{_check_feed_name(feed_name)}/{_format_stamp(_to_utc(minute).replace(second=0, microsecond=0))}"


def parse_rejected_name(name: str) -> tuple[str, datetime]:
    """Return (feed, tick) of a `rejected_name`. Raises ValueError for any other name."""
    return _parse_name(_REJECTED, name, rejected_name)


def parse_wait_marker_name(name: str) -> tuple[str, datetime]:
    """Return (feed, minute) of a `wait_marker_name`. Raises ValueError for any other name."""
    return _parse_name(_WAIT, name, wait_marker_name)


def _parse_name(
    pattern: re.Pattern[str], name: str, name_of: Callable[[str, datetime], str]
) -> tuple[str, datetime]:
    if match := pattern.fullmatch(name):
        with suppress(ValueError):  # the 31st of February
            moment = datetime.fromisoformat(match["stamp"])
            if name_of(match["feed"], moment) == name:
                return match["feed"], moment
    raise ValueError(f"{name[:200]!r} does not match {pattern.pattern}")


def parse_object_name(name: str) -> tuple[str, datetime]:
    """Return (feed, tick) of a landing or archive name. Raises ValueError for any other name."""
    is_landing = _LANDING.fullmatch(name)
    match = is_landing or _ARCHIVE.fullmatch(name)
    if match:
        try:
            # Ten times as fast as strptime.
            tick = datetime.fromisoformat(match["stamp"])
        except ValueError:  # the 31st of February
            pass
        else:
            name_of = landing_name if is_landing else archive_name
            if name == name_of(match["feed"], tick):
                return match["feed"], tick
    raise ValueError(
        f"{name[:200]!r} is not the name of a stored response; expected <feed>/20231026T205000Z.json.gz"
        " or feed=<feed>/date=2023-10-26/hour=20/20231026T205000Z.json.gz"
    )


def parse_legacy_name(feed: Feed, name: str) -> tuple[datetime, ...]:
    """Return the UTC times that an old local-time name can mean: none (skipped hour), one, or two (repeated hour).

    Raises ValueError if the name does not match the feed's old pattern, or the feed has none.
    """
    legacy = feed.legacy
    if legacy is None:
        raise ValueError(f"{name[:200]!r} cannot be a legacy name: {feed.name} has no [legacy] section")
    try:
        local = datetime.strptime(name, legacy.pattern)  # noqa: DTZ007 - local time by its nature; zoned below
    except ValueError:
        local = None
    # strptime is lenient (single digits, spaces), so the name must also be what strftime gives.
    if local is None or local.strftime(legacy.pattern) != name:
        raise ValueError(
            f"{name[:200]!r} does not match the legacy pattern {legacy.pattern!r} of {feed.name}"
        )
    both = {local.replace(tzinfo=legacy.zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(tick for tick in both if tick.astimezone(legacy.zone).replace(tzinfo=None) == local))


def choose_tick(
    candidates: Sequence[datetime], report_times: Iterable[datetime], created: datetime | None
) -> datetime:
    """Return the tick of a legacy object from its candidates, by the times in its response and its creation time.

    Clocks may differ by 5 minutes, and times after the last candidate are ignored. A response has no time after its
    tick. So the tick is:

    1. the second candidate, if a time in the response is after the first one;
    2. else the candidate within 5 minutes of which the object was created, however old the response is;
    3. else the first candidate, if the newest time is at most an hour before it;
    4. else, if the object was created between the first candidate and an hour after the last one, the newest candidate
       before the creation;
    5. else the last candidate: in the repeated hour, the second response overwrote the first.

    Raises ValueError without candidates.
    """
    if not candidates:
        raise ValueError(
            "no candidates: this local time does not exist, because clocks went forward to daylight saving time"
        )
    *_, last = ticks = sorted(candidates)
    newest = max((at for at in report_times if at <= last + _CLOCK_SKEW), default=None)
    if newest is not None and newest > ticks[0] + _CLOCK_SKEW:
        return next(tick for tick in ticks if newest <= tick + _CLOCK_SKEW)
    for tick in ticks:
        if created is not None and abs(created - tick) <= _CLOCK_SKEW:
            return tick
    if newest is not None and newest >= ticks[0] - _STORED_WITHIN:
        return ticks[0]
    if created is not None and ticks[0] - _CLOCK_SKEW <= created <= last + _STORED_WITHIN:
        return [tick for tick in ticks if tick - _CLOCK_SKEW <= created][-1]
    return last


def _check_feed_name(name: str) -> str:
    if not FEED_NAME.fullmatch(name):
        raise ValueError(
            f"feed name {name[:80]!r}: expected lower-case letters, digits and _, such as vlille_ogc"
        )
    return name


def _to_utc(tick: datetime) -> datetime:
    if tick.tzinfo is None:
        raise ValueError(f"tick {tick} has no time zone; expected UTC")
    return tick.astimezone(UTC)


def _format_stamp(tick: datetime) -> str:
    utc = _to_utc(tick)
    if utc.microsecond:
        raise ValueError(f"tick {tick} has microseconds; expected a whole second")
    # strftime takes nearly twice as long, and the batch checks the name of each object.
    return f"{utc.isoformat()[:19].replace('-', '').replace(':', '')}Z"
