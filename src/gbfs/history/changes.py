"""Convert the minutes of stations to changes and back, losslessly.

On a real day of V'Lille there are thirty times fewer changes than minutes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

Values = Mapping[str, Any]
# These change although nothing happened at the station; a change keeps the value of its first minute.
IGNORED_COLUMNS = frozenset({"last_reported"})


@dataclass(frozen=True)
class Change:
    """The values of a station from the tick `valid_from` until before `valid_to`, None if they are current."""

    station_id: str
    valid_from: datetime
    valid_to: datetime | None
    values: Values


class ChangeFinder:
    """Finds the changes of one system, tick by tick. Keeps one row per station in memory."""

    def __init__(self) -> None:
        self._current: dict[str, tuple[datetime, Values]] = {}
        self._tick: datetime | None = None

    def add(
        self, tick: datetime, stations: Mapping[str, Values], candidates: Iterable[str] | None = None
    ) -> Iterator[Change]:
        """Yield the changes that end at a tick whose response is known: received or unchanged.

        `stations` maps station_id to values; a station that is missing has no values from this tick on. `candidates`
        are the stations that may have changed since the previous tick, if that is known and no station was added or
        removed; None means all. Raises ValueError if the tick is not after the previous one.
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
            elif select_compared_values(found[1]) != select_compared_values(values):
                yield Change(station, found[0], tick, found[1])
                current[station] = tick, values

    def end(self, valid_to: datetime | None = None) -> Iterator[Change]:
        """Yield the changes that are still open."""
        for station, (since, values) in self._current.items():
            yield Change(station, since, valid_to, values)
        self._current.clear()


def find_changes(minutes: Iterable[tuple[datetime, Mapping[str, Values]]]) -> Iterator[Change]:
    """Yield the changes of one system, in the order in which they end; open ones last.

    `minutes` are the ticks whose response is known, in order, each with the values by station_id. Raises ValueError
    if the ticks are not in order.
    """
    finder = ChangeFinder()
    for tick, stations in minutes:
        yield from finder.add(tick, stations)
    yield from finder.end()


@dataclass(frozen=True)
class ChangePeriod:
    """The changes of one system within a period, and its first known tick in it.

    A change that does not end within the period has no `valid_to`.
    """

    first_known: datetime
    changes: Sequence[Change]


def join_periods(periods: Iterable[ChangePeriod], valid_to: datetime | None = None) -> Iterator[Change]:
    """Join the changes of consecutive periods of one system, as if they were one period.

    An open change continues in the next period if that begins with the same values; otherwise it ends at the first
    known tick of that period. `valid_to` ends the changes that are open in the last period.
    """
    waiting: dict[str, Change] = {}
    for period in periods:
        following = {
            change.station_id: change for change in period.changes if change.valid_from == period.first_known
        }
        for station, change in list(waiting.items()):
            after = following.get(station)
            if after is None or select_compared_values(after.values) != select_compared_values(change.values):
                yield replace(change, valid_to=period.first_known)
                del waiting[station]
        for change in period.changes:
            is_first = change.valid_from == period.first_known
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
    """Yield the minutes from which `find_changes` made the changes: the values by station_id at each tick.

    `ticks` are those whose response is known, in order; they distinguish "unchanged" from "not requested".
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


def select_compared_values(values: Values) -> dict[str, Any]:
    """Return the values that are compared to detect a change."""
    return {name: value for name, value in values.items() if name not in IGNORED_COLUMNS}
