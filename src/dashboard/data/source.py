"""What the documents are made from: the environment's feed, or one of its GBFS systems. Pure."""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
# The values of each system in systems.json, beside its time zone.
COLUMNS = (
    "feed",
    "name",
    "operator",
    "country",
    "location",
    "licence",
    "licence_url",
    "attribution",
    "attribution_url",
    "vanished_at",
)


@dataclass(frozen=True)
class Source:
    """What a page shows: the environment's feed (`feed` is its name), or a GBFS system (`feed` is its system_id).

    `ended_at` is when the collection of a system ended.
    """

    feed: str
    title: str
    licence: str
    time_zone: ZoneInfo
    is_system: bool = False
    ended_at: datetime | None = None

    @property
    def prefix(self) -> str:
        """Beginning of the names of its documents in the cache; no two sources have the same names."""
        return f"system {self.feed!r} " if self.is_system else ""

    def limit_time(self, now: datetime) -> datetime:
        """Return the end of the period in which this source has rows: now, or when it ended."""
        return now if self.ended_at is None else min(now, self.ended_at)

    def select_feed(self, first: date, last: date) -> dict[str, str | date]:
        """Return the parameters that every query of a system has; `first` and `last` are UTC days."""
        return {"feed": self.feed, "first": first, "last": last} if self.is_system else {}


def list_systems(rows: Iterable[Row], fallback: ZoneInfo) -> list[dict[str, Any]]:
    """Return the entries of systems.json; a system without a known time zone has `fallback`."""
    return [
        {name: row[name] for name in COLUMNS} | {"time_zone": find_zone(row["time_zone"], fallback).key}
        for row in rows
    ]


@lru_cache(maxsize=1)
def decode_systems(body: bytes) -> dict[str, Source]:
    """Return the systems by ID from systems.json, compressed as it is served."""
    return {each["feed"]: _read_system(each) for each in json.loads(gzip.decompress(body))["systems"]}


def _read_system(values: Row) -> Source:
    ended = values["vanished_at"]
    return Source(
        values["feed"],
        values["name"],
        values["licence"] or values["licence_url"] or "",
        ZoneInfo(values["time_zone"]),
        is_system=True,
        ended_at=None if ended is None else datetime.fromisoformat(ended),
    )


def find_zone(name: str | None, fallback: ZoneInfo) -> ZoneInfo:
    """Return a time zone by the name that a system publishes, which may be none."""
    try:
        return ZoneInfo(name) if name else fallback
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return fallback
