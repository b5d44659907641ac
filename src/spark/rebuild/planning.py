"""From what lies in the archive to the work: days → hours → parts of similar size."""

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
    generation: int = 0  # which one of those that had the name
    charset: str = ""  # of the response's Content-Type


@dataclass(frozen=True)
class ArchiveHour:
    """What one Parquet file is made from: the objects of one UTC hour, by name."""

    day: date
    hour: int
    objects: tuple[StoredObject, ...]

    @property
    def label(self) -> str:
        """`2023-10-26T20`."""
        return f"{self.day.isoformat()}T{self.hour:02d}"


def split_into_batches(days: Sequence[date], length: int) -> list[list[date]]:
    """The days in lists of `length`, the last may be shorter: what is read, and replaced, at once."""
    return [list(days[start : start + length]) for start in range(0, len(days), length)]


def plan_hours(day: date, objects: Iterable[StoredObject]) -> list[ArchiveHour]:
    """The hours of a day, each object in exactly one.

    An object whose name has no hour is given to the first hour: whoever reads it quarantines it.
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
    """A piece of work that is measured by its objects, such as an hour."""

    @property
    def objects(self) -> Sequence[Any]:
        """What is read."""
        ...


U = TypeVar("U", bound=WorkUnit)


def partition_hours(hours: Sequence[U], parts: int) -> list[list[U]]:  # noqa: UP047 - the cluster's Python is 3.11
    """The hours in `parts` lists of consecutive ones with similarly many objects; with enough parts one each."""
    total = sum(len(hour.objects) for hour in hours)
    dealt: list[list[U]] = []
    seen = 0
    for index, hour in enumerate(hours):
        is_full = seen * parts >= total * len(dealt)
        is_last_chance = len(hours) - index <= parts - len(dealt)  # for each part to get an hour
        if not dealt or (len(dealt) < parts and (is_full or is_last_chance)):
            dealt.append([])
        dealt[-1].append(hour)
        seen += len(hour.objects)
    return dealt
