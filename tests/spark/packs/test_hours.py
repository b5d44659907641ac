"""Packs → rows: equal to what was streamed, and changes from which the minutes come back."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from feed import quarantine_schema
from gbfs.collection.packs import FetchResult, pack_name, write_pack
from gbfs.collection.rows import TableRows, make_rows
from gbfs.history.changes import Change, expand_changes, find_changes
from spark.archive import ArchiveError
from spark.packs.changes import join_hourly_changes
from spark.packs.hours import PackHourResult, assign_bucket, parse_pack_name, read_pack_hours
from spark.packs.job import make_day_buckets
from spark.rebuild.planning import ArchiveHour, StoredObject, plan_hours
from spark.rebuild.statistics import RunStatistics, reconcile
from tests.gbfs.samples import make_document, make_record

pytestmark = pytest.mark.unit

DAY = date(2026, 5, 1)
MIDNIGHT = datetime(2026, 5, 1, tzinfo=UTC)
STATION = make_record("2.3", "station_status")
STAGING = "gs://staging/"
SHARDS = 2


def at(minute: int) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


def body(bikes: dict[str, int], reported: datetime = MIDNIGHT) -> bytes:
    rows = [
        STATION
        | {
            "station_id": station,
            "num_bikes_available": count,
            "last_reported": int(reported.timestamp()),
        }
        for station, count in bikes.items()
    ]
    return make_document("2.3", "station_status", *rows)


def received(system: str, tick: datetime, content: bytes) -> FetchResult:
    return FetchResult(system, "station_status", f"https://example.org/{system}", tick, 200, (), content)


def unchanged(system: str, tick: datetime, since: datetime) -> FetchResult:
    return FetchResult(
        system, "station_status", f"https://example.org/{system}", tick, 304, unchanged_since=since
    )


def failed(system: str, tick: datetime) -> FetchResult:
    return FetchResult(system, "station_status", f"https://example.org/{system}", tick, error="no response")


class Archive:
    """Packs of a day, and what the batch makes of them."""

    def __init__(self, folder: Path) -> None:
        self.packs: dict[str, bytes] = {}
        self.staged: dict[str, bytes] = {}
        self.streamed = TableRows()
        self._folder = folder

    def add(self, tick: datetime, shard: int, *fetched: FetchResult) -> None:
        name = pack_name(tick, shard)
        self.packs[name] = write_pack(tick, shard, fetched)
        rows = make_rows(fetched, tick, name)
        self.streamed.station_status += rows.station_status
        self.streamed.polls += rows.polls
        self.streamed.quarantine += rows.quarantine

    def hours(self) -> list[ArchiveHour]:
        return plan_hours(DAY, [StoredObject(name, len(data)) for name, data in sorted(self.packs.items())])

    def read(self, name: str) -> bytes:
        if name not in self.packs:
            raise ArchiveError(name)
        return self.packs[name]

    def put(self, name: str, file: Path) -> str:
        self.staged[name] = file.read_bytes()
        return STAGING + name

    def batch(self, *parts: Iterable[ArchiveHour]) -> list[PackHourResult]:
        return [
            result
            for hours in parts or (self.hours(),)
            for result in read_pack_hours(list(hours), self.read, self.put, "batch/1", SHARDS)
        ]

    def rows(self, uris: Iterable[str | None]) -> list[dict[str, Any]]:
        """The rows of Parquet files, as JSON has them."""
        return [
            {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
            for uri in uris
            if uri
            for row in self._table(uri)
        ]

    def _table(self, uri: str) -> list[dict[str, Any]]:
        file = self._folder / "read.parquet"
        file.write_bytes(self.staged[uri.removeprefix(STAGING)])
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return rows

    def changes(self, results: list[PackHourResult]) -> dict[str, list[Change]]:
        """The changes of the day, by system."""
        found: dict[str, list[Change]] = {}
        for bucket in make_day_buckets(results, SHARDS, STAGING):
            done = join_hourly_changes(bucket, self.staged.__getitem__, self.put, "batch/1")
            for row in self._table(done.uri) if done.uri else []:
                system, valid_from, valid_to = (
                    row.pop(key) for key in ("system_id", "valid_from", "valid_to")
                )
                found.setdefault(system, []).append(Change(row["station_id"], valid_from, valid_to, row))
        return found


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def check_equal_to_streamed(archive: Archive, results: list[PackHourResult]) -> None:
    assert archive.rows(result.rows_uri for result in results) == archive.streamed.station_status
    assert archive.rows(result.polls_uri for result in results) == archive.streamed.polls
    names = [column["name"] for column in quarantine_schema()]
    assert archive.rows(result.quarantine_uri for result in results) == [
        {name: row[name] for name in names} for row in archive.streamed.quarantine
    ]


def known_minutes(archive: Archive) -> dict[str, list[tuple[datetime, dict[str, dict[str, Any]]]]]:
    """Return the streamed rows and polls of each system and known tick."""
    rows: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in archive.streamed.station_status:
        values = {key: value for key, value in row.items() if key not in ("collected_at", "system_id")}
        if values["last_reported"]:
            values["last_reported"] = datetime.fromisoformat(values["last_reported"])
        rows.setdefault((row["system_id"], row["collected_at"]), {})[row["station_id"]] = values
    found: dict[str, list[tuple[datetime, dict[str, dict[str, Any]]]]] = {}
    for poll in archive.streamed.polls:
        if poll["outcome"] != "failed":
            system, tick = poll["system_id"], datetime.fromisoformat(poll["collected_at"])
            found.setdefault(system, []).append((tick, rows.get((system, poll["rows_at"]), {})))
    return found


def check_changes(archive: Archive, results: list[PackHourResult]) -> int:
    """Hold the changes of the day to the streamed minutes; return how many they are."""
    changes = archive.changes(results)
    total = 0
    for system, minutes in known_minutes(archive).items():
        expected = [
            change
            if change.valid_to
            else Change(change.station_id, change.valid_from, at(24 * 60), change.values)
            for change in find_changes(minutes)
        ]
        found = changes.get(system, [])
        assert _sorted(found) == _sorted(expected)
        times = [tick for tick, _ in minutes]
        for (tick, stations), (_, back) in zip(minutes, expand_changes(found, times), strict=True):
            assert _compared(back) == _compared(stations), tick
        total += len(found)
    return total


def _sorted(changes: Iterable[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: (change.valid_from, change.station_id))


def _compared(stations: Any) -> dict[str, dict[str, Any]]:
    return {
        station: {name: value for name, value in values.items() if name != "last_reported"}
        for station, values in stations.items()
    }


def test_a_change_goes_on_over_hours(archive: Archive) -> None:
    for minute in (58, 59, 60, 61, 200):
        archive.add(at(minute), 0, received("s", at(minute), body({"1": 5, "2": minute // 60})))
    results = archive.batch()
    assert [result.label for result in results] == ["2026-05-01T00", "2026-05-01T01", "2026-05-01T03"]
    check_equal_to_streamed(archive, results)
    assert check_changes(archive, results) == 4
    [whole] = [change for change in archive.changes(results)["s"] if change.station_id == "1"]
    assert (whole.valid_from, whole.valid_to) == (at(58), at(24 * 60))


@pytest.mark.parametrize("since", [58, 59])
def test_what_is_unchanged_since_an_earlier_hour_is_read_there(archive: Archive, since: int) -> None:
    archive.add(at(58), 1, received("s", at(58), body({"1": 5})))
    archive.add(at(59), 1, received("s", at(59), body({"1": 6})))
    archive.add(at(60), 1, failed("s", at(60)))
    archive.add(at(61), 1, unchanged("s", at(61), at(since)))
    archive.add(at(62), 1, received("s", at(62), body({"1": 6})))
    hours = archive.hours()
    results = archive.batch(hours[:1], hours[1:])
    check_equal_to_streamed(archive, results)
    assert check_changes(archive, results) == (4 if since == 58 else 2)


def test_an_empty_list_ends_what_was_said(archive: Archive) -> None:
    archive.add(at(59), 0, received("s", at(59), body({"1": 5})))
    archive.add(at(60), 0, received("s", at(60), body({})))
    archive.add(at(61), 0, received("s", at(61), body({"1": 5})))
    assert check_changes(archive, archive.batch()) == 2


def test_a_damaged_pack_is_quarantined_and_counted(archive: Archive) -> None:
    archive.add(at(1), 0, received("s", at(1), body({"1": 5})))
    archive.packs[pack_name(at(2), 0)] = b"\x1f\x8b no pack"
    archive.packs["gbfs/date=2026-05-01/hour=00/other.warc.gz"] = b""
    [result] = archive.batch()
    assert reconcile(archive.hours(), [result]) == RunStatistics(1, 2, 1, 1, 0)
    rows = archive.rows([result.quarantine_uri])
    assert [(row["feed"], row["reason"], row["object"]) for row in rows] == [
        ("gbfs", "damaged", pack_name(at(2), 0)),
        ("gbfs", "bad_name", "gbfs/date=2026-05-01/hour=00/other.warc.gz"),
    ]


def test_a_missing_body_is_quarantined(archive: Archive) -> None:
    archive.add(at(1), 0, received("other", at(1), body({"1": 5})))
    archive.add(at(2), 0, unchanged("s", at(2), at(1)))
    [result] = archive.batch()
    [row] = archive.rows([result.quarantine_uri])
    assert (row["feed"], row["reason"]) == ("s", "unknown_body")
    assert list(archive.changes([result])) == ["other"]


def test_of_two_shards_with_a_system_the_first_counts(archive: Archive) -> None:
    archive.add(at(1), 0, received("s", at(1), body({"1": 5})))
    archive.packs[pack_name(at(1), 1)] = write_pack(at(1), 1, [received("s", at(1), body({"1": 6}))])
    results = archive.batch()
    check_equal_to_streamed(archive, results)
    [change] = archive.changes(results)["s"]
    assert change.values["num_vehicles_available"] == 5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_any_day_is_equal_both_ways(archive: Archive, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    systems = {f"s{number}": {str(station): 3 for station in range(4)} for number in range(5)}
    bodies: dict[str, dict[datetime, bytes]] = {system: {} for system in systems}
    for minute in sorted(rng.sample(range(300), 90)):
        fetched: dict[int, list[FetchResult]] = {}
        for system, bikes in systems.items():
            shard = assign_bucket(system, SHARDS)
            kept = bodies[system]
            if rng.random() < 0.3:
                bikes[rng.choice(list(bikes) or ["0"])] = rng.randrange(4)
            if rng.random() < 0.1:
                bikes[str(rng.randrange(6))] = rng.choice([3, -1])
            if rng.random() < 0.1 and bikes:
                del bikes[rng.choice(list(bikes))]
            fate = rng.random()
            if fate < 0.2 and kept:
                each = unchanged(system, at(minute), rng.choice(list(kept)[-3:]))
            elif fate < 0.3:
                each = failed(system, at(minute))
            elif fate < 0.4:
                each = received(system, at(minute), rng.choice([b"<html>", b'{"data":{}}', body(bikes)[:-9]]))
            else:
                kept[at(minute)] = body(bikes, at(rng.choice((minute, 0))))
                each = received(system, at(minute), kept[at(minute)])
            fetched.setdefault(shard, []).append(each)
        for shard, results in sorted(fetched.items()):
            archive.add(at(minute), shard, *results)
    hours = archive.hours()
    cut = rng.randrange(len(hours) + 1)
    found = archive.batch(hours[:cut], hours[cut:])
    check_equal_to_streamed(archive, found)
    assert reconcile(hours, found).objects_read == len(archive.packs)
    assert check_changes(archive, found) < len(archive.streamed.station_status)


def test_a_pack_name_has_tick_and_shard() -> None:
    assert parse_pack_name(pack_name(at(607), 3)) == (at(607), 3)
    for name in ("gbfs/date=2026-05-01/hour=00/20260501T1007Z_0003.warc.gz", "gbfs/x", json.dumps({})):
        with pytest.raises(ValueError, match="expected a name such as"):
            parse_pack_name(name)
