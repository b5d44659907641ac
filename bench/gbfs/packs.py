"""Generate hours of packs of the simulated systems, with the number of rows and changes that a batch must find."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.gbfs.systems import MINUTE, PublicSystem
from gbfs.collection.packs import FetchResult, pack_name, write_pack

MINUTES = 60
# On a recorded day of V'Lille, the bikes or docks of a station change 47 times in 1,418 minutes.
CHANGED_SHARE = 47 / 1_418
RENEWED_SHARE = 0.2  # of the other stations: only last_reported changes
_COUNTS = ("num_bikes_available", "num_vehicles_available")


@dataclass(frozen=True)
class ExpectedRows:
    """What a batch of so many equal hours of packs must find."""

    station_status: int
    polls: int
    changes: int  # of one day
    pack_bytes: int


class SystemHour:
    """The responses of one system, minute after minute."""

    def __init__(self, public: PublicSystem, rng: random.Random) -> None:
        self._public, self._rng = public, rng
        body = public.system.document("station_status", MINUTE, "https://example.org/")
        self._stations: list[dict[str, Any]] = json.loads(body)["data"]["stations"]
        content = json.loads(body) | {"data": {"stations": []}}
        self._before, _, self._after = json.dumps(content).rpartition("]")
        self._records = [json.dumps(station) for station in self._stations]
        self._count = next(name for name in _COUNTS if name in self._stations[0])
        self._first = self._bikes
        self.rows = self.changes = 0

    @property
    def _bikes(self) -> list[int]:
        return [station[self._count] for station in self._stations]

    def count_final_differences(self) -> int:
        """Return the number of stations whose bikes differ from the first minute."""
        return sum(first != last for first, last in zip(self._first, self._bikes, strict=True))

    def fetch(self, minute: int) -> FetchResult:
        """Return the result of the request of a minute, beginning with 0."""
        system, outcome = self._public.system, self._public.outcome
        made = FetchResult(
            system.system_id,
            "station_status",
            f"https://example.org/{system.system_id}",
            MINUTE + timedelta(minutes=minute),
        )
        if outcome == "hang":
            return replace(made, error="no complete response within 4.0 s")
        if outcome != "ok":
            return replace(made, status=503 if outcome == "error" else 429)
        if minute:
            self._change(minute)
        self.rows += len(self._stations)
        return replace(
            made, status=200, body=(self._before + ", ".join(self._records) + "]" + self._after).encode()
        )

    def _change(self, minute: int) -> None:
        seconds = int(MINUTE.timestamp()) + 60 * minute
        is_text = isinstance(self._stations[0]["last_reported"], str)
        reported = (MINUTE + timedelta(minutes=minute)).isoformat() if is_text else seconds
        for number, station in enumerate(self._stations):
            rolled = self._rng.random()
            if rolled >= CHANGED_SHARE + RENEWED_SHARE:
                continue
            station["last_reported"] = reported
            if rolled < CHANGED_SHARE:
                step = self._rng.choice((1, -1)) if station[self._count] else 1
                station[self._count] += step
                station["num_docks_available"] = max(0, station["num_docks_available"] - step)
                self.changes += 1
            self._records[number] = json.dumps(station)


def generate_packs(folder: Path, systems: Sequence[PublicSystem], shards: int, hours: int) -> ExpectedRows:
    """Write the packs of an hour below a folder, and link them as the other hours of its day.

    The batch reads each hour as if its packs were different ones.
    """
    rng = random.Random(0)  # noqa: S311
    states = [SystemHour(public, rng) for public in systems]
    size = 0
    for minute in range(MINUTES):
        tick = MINUTE + timedelta(minutes=minute)
        for shard in range(shards):
            pack = write_pack(tick, shard, (each.fetch(minute) for each in states[shard::shards]))
            first, *others = [folder / pack_name(tick.replace(hour=hour), shard) for hour in range(hours)]
            first.parent.mkdir(parents=True, exist_ok=True)
            first.write_bytes(pack)
            for path in others:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(first)
            size += hours * len(pack)
    received = [each for each in states if each.rows]
    stations = sum(each.rows for each in received) // MINUTES
    changes = sum(each.changes for each in received)
    differences = sum(each.count_final_differences() for each in received)
    return ExpectedRows(
        station_status=hours * MINUTES * stations,
        polls=hours * MINUTES * len(systems),
        changes=stations + hours * changes + (hours - 1) * differences,
        pack_bytes=size,
    )
