"""Parquet → staging → days replaced together, on the BigQuery emulator."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from feed import Feed
from spark.parquet import RowsFile, arrow_schema
from spark.warehouse import (
    Replacement,
    WarehouseError,
    check_nothing_lost,
    check_tables,
    new_run,
    record_run,
    replace_days,
)

pytestmark = pytest.mark.emulator

NOW = datetime.now(UTC)  # staging tables expire a day later, in the emulator too
DAYS = (date(2023, 10, 26), date(2023, 10, 28))
SCHEMA: list[dict[str, Any]] = [
    {"name": "collected_at", "type": "TIMESTAMP", "mode": "NULLABLE"},
    {"name": "feed", "type": "STRING", "mode": "NULLABLE"},
    {"name": "at", "type": "DATETIME", "mode": "NULLABLE"},
    {"name": "day", "type": "DATE", "mode": "NULLABLE"},
    {"name": "hour", "type": "TIME", "mode": "NULLABLE"},
    {"name": "share", "type": "FLOAT", "mode": "NULLABLE"},
    {"name": "lines", "type": "STRING", "mode": "REPEATED"},
    {
        "name": "place",
        "type": "RECORD",
        "mode": "NULLABLE",
        "fields": [
            {"name": "name", "type": "STRING", "mode": "NULLABLE"},
            {"name": "screens", "type": "INTEGER", "mode": "REPEATED"},
        ],
    },
]


class Warehouse:
    """Two tables of SCHEMA, and the ways to fill them."""

    def __init__(self, project: Any, folder: Path) -> None:
        self.project, self.folder, self.bq = project, folder, project.bq
        self.runs = 0
        for name in ("stations", "faults"):
            self.bq.create_table(bigquery.Table(self.id(name), schema=SCHEMA))

    def id(self, name: str) -> str:
        return f"{self.project.name}.vlille.{name}"

    def replacement(self, name: str, rows: list[dict[str, Any]], **only: str) -> Replacement:
        """The rows as a Parquet file in the staging bucket."""
        uris = []
        with RowsFile(self.folder / "file", arrow_schema(SCHEMA)) as file:
            file.add([{column["name"]: None for column in SCHEMA} | row for row in rows])
        if rows:
            blob = self.project.gcs.bucket(f"{self.project.name}-staging").blob(f"{name}-{self.runs}.parquet")
            blob.upload_from_filename(str(file.path))
            uris.append(f"gs://{blob.bucket.name}/{blob.name}")
        return Replacement(self.id(name), SCHEMA, uris, len(rows), only)

    def replace(self, stations: list[dict[str, Any]], faults: list[dict[str, Any]]) -> None:
        """One run for DAYS and the feed `a`."""
        self.runs += 1
        replacements = [self.replacement("stations", stations), self.replacement("faults", faults, feed="a")]
        replace_days(self.bq, replacements, DAYS, new_run(NOW), NOW)


def row(day_of_october: int, **columns: Any) -> dict[str, Any]:
    at = datetime(2023, 10, day_of_october, 23, 59, tzinfo=UTC)
    return {"collected_at": at, "feed": "a", "lines": [], **columns}


def seen(table: list[dict[str, Any]]) -> list[tuple[int, str, Any]]:
    return [(each["collected_at"].day, each["feed"], each["share"]) for each in table]


@pytest.fixture(scope="module")
def project(new_project: Callable[[Feed], Any], ods: Feed) -> Any:
    return new_project(ods)


@pytest.fixture
def warehouse(project: Any, tmp_path: Path) -> Iterator[Warehouse]:
    made = Warehouse(project, tmp_path)
    yield made
    for name in project.tables():
        if name in {"stations", "faults", "runs"}:
            made.bq.delete_table(made.id(name))


def test_only_the_days_and_the_feed_are_replaced_and_again_changes_nothing(warehouse: Warehouse) -> None:
    every_day = [row(day, share=0.5) for day in (25, 26, 27, 28, 29)]
    others = [row(day, feed="b", share=0.5) for day in (26, 27)]
    warehouse.replace(every_day, [*every_day, *others])
    for _ in range(2):
        warehouse.replace([row(26, share=1.0), row(26, share=2.0)], [row(28, share=3.0)])
        assert seen(warehouse.project.table("stations")) == [
            (25, "a", 0.5),
            (26, "a", 1.0),
            (26, "a", 2.0),
            (27, "a", 0.5),
            (29, "a", 0.5),
        ]
        assert seen(warehouse.project.table("faults")) == [
            (25, "a", 0.5),
            (26, "b", 0.5),
            (27, "a", 0.5),
            (27, "b", 0.5),
            (28, "a", 3.0),
            (29, "a", 0.5),
        ]
    assert not [name for name in warehouse.project.tables() if "staging" in name]


def test_every_type_arrives_as_it_was(warehouse: Warehouse) -> None:
    full = row(
        26,
        at=datetime(2023, 10, 26, 8, 36, 0, 123456),  # noqa: DTZ001 - a DATETIME has no zone
        day=date(2023, 10, 26),
        hour=datetime(2023, 10, 26, 8, 36, 1, 5, tzinfo=UTC).time(),
        share=3.133873,
        lines=["A", "É"],
        place={"name": "x", "screens": [1, 2**62]},
    )
    empty = row(28)
    warehouse.replace([full, empty], [])
    stored = sorted(warehouse.project.table("stations"), key=lambda each: each["collected_at"])
    assert stored[0] == {column["name"]: None for column in SCHEMA} | full
    assert stored[1]["collected_at"] == empty["collected_at"]
    assert stored[1]["lines"] == []


def test_a_table_that_has_grown_keeps_its_other_columns_null(warehouse: Warehouse) -> None:
    table = warehouse.bq.get_table(warehouse.id("stations"))
    table.schema = [*table.schema, bigquery.SchemaField("newer", "STRING")]
    warehouse.bq.update_table(table, ["schema"])
    warehouse.replace([row(26, share=1.0)], [])
    assert [(each["share"], each["newer"]) for each in warehouse.project.table("stations")] == [(1.0, None)]


def test_both_tables_are_replaced_or_none(warehouse: Warehouse) -> None:
    warehouse.replace([row(26, share=1.0)], [row(26, share=1.0)])
    good = warehouse.replacement("stations", [row(26, share=2.0)])
    bad = Replacement(warehouse.id("absent"), SCHEMA, [], 0, {})
    with pytest.raises(WarehouseError, match="nothing was changed"):
        replace_days(warehouse.bq, [good, bad], DAYS, new_run(NOW), NOW)
    assert seen(warehouse.project.table("stations")) == [(26, "a", 1.0)]
    assert not [name for name in warehouse.project.tables() if "staging" in name]


@pytest.mark.parametrize("rows", [0, 2])
def test_other_than_the_written_number_of_rows_changes_nothing(warehouse: Warehouse, rows: int) -> None:
    warehouse.replace([row(26, share=1.0)], [])
    one = warehouse.replacement("stations", [row(26, share=2.0)])
    with pytest.raises(WarehouseError, match=rf"{rows} rows were written .* and 1 loaded"):
        replace_days(
            warehouse.bq, [Replacement(one.table, SCHEMA, one.uris, rows, {})], DAYS, new_run(NOW), NOW
        )
    assert seen(warehouse.project.table("stations")) == [(26, "a", 1.0)]


def test_a_missing_parquet_file_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.replace([row(26, share=1.0)], [])
    uri = f"gs://{warehouse.project.name}-staging/absent.parquet"
    with pytest.raises(WarehouseError, match="1 Parquet files were not loaded"):
        replace_days(
            warehouse.bq,
            [Replacement(warehouse.id("stations"), SCHEMA, [uri], 1, {})],
            DAYS,
            new_run(NOW),
            NOW,
        )
    assert seen(warehouse.project.table("stations")) == [(26, "a", 1.0)]


def test_minutes_that_the_archive_has_not_are_not_lost(warehouse: Warehouse) -> None:
    warehouse.replace([row(26), row(28)], [])
    table = warehouse.id("stations")
    archived = {datetime(2023, 10, day, 23, 59, tzinfo=UTC) for day in (26, 28)}
    assert check_nothing_lost(warehouse.bq, table, DAYS, archived) == 2
    assert check_nothing_lost(warehouse.bq, table, [date(2023, 10, 27)], set()) == 0
    with pytest.raises(WarehouseError, match=r"1 minutes in .*stations have no object .* 2023-10-28T23:59Z"):
        check_nothing_lost(warehouse.bq, table, DAYS, archived - {datetime(2023, 10, 28, 23, 59, tzinfo=UTC)})


def test_tables_that_must_exist(warehouse: Warehouse) -> None:
    check_tables(warehouse.bq, [warehouse.id("stations")])
    with pytest.raises(WarehouseError, match=r"absent does not exist: deploy the stack"):
        check_tables(warehouse.bq, [warehouse.id("stations"), warehouse.id("absent")])


def test_a_run_is_recorded_once(warehouse: Warehouse) -> None:
    schema = [{"name": "run_id", "type": "STRING", "mode": "NULLABLE"}]
    warehouse.bq.create_table(bigquery.Table(warehouse.id("runs"), schema=schema))
    started = datetime(2023, 10, 29, 3, 15, tzinfo=UTC)
    run = new_run(started)
    for _ in range(2):
        record_run(warehouse.bq, warehouse.id("runs"), schema, {"run_id": run})
    assert warehouse.project.table("runs") == [{"run_id": run}]
    assert run.startswith("20231029T031500_")
    assert run != new_run(started)
