"""Plan the work: batches of days, their hours, and partitions of similar size."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, TypeVar

_HOUR = re.compile(r"/hour=([01][0-9]|2[0-3])/")


@dataclass(frozen=True)
class StoredObject:
    """One object of the archive."""

    name: str
    size: int  # bytes as stored
    generation: int = 0  # the object's generation in Cloud Storage
    charset: str = ""  # of the response's Content-Type


@dataclass(frozen=True)
class ArchiveHour:
    """The archived objects of one UTC hour, sorted by name; one Parquet file is written from them."""

    day: date
    hour: int
    objects: tuple[StoredObject, ...]

    @property
    def label(self) -> str:
        """The hour as text, such as `2023-10-26T20`."""
        return f"{self.day.isoformat()}T{self.hour:02d}"


def split_into_batches(days: Sequence[date], length: int) -> list[list[date]]:
    """Return the days in batches of `length` (the last may be shorter); a batch is read and replaced at once."""
    return [list(days[start : start + length]) for start in range(0, len(days), length)]


def plan_hours(day: date, objects: Iterable[StoredObject]) -> list[ArchiveHour]:
    """Return the hours of a day; each object is in exactly one.

    An object without an hour in its name is added to hour 0, where it will be quarantined.
    """
    by_hour: dict[int, list[StoredObject]] = {}
    for each in objects:
        match = _HOUR.search(each.name)
        by_hour.setdefault(int(match[1]) if match else 0, []).append(each)
    return [
        ArchiveHour(day, hour, tuple(sorted(by_hour[hour], key=lambda stored: stored.name)))
        for hour in sorted(by_hour)
    ]


class WorkUnit(Protocol):
    """A unit of work, such as an hour, whose size is its number of objects."""

    @property
    def objects(self) -> Sequence[Any]:
        """The objects to read."""
        ...


U = TypeVar("U", bound=WorkUnit)


def partition_hours(hours: Sequence[U], partitions: int) -> list[list[U]]:  # noqa: UP047 - the cluster's Python is 3.11
    """Return `partitions` lists of consecutive hours with similar numbers of objects."""
    total = sum(len(hour.objects) for hour in hours)
    result: list[list[U]] = []
    seen = 0
    for index, hour in enumerate(hours):
        is_full = seen * partitions >= total * len(result)
        is_last_chance = len(hours) - index <= partitions - len(result)  # each partition needs an hour
        if not result or (len(result) < partitions and (is_full or is_last_chance)):
            result.append([])
        result[-1].append(hour)
        seen += len(hour.objects)
    return result
