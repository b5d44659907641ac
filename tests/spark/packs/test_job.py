"""Whole runs of the batch of GBFS systems: packs in the storage emulator → tables in the BigQuery emulator."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from feed import Feed, quarantine_schema
from gbfs.collection.packs import FetchResult, pack_name, write_pack
from gbfs.collection.rows import make_rows
from gbfs.tables import CHANGES_TABLE, POLLS_TABLE, STATION_STATUS_TABLE, TableModel
from spark.archive import make_object_reader, store_file
from spark.packs.changes import join_hourly_changes
from spark.packs.hours import read_pack_hours
from spark.packs.job import PACKS, PackDayBatches
from spark.packs.worker import ReadPacks
from spark.rebuild.day_batches import FAILED, SUCCEEDED
from spark.rebuild.job import Run, rebuild_days
from spark.settings import Settings
from tests.gbfs.samples import make_document, make_record
from tests.spark.conftest import LOCATION

pytestmark = pytest.mark.emulator

DAY = date(2026, 5, 1)
MIDNIGHT = datetime(2026, 5, 1, tzinfo=UTC)
STATION = make_record("2.3", "station_status")
TABLES = (STATION_STATUS_TABLE, POLLS_TABLE, CHANGES_TABLE)


def at(minute: int) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


def fetched(system: str, minute: int, bikes: int, **fields: Any) -> FetchResult:
    stations = [STATION | {"station_id": "1", "num_bikes_available": bikes}, STATION | {"station_id": "2"}]
    body = make_document("2.3", "station_status", *stations, {"station_id": "3"})
    return replace(
        FetchResult(system, "station_status", f"https://example.org/{system}", at(minute), 200, (), body),
        **fields,
    )


class PackBatch:
    """A project with the tables of GBFS systems."""

    def __init__(self, project: Any) -> None:
        self.project = project
        self.nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth leaves it so
        for table in TABLES:
            made = bigquery.Table(f"{project.name}.vlille.{table.name}", schema=table.schema)
            made.time_partitioning = bigquery.TimePartitioning(field=table.partition)
            made.clustering_fields = list(table.clustering)
            project.bq.create_table(made)
        self.settings = Settings(
            project=project.name,
            dataset="vlille",
            location=LOCATION,
            archive_bucket=project.archive,
            staging_bucket=f"{project.name}-staging",
            feed=PACKS.name,
            first_day=DAY,
            last_day=DAY,
            storage_url=project.environment["STORAGE_EMULATOR_HOST"],
        )

    def add(self, minute: int, shard: int, *results: FetchResult, is_loaded: bool = True) -> None:
        """Store a pack, and load its rows as the collector does."""
        tick, name = at(minute), pack_name(at(minute), shard)
        self.project.put(name, write_pack(tick, shard, results))
        rows = make_rows(results, tick, name)
        if is_loaded:
            self.load(STATION_STATUS_TABLE.name, rows.station_status, STATION_STATUS_TABLE.schema)
            self.load(POLLS_TABLE.name, rows.polls, POLLS_TABLE.schema)
            self.load("quarantine", rows.quarantine, quarantine_schema())

    def load(self, table: str, rows: list[dict[str, Any]], schema: list[dict[str, Any]]) -> None:
        if rows:
            config = bigquery.LoadJobConfig(
                schema=[bigquery.SchemaField.from_api_repr(column) for column in schema],
                write_disposition="WRITE_APPEND",
            )
            target = f"{self.project.name}.vlille.{table}"
            self.project.bq.load_table_from_json(rows, target, job_config=config).result()

    def run_units(self, work: Any, units: Any) -> Iterator[Any]:
        put = partial(store_file, self.project.gcs, self.settings.staging_bucket)
        if isinstance(work, ReadPacks):
            read = self.reader(self.settings.archive_bucket)
            yield from read_pack_hours(units, read, put, work.folder, work.buckets)
        else:
            read = self.reader(self.settings.staging_bucket)
            yield from (join_hourly_changes(unit, read, put, work.folder) for unit in units)

    def reader(self, bucket: str) -> Callable[[str], bytes]:
        return make_object_reader(self.nobody, self.settings.storage_url, bucket, connections=4)

    def run(self) -> Run:
        return rebuild_days(
            self.settings,
            PACKS,
            gcs=self.project.gcs,
            bq=self.project.bq,
            run_hours=self.run_units,
            batch_type=PackDayBatches,
        )

    def content(self) -> dict[str, list[dict[str, Any]]]:
        names = (STATION_STATUS_TABLE.name, POLLS_TABLE.name, "quarantine")
        return {name: self.project.table(name) for name in names}

    def changes(self) -> list[tuple[str, str, datetime, datetime, int]]:
        rows = self.project.table(CHANGES_TABLE.name)
        return sorted(
            (
                row["system_id"],
                row["station_id"],
                row["valid_from"],
                row["valid_to"],
                row["num_vehicles_available"],
            )
            for row in rows
        )


@pytest.fixture
def batch(new_project: Callable[[Feed], Any]) -> PackBatch:
    return PackBatch(new_project(PACKS))


def fill(batch: PackBatch) -> None:
    batch.add(59, 0, fetched("a", 59, 5), fetched("b", 59, 1))
    batch.add(59, 1, fetched("c", 59, 2))
    batch.add(60, 0, fetched("a", 60, 5, status=304, body=b"", unchanged_since=at(59)), fetched("b", 60, 2))
    batch.add(61, 0, fetched("a", 61, 6), fetched("b", 61, 2, status=None, body=b"", error="no response"))
    batch.add(61, 1, fetched("c", 61, 2))


EXPECTED = [
    ("a", "1", at(59), at(61), 5),
    ("a", "1", at(61), at(1440), 6),
    ("a", "2", at(59), at(1440), 7),
    ("b", "1", at(59), at(60), 1),
    ("b", "1", at(60), at(1440), 2),
    ("b", "2", at(59), at(1440), 7),
    ("c", "1", at(59), at(1440), 2),
    ("c", "2", at(59), at(1440), 7),
]


def test_a_rebuilt_day_equals_the_streamed_day(batch: PackBatch) -> None:
    fill(batch)
    streamed = batch.content()
    assert [len(rows) for rows in streamed.values()] == [12, 8, 6]
    other = {"collected_at": at(59).isoformat(), "feed": "vlille", "object": "vlille/x.json.gz"}
    batch.load("quarantine", [other], quarantine_schema())
    kept = batch.content()
    for _ in range(2):
        run = batch.run()
        assert (run.status, run.message, run.is_recorded) == (SUCCEEDED, None, True)
        assert batch.content() == kept
        assert batch.changes() == EXPECTED
    assert (run.objects_listed, run.statistics.objects_read, run.statistics.rows_loaded) == (5, 5, 12)
    assert batch.project.tables() == [
        "batch_runs",
        "empty_responses",
        PACKS.name,
        *sorted(["quarantine", *(table.name for table in TABLES)]),
    ]


def test_a_day_that_was_not_loaded_is_made_from_its_packs(batch: PackBatch) -> None:
    batch.add(59, 0, fetched("a", 59, 5), is_loaded=False)
    assert batch.run().status == SUCCEEDED
    assert [len(rows) for rows in batch.content().values()] == [2, 1, 1]


def test_a_day_with_a_minute_that_has_no_pack_is_left_as_it_is(batch: PackBatch) -> None:
    fill(batch)
    for shard in (0, 1):
        batch.project.gcs.bucket(batch.project.archive).blob(pack_name(at(61), shard)).delete()
    before = batch.content()
    run = batch.run()
    assert run.status == FAILED
    assert "1 minutes in" in str(run.message)
    assert batch.content() == before
    assert batch.changes() == []


def test_a_table_that_is_missing_is_named(batch: PackBatch) -> None:
    fill(batch)
    batch.project.bq.delete_table(f"vlille.{CHANGES_TABLE.name}")
    run = batch.run()
    assert (run.status, run.statistics.objects_read) == (FAILED, 0)
    assert f"vlille.{CHANGES_TABLE.name} does not exist" in str(run.message)


@pytest.mark.spark
def test_spark_makes_the_same_of_the_packs(
    batch: PackBatch, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fill(batch)
    streamed = batch.content()
    done = submit(batch.project, batch.project.arguments(str(DAY)))
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["objects_read"] == 5
    assert batch.content() == streamed
    assert batch.changes() == EXPECTED


def test_every_table_of_the_batch_has_its_model() -> None:
    models: tuple[TableModel, ...] = TABLES
    assert PackDayBatches.tables(object.__new__(PackDayBatches)) == tuple(table.name for table in models)
