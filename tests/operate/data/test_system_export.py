"""A day of a GBFS system as `make export SYSTEM=…` writes it, on the emulators."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest
from google.cloud import bigquery

from cdk.settings import load_environments
from commands.errors import UsageError
from gbfs.tables import TABLES
from gbfs.views import VIEW, format_availability_sql
from local.data_plane.emulators import start_emulators
from local.data_plane.warehouse import open_warehouse
from local.processes.supervisor import Supervisor
from operate.command_line import parse
from operate.data.local_database import LocalDatabase
from operate.deployed_commands import QUERY_COMMANDS
from operate.errors import OperateError
from tests.conftest import ENVIRONMENTS, bigquery_client

pytestmark = pytest.mark.emulator

ROOT = Path(__file__).parents[3]
DEV = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]
ODD_SYSTEM = "Bodø / \"x\" 'y' \\n"
RECEIVED = [  # of each system: before, in and after the day in Paris
    datetime(2026, 4, 30, 21, 59, tzinfo=UTC),
    datetime(2026, 4, 30, 22, 0, tzinfo=UTC),
    datetime(2026, 5, 1, 21, 59, tzinfo=UTC),
    datetime(2026, 5, 1, 22, 0, tzinfo=UTC),
]


ROWS: dict[str, dict[str, object]] = {
    "station_status": {"station_id": "1", "num_vehicles_available": 7},
    "polls": {"file": "station_status", "outcome": "received"},
    "systems": {"event": "appeared"},
}


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDatabase]:
    """The tables and the view of two GBFS systems, one of which has an ID that must be quoted."""
    folder = tmp_path_factory.mktemp("systems") / "dev"
    with Supervisor(folder / "processes.json") as supervisor:
        client = bigquery_client(
            start_emulators(supervisor, folder, extensions=ROOT / ".cache"), "of-systems"
        )
        client.query("CREATE SCHEMA vlille; CREATE SCHEMA vlille_views").result()
        for table in TABLES.values():
            client.create_table(bigquery.Table(f"of-systems.vlille.{table.name}", schema=table.schema))
        for name, values in ROWS.items():
            times = RECEIVED[:1] if name == "systems" else RECEIVED
            column = "valid_from" if name == "systems" else "collected_at"
            rows = [
                values | {"system_id": system, column: each.isoformat()}
                for system in ("Paris", ODD_SYSTEM)
                for each in times
            ]
            client.load_table_from_json(
                rows,
                f"of-systems.vlille.{name}",
                job_config=bigquery.LoadJobConfig(
                    schema=[bigquery.SchemaField.from_api_repr(each) for each in TABLES[name].schema]
                ),
            ).result()
        view = bigquery.Table(f"of-systems.vlille_views.{VIEW}")
        view.view_query = format_availability_sql("of-systems.vlille", 7, "DATE '2026-05-02'")
        client.create_table(view)
        with open_warehouse(folder, ROOT / ".cache") as warehouse:
            yield LocalDatabase(warehouse)


@pytest.mark.parametrize("system", ["Paris", ODD_SYSTEM])
def test_a_day_of_one_system_is_exported(
    systems: LocalDatabase,
    system: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["export", "--local", "--day=2026-05-01", f"--system={system}"]
    assert QUERY_COMMANDS["export"](systems, DEV, parse(argv, {})) == 0
    [file] = (tmp_path / ".local" / "exports" / "dev").iterdir()
    rows = pyarrow.parquet.read_table(file).to_pylist()
    assert [(row["feed"], row["collected_at"], row["num_bikes_available"]) for row in rows] == [
        (system, each, 7) for each in RECEIVED[1:3]
    ]
    assert "day" not in rows[0]
    assert f"{file.relative_to(tmp_path)}: 2 rows, " in capsys.readouterr().out


def test_a_system_that_the_local_data_lacks_is_refused(systems: LocalDatabase) -> None:
    assert systems.list_systems("vlille") == sorted(["Paris", ODD_SYSTEM])
    argv = ["export", "--local", "--day=2026-05-01", "--system=Pari"]
    with pytest.raises(
        UsageError, match=r'"Paris"\?\); accepted: .*Paris \(the GBFS systems of the local data of dev\)'
    ):
        QUERY_COMMANDS["export"](systems, DEV, parse(argv, {}))


def test_the_error_for_a_day_without_rows_has_a_query_for_the_others(systems: LocalDatabase) -> None:
    argv = ["export", "--local", "--day=2026-04-01", "--system=Paris"]
    with pytest.raises(OperateError, match="2026-04-01 of 'Paris' has no rows; `SELECT ") as failed:
        QUERY_COMMANDS["export"](systems, DEV, parse(argv, {}))
    days = systems.run_query(str(failed.value).split("`")[1])
    assert [*days.rows] == [("2026-04-30",), ("2026-05-01",)]
