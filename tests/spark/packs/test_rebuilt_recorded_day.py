"""A recorded day of V'Lille as packs, rebuilt; tests/conftest.py leaves this file out where there is no recording."""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gbfs.collection.packs import FetchResult, pack_name, write_pack
from gbfs.history.changes import Change, expand_changes
from spark.packs.changes import join_hourly_changes
from spark.packs.hours import read_pack_hours
from spark.packs.job import make_day_buckets
from spark.rebuild.planning import StoredObject, plan_hours
from tests.conftest import RECORDED_DAY

pytestmark = pytest.mark.unit

DAY = date(2023, 9, 27)
HOURS = range(7, 10)  # with the most changes, and few enough for a test
SYSTEM = "v_lille"
Minute = dict[str, tuple[int, int]]  # bikes and docks by station


def read_recorded_minutes(hours: range) -> dict[datetime, Minute]:
    """Return the minutes of these hours; the recording's local time is taken for UTC."""
    minutes: dict[datetime, Minute] = {}
    with gzip.open(RECORDED_DAY, "rt") as lines:
        for row in csv.DictReader(lines):
            hour, minute = int(row["minute"][:2]), int(row["minute"][2:])
            if hour in hours:
                tick = datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=UTC)
                counts = int(row["nb_velos_dispo"]), int(row["nb_places_dispo"])
                minutes.setdefault(tick, {})[row["station_id"]] = counts
    return dict(sorted(minutes.items()))


def write_packs(minutes: dict[datetime, Minute]) -> dict[str, bytes]:
    """Return a pack for each minute, by name."""
    packs = {}
    for tick, stations in minutes.items():
        records = [
            {
                "station_id": station,
                "num_bikes_available": bikes,
                "num_docks_available": docks,
                "is_installed": True,
                "is_renting": True,
                "is_returning": True,
                "last_reported": int(tick.timestamp()),
            }
            for station, (bikes, docks) in stations.items()
        ]
        content = {"last_updated": int(tick.timestamp()), "ttl": 60, "version": "2.3"}
        body = json.dumps(content | {"data": {"stations": records}}).encode()
        fetched = FetchResult(SYSTEM, "station_status", "https://example.org/", tick, 200, (), body)
        packs[pack_name(tick, 0)] = write_pack(tick, 0, [fetched])
    return packs


def rebuild(packs: dict[str, bytes]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of station_status and of station_status_changes that the batch writes."""
    staged: dict[str, bytes] = {}

    def put(name: str, file: Path) -> str:
        staged[name] = file.read_bytes()
        return name

    def read_rows(names: Iterator[str | None]) -> list[dict[str, Any]]:
        tables = [pq.read_table(pa.BufferReader(staged[name])) for name in names if name]
        rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
        return rows

    hours = plan_hours(DAY, [StoredObject(name, len(pack)) for name, pack in packs.items()])
    results = list(read_pack_hours(hours, packs.__getitem__, put, "hours", 1))
    days = [
        join_hourly_changes(bucket, staged.__getitem__, put, "day")
        for bucket in make_day_buckets(results, 1, "")
    ]
    return read_rows(each.rows_uri for each in results), read_rows(each.uri for each in days)


@pytest.mark.long
def test_minutes_and_changes_are_equal_in_fewer_rows() -> None:
    recorded = read_recorded_minutes(HOURS)
    rows, changes = rebuild(write_packs(recorded))
    minutes: dict[datetime, Minute] = {}
    for row in rows:
        counts = row["num_vehicles_available"], row["num_docks_available"]
        minutes.setdefault(row["collected_at"], {})[row["station_id"]] = counts
    assert minutes == recorded
    names = "num_vehicles_available", "num_docks_available"
    found = (
        Change(row["station_id"], row["valid_from"], row["valid_to"], {name: row[name] for name in names})
        for row in changes
    )
    expanded = {
        tick: {station: tuple(values.values()) for station, values in stations.items()}
        for tick, stations in expand_changes(found, recorded)
    }
    assert expanded == recorded
    assert len(rows) > 15 * len(changes)
