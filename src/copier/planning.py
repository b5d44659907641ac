"""From an object's name to what must be done with it. Pure: no client, no clock."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from feed import (
    Feed,
    archive_name,
    landing_name,
    legacy_ticks,
    rejected_archive_name,
    rejected_tick,
    tick_of,
    waiting_minute,
)
from feed.raw import MIB

# An old object goes through this process's memory, `threads` at a time; a real answer has some 300 kB.
MAX_LEGACY_BYTES = 4 * MIB  # as it is stored, and unpacked


@dataclass(frozen=True)
class Landed:
    """An object under a landing name: its bytes are archived as they are, under the same tick."""

    destination: str
    tick: datetime


@dataclass(frozen=True)
class Legacy:
    """An object under an old name in local time; of two `candidates`, evidence decides."""

    feed: Feed
    candidates: tuple[datetime, ...]


@dataclass(frozen=True)
class Note:
    """The collector's note of a minute in which nothing may be requested: of no use when that is over."""

    minute: datetime


@dataclass(frozen=True)
class Refused:
    """An object that is left where it is, and why."""

    reason: str


Plan = Landed | Legacy | Note | Refused


def plan(name: str, size: int, feeds: Iterable[Feed]) -> Plan:
    """Return what to do with the object `name` of `size` bytes; `feeds` are those with old names."""
    if name.endswith("/"):
        return Refused("a folder's marker, not an answer")
    if size == 0:
        return Refused("empty: no answer is 0 bytes long")
    if (beside := _plan_beside(name)) is not None:
        return beside
    try:
        feed_name, tick = tick_of(name)
    except ValueError:
        return _plan_legacy(name, size, feeds)
    if name != landing_name(feed_name, tick):
        return Refused("an archive name in the landing bucket")
    return Landed(archive_name(feed_name, tick), tick)


def _plan_beside(name: str) -> Plan | None:
    """What to do with what the collector keeps beside the responses of ticks, None for anything else."""
    with suppress(ValueError):
        return Note(waiting_minute(name)[1])
    with suppress(ValueError):
        feed_name, tick = rejected_tick(name)
        return Landed(rejected_archive_name(feed_name, tick), tick)
    return None


def _plan_legacy(name: str, size: int, feeds: Iterable[Feed]) -> Plan:
    for feed in feeds:
        try:
            candidates = legacy_ticks(feed, name.rpartition("/")[2])
        except ValueError:
            continue
        if not candidates:
            return Refused(f"a local time that did not exist: the clock of {feed.name} went forward")
        if size > MAX_LEGACY_BYTES:
            return Refused(
                f"{size} bytes under an old name: at most {MAX_LEGACY_BYTES} are moved; "
                "archive it by hand or delete it"
            )
        return Legacy(feed, candidates)
    return Refused(
        "not a name that is known here: <feed>/<YYYYMMDD>T<HHMMSS>Z.json.gz, or a feed's old names"
    )
