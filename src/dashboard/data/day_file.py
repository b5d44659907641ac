"""Encode and decode the binary file of a day, with the bikes and docks of all stations. Pure: no client, no clock.

Format: b"VLD1", the length of the header (4 bytes, little-endian), the header as JSON, then a byte per station and
minute for the bikes, then the same for the docks. Station-major order, which compresses well. 255 means unknown;
numbers above 254 are stored as 254.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

MAGIC = b"VLD1"
UNKNOWN, LARGEST = 255, 254


@dataclass(frozen=True)
class LocalDay:
    """A calendar day in a time zone: its first minute (UTC) and its number of minutes (1,380 to 1,500)."""

    day: date
    start: datetime
    minutes: int

    @classmethod
    def from_date(cls, day: date, zone: ZoneInfo) -> "LocalDay":
        """Return the day of a date."""
        start, end = (
            datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, day + timedelta(days=1))
        )
        return cls(day, start, int((end - start).total_seconds()) // 60)

    @property
    def end(self) -> datetime:
        """The first minute of the next day (UTC)."""
        return self.start + timedelta(minutes=self.minutes)


@dataclass(frozen=True)
class Day:
    """A decoded file: `bikes` and `docks` have a byte per station and minute, station-major."""

    day: LocalDay
    stations: tuple[str, ...]
    bikes: bytes
    docks: bytes


def encode_day(day: LocalDay, series: Mapping[str, str]) -> bytes:
    """Encode a day.

    `series` maps stations to `minute:bikes:docks` for each minute with a row, separated by commas. Minutes count from
    the start of the day; an unknown number is empty. Raises ValueError if an entry is malformed.
    """
    stations = sorted(series)
    bikes, docks = (bytearray([UNKNOWN]) * (len(stations) * day.minutes) for _ in range(2))
    for index, station in enumerate(stations):
        if not series[station]:
            continue
        base, values = index * day.minutes, series[station].replace(":", ",").split(",")
        numbers = (map(_clamp_to_byte, values[plane::3]) for plane in (1, 2))
        for minute, available, free in zip(map(int, values[::3]), *numbers, strict=True):
            if 0 <= minute < day.minutes:
                bikes[base + minute], docks[base + minute] = available, free
    header = json.dumps(
        {
            "day": day.day.isoformat(),
            "start": int(day.start.timestamp()),
            "minutes": day.minutes,
            "stations": stations,
        },
        separators=(",", ":"),
    ).encode()
    return MAGIC + struct.pack("<I", len(header)) + header + bytes(bikes) + bytes(docks)


def decode_day(content: bytes) -> Day:
    """Decode a file. Raises ValueError if it is malformed."""
    if content[:4] != MAGIC:
        raise ValueError(f"the file begins with {content[:4]!r}, expected {MAGIC!r}")
    (length,) = struct.unpack_from("<I", content, 4)
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    stations = tuple(header["stations"])
    size = len(stations) * header["minutes"]
    body = content[8 + length :]
    if len(body) != 2 * size:
        raise ValueError(f"found {len(body)} bytes after the header, expected {2 * size}")
    start = datetime.fromtimestamp(header["start"], UTC)
    day = LocalDay(date.fromisoformat(header["day"]), start, header["minutes"])
    return Day(day, stations, body[:size], body[size:])


def find_present_minutes(day: Day) -> Iterable[int]:
    """Yield the minutes in which any station has a known number."""
    for minute in range(day.day.minutes):
        if any(each != UNKNOWN for each in day.bikes[minute :: day.day.minutes]):
            yield minute


@lru_cache(1024)  # a day of 289 stations has 800,000 numbers, and few different ones
def _clamp_to_byte(text: str) -> int:
    return max(0, min(LARGEST, int(text))) if text else UNKNOWN
