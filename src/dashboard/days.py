"""A day of all stations as one compact file. Pure: no client, no clock.

The file: b"VLD1", the length of the header (4 bytes, little endian), the header as JSON, then a byte per station and
minute with the bikes, then as many with the docks. Station-major: the minutes of a station lie together, which is what
compresses well. 255 is "unknown"; larger numbers than 254 are stored as 254.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MAGIC = b"VLD1"
UNKNOWN, LARGEST = 255, 254


@dataclass(frozen=True)
class LocalDay:
    """A calendar day of a time zone: its first minute (UTC) and how many minutes it has (1,380 to 1,500)."""

    day: date
    start: datetime
    minutes: int

    @classmethod
    def of(cls, day: date, zone: ZoneInfo) -> "LocalDay":
        """Return the day of that date."""
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
    """What a file holds: `bikes` and `docks` have a byte per station and minute, station-major."""

    day: LocalDay
    stations: tuple[str, ...]
    bikes: bytes
    docks: bytes


def encode(day: LocalDay, series: Mapping[str, str]) -> bytes:
    """Return the file of a day.

    `series` has, by station, `minute:bikes:docks` for each minute that has a row, separated by commas; minutes count
    from the day's first, and a number that the feed did not give is left out.
    """
    stations = sorted(series)
    bikes, docks = (bytearray([UNKNOWN]) * (len(stations) * day.minutes) for _ in range(2))
    for index, station in enumerate(stations):
        base = index * day.minutes
        for entry in filter(None, series[station].split(",")):
            minute, available, free = entry.split(":")
            if 0 <= (number := int(minute)) < day.minutes:
                bikes[base + number] = _byte(available)
                docks[base + number] = _byte(free)
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


def decode(content: bytes) -> Day:
    """Return what a file holds. Raises ValueError for what is no such file."""
    if content[:4] != MAGIC:
        raise ValueError(f"a file that begins with {MAGIC!r} is expected, found {content[:4]!r}")
    (length,) = struct.unpack_from("<I", content, 4)
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    stations = tuple(header["stations"])
    size = len(stations) * header["minutes"]
    body = content[8 + length :]
    if len(body) != 2 * size:
        raise ValueError(f"{2 * size} bytes are expected after the header, found {len(body)}")
    start = datetime.fromtimestamp(header["start"], UTC)
    day = LocalDay(date.fromisoformat(header["day"]), start, header["minutes"])
    return Day(day, stations, body[:size], body[size:])


def present_minutes(day: Day) -> Iterable[int]:
    """Yield the minutes for which any station has a number."""
    for minute in range(day.day.minutes):
        if any(each != UNKNOWN for each in day.bikes[minute :: day.day.minutes]):
            yield minute


def _byte(text: str) -> int:
    return max(0, min(LARGEST, int(text))) if text else UNKNOWN
