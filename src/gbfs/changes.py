"""Minutes → a row for each change, and back: the long history of stations, without loss.

Of a real day of V'Lille, changes are a thirtieth of the minutes' rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

Values = Mapping[str, Any]
# They change although nothing has happened at the station; a change keeps those of its first minute.
NOT_COMPARED = frozenset({"last_reported"})


@dataclass(frozen=True)
class Change:
    """What a station said from the tick `valid_from` until before the tick `valid_to`, None where it still does."""

    station_id: str
    valid_from: datetime
    valid_to: datetime | None
    values: Values


class ChangeFinder:
    """Finds the changes of one system, tick after tick. What is held in memory is one row a station."""

    def __init__(self) -> None:
        self._current: dict[str, tuple[datetime, Values]] = {}
        self._tick: datetime | None = None

    def add(
        self, tick: datetime, stations: Mapping[str, Values], candidates: Iterable[str] | None = None
    ) -> Iterator[Change]:
        """Yield the changes that end at a tick whose response is known: received, or unchanged.

        `stations` has the values by station_id; one that it leaves out has no values from this tick on. `candidates`
        are the stations that may have changed since the tick before, where they are known and none was left out or
        added; None: all. Raises ValueError where the tick is not after the one before.
        """
        if self._tick is not None and tick <= self._tick:
            raise ValueError(f"tick {tick} comes after {self._tick}: expected ticks in order")
        self._tick = tick
        current = self._current
        if candidates is None:
            for station in [station for station in current if station not in stations]:
                since, values = current.pop(station)
                yield Change(station, since, tick, values)
        for station in stations if candidates is None else candidates:
            values = stations[station]
            found = current.get(station)
            if found is None:
                current[station] = tick, values
            elif compared(found[1]) != compared(values):
                yield Change(station, found[0], tick, found[1])
                current[station] = tick, values

    def end(self, valid_to: datetime | None = None) -> Iterator[Change]:
        """Yield the changes that have not ended."""
        for station, (since, values) in self._current.items():
            yield Change(station, since, valid_to, values)
        self._current.clear()


def find_changes(minutes: Iterable[tuple[datetime, Mapping[str, Values]]]) -> Iterator[Change]:
    """Yield the changes of one system, those that have ended first, each once it is known when it ended.

    `minutes` are the ticks, in order, whose response is known, each with the values by station_id. Raises ValueError
    where the ticks are not in order.
    """
    finder = ChangeFinder()
    for tick, stations in minutes:
        yield from finder.add(tick, stations)
    yield from finder.end()


@dataclass(frozen=True)
class Stretch:
    """The changes of one system within a stretch of time, and its first known tick there.

    A change that has not ended within the stretch has no `valid_to`.
    """

    first_known: datetime
    changes: Sequence[Change]


def join_stretches(stretches: Iterable[Stretch], valid_to: datetime | None = None) -> Iterator[Change]:
    """Yield the changes of one system's stretches of time, in order, as if they were one.

    A change that has not ended is that of the next stretch where that one begins with the same values, and ends
    at its first known tick where not. `valid_to` ends what has not ended in the last stretch.
    """
    waiting: dict[str, Change] = {}
    for stretch in stretches:
        following = {
            change.station_id: change
            for change in stretch.changes
            if change.valid_from == stretch.first_known
        }
        for station, change in list(waiting.items()):
            after = following.get(station)
            if after is None or compared(after.values) != compared(change.values):
                yield replace(change, valid_to=stretch.first_known)
                del waiting[station]
        for change in stretch.changes:
            is_first = change.valid_from == stretch.first_known
            before = waiting.pop(change.station_id, None) if is_first else None
            whole = change if before is None else replace(before, valid_to=change.valid_to)
            if whole.valid_to is None:
                waiting[whole.station_id] = whole
            else:
                yield whole
    for change in waiting.values():
        yield replace(change, valid_to=valid_to)


def expand_changes(
    changes: Iterable[Change], ticks: Iterable[datetime]
) -> Iterator[tuple[datetime, dict[str, Values]]]:
    """Yield the minutes of which `find_changes` has made the changes: the values by station_id at each tick.

    `ticks`, in order, are those whose response is known: only they tell "unchanged" from "not requested".
    """
    waiting = sorted(changes, key=lambda change: change.valid_from, reverse=True)
    valid: dict[str, Change] = {}
    for tick in ticks:
        for station, change in list(valid.items()):
            if change.valid_to is not None and change.valid_to <= tick:
                del valid[station]
        while waiting and waiting[-1].valid_from <= tick:
            change = waiting.pop()
            if change.valid_to is None or change.valid_to > tick:
                valid[change.station_id] = change
        yield tick, {station: change.values for station, change in valid.items()}


def compared(values: Values) -> dict[str, Any]:
    """Return the values whose change is a change of the station."""
    return {name: value for name, value in values.items() if name not in NOT_COMPARED}
