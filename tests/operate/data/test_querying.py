"""The data that `make sql` and `make export` read: rows of a local environment, each once; files of a day."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from google.cloud import bigquery

from commands.errors import UsageError
from local.data_plane.emulators import start_emulators
from local.data_plane.warehouse import Warehouse, open_warehouse
from local.errors import LocalError
from local.processes.supervisor import Supervisor
from operate.data.local_database import LocalDatabase, open_local_warehouse
from operate.data.prompt import QueryFailedError
from operate.data.querying import build_day_query, check_system, name_export_file, write_rows
from operate.errors import OperateError
from tests.conftest import bigquery_client

ROOT = Path(__file__).parents[3]
BATCH = pa.record_batch(
    {
        "collected_at": pa.array([datetime(2026, 11, 24, 7, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        "name": ["CORMONTAIGNE, LILLE"],
        "bikes": pa.array([None], pa.int64()),
    }
)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (date(2026, 11, 24), "2026-11-23 23:00:00+00", "2026-11-24 23:00:00+00"),
        (date(2026, 3, 29), "2026-03-28 23:00:00+00", "2026-03-29 22:00:00+00"),  # clocks go forward
    ],
)
def test_a_day_begins_at_local_midnight(day: date, start: str, end: str) -> None:
    sql = build_day_query(day, ZoneInfo("Europe/Paris"))
    assert f"collected_at >= TIMESTAMP '{start}' AND collected_at < TIMESTAMP '{end}'" in sql


@pytest.mark.unit
@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("Europe/Paris", "DATE '2026-11-23' AND DATE '2026-11-24'"),
        ("America/Montreal", "DATE '2026-11-24' AND DATE '2026-11-25'"),
        ("UTC", "DATE '2026-11-24' AND DATE '2026-11-24'"),
    ],
)
def test_a_day_of_a_system_reads_its_own_partitions_and_cluster(zone: str, days: str) -> None:
    sql = build_day_query(date(2026, 11, 24), ZoneInfo(zone), "Paris")
    assert f'FROM gbfs_availability WHERE day BETWEEN {days} AND feed = "Paris" AND collected_at >= ' in sql


@pytest.mark.unit
@pytest.mark.parametrize(
    ("system", "name"),
    [
        (None, "availability_2026-11-24.csv"),
        ("Bixi_MTL", "availability_Bixi_MTL_2026-11-24.csv"),
        ("dott-oslo", "availability_dott-oslo_2026-11-24.csv"),
        ("dott-bodø", "availability_dott_bodo_5dfd3085_2026-11-24.csv"),
        ("../../a b", "availability_a_b_cd36d98f_2026-11-24.csv"),
        ("京都", "availability_58d07b8a_2026-11-24.csv"),
    ],
)
def test_the_file_of_a_system_has_a_safe_name(system: str | None, name: str) -> None:
    file = name_export_file("dev", date(2026, 11, 24), "csv", system)
    assert file == Path(".local") / "exports" / "dev" / name


@pytest.mark.unit
def test_an_unknown_system_is_refused_with_those_that_are_known() -> None:
    check_system("Paris", ["Paris", "v_lille"], "the environment dev")
    with pytest.raises(
        UsageError,
        match=re.escape(
            "SYSTEM: found 'paris' (did you mean \"Paris\"?); accepted: Paris, v_lille "
            "(the GBFS systems of the environment dev)"
        ),
    ):
        check_system("paris", ["Paris", "v_lille"], "the environment dev")
    with pytest.raises(UsageError, match=r"s018, s019 and 1 more \(the GBFS systems of "):
        check_system("zzz", [f"s{number:03}" for number in range(21)], "the environment dev")
    with pytest.raises(UsageError, match=r"the local data of dev has no GBFS systems: .*CITY=lille,paris"):
        check_system("Paris", [], "the local data of dev")


@pytest.mark.unit
def test_rows_are_written_as_parquet(tmp_path: Path) -> None:
    file = tmp_path / "new" / "day.parquet"
    assert write_rows(iter([BATCH, BATCH]), file, "parquet") == 2
    assert pa.parquet.read_table(file).to_pylist() == [*BATCH.to_pylist(), *BATCH.to_pylist()]
    assert [each.name for each in file.parent.iterdir()] == ["day.parquet"]


@pytest.mark.unit
def test_rows_are_written_as_csv(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    assert write_rows(iter([BATCH]), file, "csv") == 1
    assert file.read_text() == (
        '"collected_at","name","bikes"\n2026-11-24 07:00:00.000000Z,"CORMONTAIGNE, LILLE",\n'
    )


@pytest.mark.unit
def test_a_day_without_rows_or_with_an_error_writes_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield BATCH
        raise QueryFailedError("quota")

    assert write_rows(iter([]), tmp_path / "a.parquet", "parquet") == 0
    with pytest.raises(QueryFailedError):
        write_rows(broken(), tmp_path / "a.parquet", "parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.unit
def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(LocalError, match="has no data: collect some with `make demo` or `make up`"),
        open_warehouse(tmp_path, tmp_path),
    ):
        pass


@pytest.mark.unit
def test_a_query_before_the_first_run_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(OperateError, match="dev has no data: collect some with `make demo` or `make up`"),
        open_local_warehouse("dev", tmp_path),
    ):
        pass


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, bigquery.Client]]:
    """A table of which a day was replaced, as by the nightly rebuild, and a view; the emulator is running."""
    folder = tmp_path_factory.mktemp("run's data") / "dev"
    with Supervisor(folder / "processes.json") as supervisor:
        urls = start_emulators(supervisor, folder, extensions=ROOT / ".cache")
        client = bigquery_client(urls, "of-a-run")
        for statement in (
            "CREATE SCHEMA vlille; CREATE SCHEMA vlille_views",
            "CREATE TABLE vlille.t (collected_at TIMESTAMP, name STRING, bikes INT64)",
            "INSERT INTO vlille.t VALUES ('2026-11-24T07:00:00Z', 'a', 1), ('2026-11-24T07:01:00Z', 'a', NULL)",
            "BEGIN TRANSACTION; DELETE FROM vlille.t WHERE TRUE;"
            "INSERT INTO vlille.t VALUES ('2026-11-24T07:00:00Z', 'a', 1), ('2026-11-24T07:01:00Z', 'a', NULL);"
            "COMMIT TRANSACTION",
            "CREATE VIEW vlille_views.v AS SELECT name, COUNTIF(bikes IS NULL) AS unknown FROM vlille.t GROUP BY name",
        ):
            client.query(statement).result()
        with open_warehouse(folder, ROOT / ".cache") as warehouse:
            yield warehouse, client


@pytest.mark.emulator
def test_each_row_is_read_once_while_the_emulator_runs(rebuilt: tuple[Warehouse, bigquery.Client]) -> None:
    database = LocalDatabase(rebuilt[0])
    found = database.run_query("SELECT collected_at, name, bikes FROM vlille.t ORDER BY collected_at")
    assert list(found.columns) == ["collected_at", "name", "bikes"]
    assert list(found.rows) == [
        ("2026-11-24 07:00:00+00", "a", "1"),
        ("2026-11-24 07:01:00+00", "a", None),
    ]
    assert list(database.run_query("SELECT * FROM v").rows) == [("a", "1")], (
        "the views need no dataset's name"
    )
    assert list(database.run_query("WITH n AS (SELECT 1 AS x) SELECT x FROM n").rows) == [("1",)]
    assert {"vlille.t", "vlille_views.v"} <= set(database.list_tables())
    batches = list(database.batches("SELECT bikes FROM `of-a-run.vlille.t` ORDER BY collected_at"))
    assert [row["bikes"] for batch in batches for row in batch.to_pylist()] == [1, None]


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DELETE FROM vlille.t WHERE TRUE", "the data is read-only: expected one query"),
        ("SELECT 1; SELECT 2", "the data is read-only: expected one query"),
        ("CREATE TABLE vlille.u AS SELECT 1 AS x", "the data is read-only"),
        ("SELECT * FROM absent", "Not found: Table of-a-run:vlille_views.absent"),
        ("SELECT FROM WHERE", "Syntax error"),
        ("SELECT nope FROM vlille.t", "nope"),
    ],
)
def test_statements_other_than_queries_are_refused(
    rebuilt: tuple[Warehouse, bigquery.Client], sql: str, expected: str
) -> None:
    database = LocalDatabase(rebuilt[0])
    with pytest.raises(QueryFailedError, match=expected):
        database.run_query(sql)
    with pytest.raises(QueryFailedError, match=expected):
        list(database.batches(sql))
    assert [row.n for row in rebuilt[1].query("SELECT COUNT(*) AS n FROM vlille.t").result()] == [2]


@pytest.mark.emulator
def test_a_local_run_without_gbfs_has_no_systems(rebuilt: tuple[Warehouse, bigquery.Client]) -> None:
    assert LocalDatabase(rebuilt[0]).list_systems("vlille") == []
