"""Decide from an object's name what to do with it. Pure: no client, no clock."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from feed import (
    Feed,
    archive_name,
    landing_name,
    parse_legacy_name,
    parse_object_name,
    parse_rejected_name,
    parse_wait_marker_name,
    rejected_archive_name,
)
from feed.parsing.compression import MIB

# Legacy objects are held in memory, `threads` at a time; a real response has about 300 kB.
MAX_LEGACY_BYTES = 4 * MIB  # as stored, and decompressed


@dataclass(frozen=True)
class Landed:
    """An object with a landing name: it is copied unchanged, under the same tick."""

    destination: str
    tick: datetime


@dataclass(frozen=True)
class Legacy:
    """An object with an old name in local time; of two candidate ticks, content and creation time decide."""

    feed: Feed
    candidates: tuple[datetime, ...]


@dataclass(frozen=True)
class WaitMarker:
    """A wait marker: it is deleted when its minute is over."""

    minute: datetime


@dataclass(frozen=True)
class Refused:
    """An object that is not archived, and why."""

    reason: str


Plan = Landed | Legacy | WaitMarker | Refused


def plan_object(name: str, size: int, feeds: Iterable[Feed]) -> Plan:
    """Return what to do with the object `name` of `size` bytes; `feeds` are those that had old names."""
    if name.endswith("/"):
        return Refused("a folder placeholder, not a response")
    if size == 0:
        return Refused("empty: a response has at least one byte")
    if (auxiliary := _plan_auxiliary(name)) is not None:
        return auxiliary
    try:
        feed_name, tick = parse_object_name(name)
    except ValueError:
        return _plan_legacy(name, size, feeds)
    if name != landing_name(feed_name, tick):
        return Refused("an object with an archive name in the landing bucket")
    return Landed(archive_name(feed_name, tick), tick)


def _plan_auxiliary(name: str) -> Plan | None:
    """Return what to do with a wait marker or a rejected response; None for any other object."""
    with suppress(ValueError):
        return WaitMarker(parse_wait_marker_name(name)[1])
    with suppress(ValueError):
        feed_name, tick = parse_rejected_name(name)
        return Landed(rejected_archive_name(feed_name, tick), tick)
    return None


def _plan_legacy(name: str, size: int, feeds: Iterable[Feed]) -> Plan:
    for feed in feeds:
        try:
            candidates = parse_legacy_name(feed, name.rpartition("/")[2])
        except ValueError:
            continue
        if not candidates:
            return Refused(
                f"its local time does not exist: summer time began in the time zone of {feed.name}"
            )
        if size > MAX_LEGACY_BYTES:
            return Refused(
                f"a legacy object of {size} bytes; at most {MAX_LEGACY_BYTES} are supported: "
                "archive it by hand or delete it"
            )
        return Legacy(feed, candidates)
    return Refused("unknown name; expected <feed>/<YYYYMMDD>T<HHMMSS>Z.json.gz, or an old name of a feed")
