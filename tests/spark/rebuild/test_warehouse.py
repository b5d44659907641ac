"""Parquet → staging → days replaced together, on the BigQuery emulator."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound, RetryError, ServiceUnavailable
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import TransportError
from google.cloud import bigquery

from feed import Feed
from spark.parquet import RowsFile, arrow_schema
from spark.rebuild.warehouse import (
    Replacement,
    UnknownJobStateError,
    WarehouseError,
    check_nothing_lost,
    check_tables,
    make_run_id,
    record_run,
    replace_days,
)
from tests.spark.conftest import LOCATION

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


def make_error(kind: Callable[..., Exception], *words: Any) -> Exception:
    """Return an error of a library whose error classes are untyped."""
    return kind(*words)


class Poll:
    """A job as one call of `get_job` returned it."""

    def __init__(self, state: str, error: str | None = None) -> None:
        self.state, self.error_result, self.output_rows = state, error and {"message": error}, 1


class LostWait:
    """A client that loses the connection to a script that BigQuery continues; records its calls, in order."""

    def __init__(self, begin: Exception | None, *seen: Poll | Exception) -> None:
        self.begin, self.seen, self.calls = begin, list(seen), list[str]()

    def query(self, script: str, **_: Any) -> Any:
        self.calls.append("query")
        raise self.begin or AssertionError

    def get_job(self, job_id: str, **_: Any) -> Poll:
        poll = self.seen.pop(0)
        self.calls.append("lost" if isinstance(poll, Exception) else poll.state)
        if isinstance(poll, Exception):
            raise poll
        return poll

    def create_table(self, *_: Any, **__: Any) -> None:
        self.calls.append("create_table")

    def load_table_from_uri(self, *_: Any, **__: Any) -> Any:
        self.calls.append("load")
        return self

    output_rows = 1

    def result(self) -> None:
        pass

    def delete_table(self, *_: Any, **__: Any) -> None:
        self.calls.append("delete_table")


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
        replace_days(self.bq, replacements, DAYS, make_run_id(NOW), NOW)


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


def test_only_the_feeds_days_are_replaced_and_a_second_run_changes_nothing(warehouse: Warehouse) -> None:
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
        at=datetime(2023, 10, 26, 8, 36, 0, 123456),  # noqa: DTZ001 - a DATETIME has no time zone
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
    with pytest.raises(WarehouseError, match="no table was changed"):
        replace_days(warehouse.bq, [good, bad], DAYS, make_run_id(NOW), NOW)
    assert seen(warehouse.project.table("stations")) == [(26, "a", 1.0)]
    assert not [name for name in warehouse.project.tables() if "staging" in name]


@pytest.mark.parametrize("rows", [0, 2])
def test_an_unexpected_number_of_loaded_rows_changes_nothing(warehouse: Warehouse, rows: int) -> None:
    warehouse.replace([row(26, share=1.0)], [])
    loaded = warehouse.replacement("stations", [row(26, share=2.0)])
    with pytest.raises(WarehouseError, match=rf"{rows} rows were written .* but 1 were loaded"):
        replace_days(
            warehouse.bq,
            [Replacement(loaded.table, SCHEMA, loaded.uris, rows, {})],
            DAYS,
            make_run_id(NOW),
            NOW,
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
            make_run_id(NOW),
            NOW,
        )
    assert seen(warehouse.project.table("stations")) == [(26, "a", 1.0)]


def test_lost_responses_to_load_and_replacement_change_nothing(warehouse: Warehouse) -> None:
    """The client asks again, and BigQuery says 409: the job of that id is its own."""
    bigquery_proxy, run = warehouse.project.bigquery_proxy, make_run_id(NOW)
    client = bigquery.Client(
        project=warehouse.project.name,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": bigquery_proxy.url},
        location=LOCATION,
    )
    bigquery_proxy.losing.update({f"stations_staging_{run}-0".encode(): 1, f"{run}-replace".encode(): 1})
    replacement = warehouse.replacement("stations", [row(26, share=1.0)])
    replace_days(client, [replacement], DAYS, run, NOW)
    assert not any(bigquery_proxy.losing.values())
    assert seen(warehouse.project.table("stations")) == [(26, "a", 1.0)]
    assert not [name for name in warehouse.project.tables() if "staging" in name]


ONE_ROW = Replacement("p.d.t", SCHEMA, ["gs://b/1.parquet"], 1, {})
BEGUN = ["create_table", "load", "query"]
LOST = make_error(RetryError, "Timeout of 600.0s exceeded", make_error(ConnectionError, "reset"))


@pytest.mark.parametrize(
    "lost",
    [
        LOST,
        make_error(Conflict, "Already Exists: Job"),
        make_error(ConnectionError, "reset"),
        make_error(TransportError, "no token"),
    ],
)
def test_a_replacement_with_unknown_state_is_waited_for(
    lost: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark.rebuild.warehouse.POLL_SECONDS", 0)
    client = LostWait(lost, make_error(NotFound, "not yet"), Poll("PENDING"), Poll("RUNNING"), Poll("DONE"))
    replace_days(cast("bigquery.Client", client), [ONE_ROW], DAYS, "r", NOW)
    assert client.calls == [*BEGUN, "lost", "PENDING", "RUNNING", "DONE", "delete_table"]


@pytest.mark.parametrize(
    ("polls", "says"),
    [
        ([Poll("RUNNING"), Poll("DONE", "no slots")], r"no table was changed \(no slots\)"),
        ([make_error(NotFound, "no such job")], r"no table was changed \(Syntax error\)"),
    ],
)
def test_a_failed_or_missing_job_changes_nothing(
    polls: list[Poll | Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark.rebuild.warehouse.POLL_SECONDS", 0)
    client = LostWait(make_error(BadRequest, "Syntax error"), *polls)
    with pytest.raises(WarehouseError, match=says):
        replace_days(cast("bigquery.Client", client), [ONE_ROW], DAYS, "r", NOW)
    assert client.calls[-1] == "delete_table"


def test_of_a_lost_script_the_state_is_unknown_and_nothing_is_deleted() -> None:
    client = LostWait(LOST, LOST)
    with pytest.raises(UnknownJobStateError, match=r"vlille-batch-r-replace is unknown .*look it up"):
        replace_days(cast("bigquery.Client", client), [ONE_ROW], DAYS, "r", NOW)
    assert client.calls == [*BEGUN, "lost"]


def test_a_staging_table_that_stays_is_no_failure() -> None:
    class Client(LostWait):
        def query(self, script: str, **_: Any) -> Any:
            return self

        def delete_table(self, *_: Any, **__: Any) -> None:
            super().delete_table()
            raise make_error(ServiceUnavailable, "backendError")

    client = Client(None)
    replace_days(cast("bigquery.Client", client), [ONE_ROW], DAYS, "r", NOW)
    assert client.calls == ["create_table", "load", "delete_table"]


def test_minutes_that_the_archive_has_not_are_not_lost(warehouse: Warehouse) -> None:
    warehouse.replace([row(26), row(28)], [])
    table = warehouse.id("stations")
    archived = {datetime(2023, 10, day, 23, 59, tzinfo=UTC) for day in (26, 28)}
    assert check_nothing_lost(warehouse.bq, table, DAYS, archived) == 2
    assert check_nothing_lost(warehouse.bq, table, [date(2023, 10, 27)], set()) == 0
    with pytest.raises(WarehouseError, match=r"1 minutes in .*stations have no object .* 2023-10-28T23:59Z"):
        check_nothing_lost(warehouse.bq, table, DAYS, archived - {datetime(2023, 10, 28, 23, 59, tzinfo=UTC)})


def test_a_response_that_gave_no_row_is_not_lost_either(warehouse: Warehouse) -> None:
    midnight = datetime(2023, 10, 26, tzinfo=UTC)
    table = warehouse.id("quarantine")
    kept = {"bikes": "html", "trams": "html", "others": "bad_name"}
    rows = [{"collected_at": midnight.isoformat(), "feed": feed, "reason": kept[feed]} for feed in kept]
    warehouse.bq.load_table_from_json(rows, table).result()
    has_tick = "`feed` = '{}' AND `reason` != 'bad_name'"
    bikes, others = has_tick.format("bikes"), has_tick.format("others")
    assert check_nothing_lost(warehouse.bq, table, DAYS, {midnight}, where=bikes) == 1
    assert check_nothing_lost(warehouse.bq, table, DAYS, set(), where=others) == 0
    with pytest.raises(
        WarehouseError, match=r"1 minutes in .*quarantine have no object .* 2023-10-26T00:00Z"
    ):
        check_nothing_lost(warehouse.bq, table, DAYS, set(), where=bikes)


def test_tables_that_must_exist(warehouse: Warehouse) -> None:
    check_tables(warehouse.bq, [warehouse.id("stations")])
    with pytest.raises(WarehouseError, match=r"absent does not exist: deploy the stack"):
        check_tables(warehouse.bq, [warehouse.id("stations"), warehouse.id("absent")])


def test_a_run_is_recorded_once(warehouse: Warehouse) -> None:
    schema = [{"name": "run_id", "type": "STRING", "mode": "NULLABLE"}]
    warehouse.bq.create_table(bigquery.Table(warehouse.id("runs"), schema=schema))
    started = datetime(2023, 10, 29, 3, 15, tzinfo=UTC)
    run = make_run_id(started)
    for _ in range(2):
        record_run(warehouse.bq, warehouse.id("runs"), schema, {"run_id": run})
    assert warehouse.project.table("runs") == [{"run_id": run}]
    assert run.startswith("20231029T031500_")
    assert run != make_run_id(started)


def test_a_former_attempt_that_failed_is_no_record(warehouse: Warehouse) -> None:
    """The job ID of a failed attempt cannot be reused, as that of a successful one."""
    schema = [
        {"name": "run_id", "type": "STRING", "mode": "NULLABLE"},
        {"name": "rows", "type": "INTEGER", "mode": "NULLABLE"},
    ]
    warehouse.bq.create_table(bigquery.Table(warehouse.id("runs"), schema=schema))
    run = make_run_id(NOW)
    for rows in ("many", 1):
        with pytest.raises(WarehouseError, match=r"its row was not loaded \("):
            record_run(warehouse.bq, warehouse.id("runs"), schema, {"run_id": run, "rows": rows})
