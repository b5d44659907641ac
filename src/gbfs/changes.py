"""Minutes → a row for each change, and back: the long history of stations, without loss.

Of a real day of V'Lille, changes are a thirtieth of the minutes' rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


def find_changes(minutes: Iterable[tuple[datetime, Mapping[str, Values]]]) -> Iterator[Change]:
    """Yield the changes of one system, those that have ended first, each once it is known when it ended.

    `minutes` are the ticks, in order, whose response is known (received, or unchanged), each with the values by
    station_id. A station that a response leaves out has no values from that tick on. What is held in memory is one
    row a station. Raises ValueError where the ticks are not in order.
    """
    current: dict[str, tuple[datetime, Values]] = {}
    before: datetime | None = None
    for tick, stations in minutes:
        if before is not None and tick <= before:
            raise ValueError(f"tick {tick} comes after {before}: expected ticks in order")
        before = tick
        for station, (since, values) in list(current.items()):
            if station not in stations:
                yield Change(station, since, tick, values)
                del current[station]
            elif compared(stations[station]) != compared(values):
                yield Change(station, since, tick, values)
                current[station] = tick, stations[station]
        for station, values in stations.items():
            current.setdefault(station, (tick, values))
    for station, (since, values) in current.items():
        yield Change(station, since, None, values)


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
