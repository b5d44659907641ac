"""Names of stored answers, and the way back from a name to its feed and tick. All times are UTC."""

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
# How far clocks may differ and how long a store may take before a time says nothing of its tick.
_CLOCK_SKEW = timedelta(minutes=5)
_STORED_WITHIN = timedelta(hours=1)


def landing_name(feed_name: str, tick: datetime) -> str:
    """`<feed>/20231026T205000Z.json.gz`; ValueError for a tick without zone or not a whole second."""
    return f"{_feed_name(feed_name)}/{_stamp(tick)}.json.gz"


def archive_name(feed_name: str, tick: datetime) -> str:
    """`feed=<feed>/date=2023-10-26/hour=20/20231026T205000Z.json.gz`; ValueError as landing_name."""
    stamp = _stamp(tick)
    return f"{archive_prefix(feed_name, _utc(tick).date())}hour={stamp[9:11]}/{stamp}.json.gz"


def archive_prefix(feed_name: str, day: date) -> str:
    """`feed=<feed>/date=2023-10-26/`: what one UTC day's objects begin with."""
    return f"feed={_feed_name(feed_name)}/date={date(day.year, day.month, day.day).isoformat()}/"


def rejected_name(feed_name: str, tick: datetime) -> str:
    """`rejected/<feed>/20231026T205000Z.gz`: the first response of a tick where a later one took its place."""
    return f"rejected/{_feed_name(feed_name)}/{_stamp(tick)}.gz"


def rejected_archive_name(feed_name: str, tick: datetime) -> str:
    """`rejected/feed=<feed>/date=2023-10-26/20231026T205000Z.gz`: beside the days that the batch lists."""
    return f"rejected/{archive_prefix(feed_name, _utc(tick).date())}{_stamp(tick)}.gz"


def wait_name(feed_name: str, minute: datetime) -> str:
    """`waits/<feed>/20231026T205000Z`: the note that nothing may be requested in that minute."""
    return f"waits/{_feed_name(feed_name)}/{_stamp(_utc(minute).replace(second=0, microsecond=0))}"


def rejected_tick(name: str) -> tuple[str, datetime]:
    """(feed, tick) of a `rejected_name`; ValueError for any other."""
    return _named(_REJECTED, name, rejected_name)


def waiting_minute(name: str) -> tuple[str, datetime]:
    """(feed, minute) of a `wait_name`; ValueError for any other."""
    return _named(_WAIT, name, wait_name)


def _named(
    pattern: re.Pattern[str], name: str, name_of: Callable[[str, datetime], str]
) -> tuple[str, datetime]:
    if match := pattern.fullmatch(name):
        with suppress(ValueError):  # the 31st of February
            moment = datetime.fromisoformat(match["stamp"])
            if name_of(match["feed"], moment) == name:
                return match["feed"], moment
    raise ValueError(f"{name[:200]!r} is not of the form {pattern.pattern}")


def tick_of(name: str) -> tuple[str, datetime]:
    """(feed, tick) of a landing or archive name; ValueError for any other."""
    is_landing = _LANDING.fullmatch(name)
    match = is_landing or _ARCHIVE.fullmatch(name)
    if match:
        try:
            # Python's own parser of this form takes a tenth of strptime's time.
            tick = datetime.fromisoformat(match["stamp"])
        except ValueError:  # the 31st of February
            pass
        else:
            name_of = landing_name if is_landing else archive_name
            if name == name_of(match["feed"], tick):
                return match["feed"], tick
    raise ValueError(
        f"{name[:200]!r} names no stored answer: expected <feed>/20231026T205000Z.json.gz"
        " or feed=<feed>/date=2023-10-26/hour=20/20231026T205000Z.json.gz"
    )


def legacy_ticks(feed: Feed, name: str) -> tuple[datetime, ...]:
    """The UTC times that an old local-time name can mean: none (skipped hour), one, or two (repeated hour).

    ValueError where the name is not of the feed's old pattern, or it has none.
    """
    legacy = feed.legacy
    if legacy is None:
        raise ValueError(f"{feed.name} has no [legacy] names: {name[:200]!r} cannot be one")
    try:
        local = datetime.strptime(name, legacy.pattern)  # noqa: DTZ007 - local time by its nature; zoned below
    except ValueError:
        local = None
    # strptime is lenient (one digit, spaces): only the exact way back counts.
    if local is None or local.strftime(legacy.pattern) != name:
        raise ValueError(f"{name[:200]!r} is not of {feed.name}'s old pattern {legacy.pattern!r}")
    both = {local.replace(tzinfo=legacy.zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(tick for tick in both if tick.astimezone(legacy.zone).replace(tzinfo=None) == local))


def choose_tick(
    candidates: Sequence[datetime], answer_times: Iterable[datetime], created: datetime | None
) -> datetime:
    """Which of an old name's candidates is meant: by times in the answer and by the object's creation.

    An answer cannot hold a time after its tick, so a time after the first candidate means the second. Else
    an object created within minutes of a candidate is that one's, however stale its answer was; an answer
    from the hour before the first means the first. Without evidence it is the last candidate: in the old
    layout the second answer of a repeated hour overwrote the first, under the same name. ValueError
    without candidates.
    """
    if not candidates:
        raise ValueError("no candidates: this local time never was (summer time had just begun)")
    *_, last = ticks = sorted(candidates)
    newest = max((at for at in answer_times if at <= last + _CLOCK_SKEW), default=None)
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


def _feed_name(name: str) -> str:
    if not FEED_NAME.fullmatch(name):
        raise ValueError(f"feed name {name[:80]!r}: expected small letters, digits and _, such as vlille_ogc")
    return name


def _utc(tick: datetime) -> datetime:
    if tick.tzinfo is None:
        raise ValueError(f"tick {tick} has no zone: expected UTC")
    return tick.astimezone(UTC)


def _stamp(tick: datetime) -> str:
    utc = _utc(tick)
    if utc.microsecond:
        raise ValueError(f"tick {tick} is no whole second")
    return f"{utc.year:04d}{utc:%m%dT%H%M%SZ}"
