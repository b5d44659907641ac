"""The emulators' start, their programs, and their data after a restart."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
from google.cloud import bigquery

from local.data_plane import bigquery_emulator
from local.data_plane.emulators import (
    DEFAULT_PROJECT,
    INSTALL_EXTENSIONS,
    Emulators,
    duckdb_home,
    open_session,
    start_emulators,
    storage_binary,
)
from local.errors import MissingToolError
from local.processes.supervisor import Supervisor
from tests.conftest import bigquery_client

ROOT = Path(__file__).parents[3]


@pytest.mark.unit
def test_the_storage_emulators_program_is_executable() -> None:
    assert os.access(storage_binary(), os.X_OK)


@pytest.mark.unit
@pytest.mark.parametrize(("system", "processor"), [("Plan9", "x86_64"), ("Linux", "riscv64")])
def test_a_platform_without_a_program_is_refused(system: str, processor: str) -> None:
    with pytest.raises(MissingToolError, match=f"no program for {system} on {processor}: .*is missing; run"):
        storage_binary(system, processor)


@pytest.mark.emulator
def test_extensions_are_unpacked_once(tmp_path: Path) -> None:
    home = duckdb_home(tmp_path)
    names = {file.name for file in home.rglob("*.duckdb_extension")}
    assert names == {f"{name}.duckdb_extension" for name in ("icu", "ducklake", "spatial", "httpfs")}
    marker = home / "untouched"
    marker.touch()
    assert duckdb_home(tmp_path) == home
    assert marker.exists()
    assert [path.name for path in tmp_path.iterdir()] == [home.name]


@pytest.mark.emulator
def test_extensions_are_unpacked_from_a_path_with_an_apostrophe(tmp_path: Path) -> None:
    packages = tmp_path / "l'été"
    packages.mkdir()
    installed = find_spec("duckdb_extension_icu")
    assert installed is not None
    assert installed.origin is not None
    (packages / "duckdb_extension_icu").symlink_to(Path(installed.origin).parent)
    subprocess.run(
        [sys.executable, "-c", INSTALL_EXTENSIONS, "icu"],
        env={"HOME": str(tmp_path), "PYTHONPATH": str(packages)},
        check=True,
        timeout=60,
    )
    assert [file.name for file in tmp_path.rglob(".duckdb/**/*.duckdb_extension")] == ["icu.duckdb_extension"]


@pytest.mark.emulator
def test_data_survives_a_kill_and_a_restart(tmp_path: Path) -> None:
    folder, record = tmp_path / "dev", tmp_path / "dev" / "processes.json"
    with Supervisor(record) as supervisor:
        urls = start_emulators(supervisor, folder, extensions=ROOT / ".cache")
        requests.post(f"{urls.gcs_url}/storage/v1/b", json={"name": "kept"}, timeout=10).raise_for_status()
        upload = f"{urls.gcs_url}/upload/storage/v1/b/kept/o?uploadType=media&name=a/b"
        requests.post(upload, data=b"bytes", timeout=10).raise_for_status()
        query = f"{urls.bigquery_url}/bigquery/v2/projects/{DEFAULT_PROJECT}/queries"
        statement = "CREATE SCHEMA d; CREATE TABLE d.t AS SELECT 42 AS n"
        requests.post(query, json={"query": statement, "useLegacySql": False}, timeout=30).raise_for_status()
        storage = supervisor.processes[0 if supervisor.processes[0].name.startswith("storage") else 1]
        os.kill(storage.pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while not held(urls.gcs_url):
            assert time.monotonic() < end, "the storage emulator did not come back with its object"
            time.sleep(0.05)
        assert storage.restarts == 1
    with Supervisor(record) as supervisor:
        urls = start_emulators(supervisor, folder, extensions=ROOT / ".cache")
        assert held(urls.gcs_url)
        query = f"{urls.bigquery_url}/bigquery/v2/projects/{DEFAULT_PROJECT}/queries"
        response = requests.post(
            query, json={"query": "SELECT n FROM d.t", "useLegacySql": False}, timeout=30
        )
        assert response.json()["rows"] == [{"f": [{"v": "42"}]}]


def held(url: str) -> bool:
    try:
        response = requests.get(f"{url}/storage/v1/b/kept/o/a%2Fb?alt=media", timeout=10)
    except requests.ConnectionError:
        return False
    return response.content == b"bytes"


class _Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.mark.unit
def test_a_request_is_retried_until_the_emulator_is_started() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo, bind_and_activate=False) as server:
        server.server_bind()  # the port is taken, and connections are refused until the server listens
        url = f"http://127.0.0.1:{server.server_address[1]}/"

        def start() -> None:
            server.server_activate()
            server.serve_forever(0.01)

        timer = threading.Timer(0.5, start)
        timer.start()
        assert open_session().post(url, data=b"rows", timeout=10).content == b"rows"
        server.shutdown()
        timer.join()


@pytest.mark.unit
def test_a_write_with_a_lost_response_is_not_retried() -> None:
    calls: list[str] = []

    class Hangup(_Echo):
        def do_POST(self) -> None:
            calls.append(self.path)
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Hangup) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        with pytest.raises(requests.ConnectionError):
            open_session().post(f"http://127.0.0.1:{server.server_address[1]}/", data=b"rows", timeout=10)
        server.shutdown()
    assert calls == ["/"]


# As src/spark/rebuild/warehouse.py sends it.
REPLACE_DAY = """
BEGIN TRANSACTION;
SELECT IF((SELECT COUNT(DISTINCT collected_at) FROM `{0}.d.t` WHERE DATE(collected_at) IN (DATE '2026-11-23')) = 60,
  NULL, ERROR('other minutes'));
DELETE FROM `{0}.d.t` WHERE DATE(collected_at) IN (DATE '2026-11-23');
INSERT INTO `{0}.d.t` (`collected_at`, `n`) SELECT `collected_at`, `n` FROM `{0}.d.staged`;
COMMIT TRANSACTION;
"""


@pytest.mark.emulator
def test_days_are_replaced_twenty_times_while_ticks_are_loaded(emulators: Emulators) -> None:
    """As in BigQuery, a transaction and load jobs on one table must not make each other fail."""
    project = "beside"
    client = bigquery_client(emulators, project)
    client.create_dataset("d")
    columns = [bigquery.SchemaField("collected_at", "TIMESTAMP"), bigquery.SchemaField("n", "INTEGER")]
    config = bigquery.LoadJobConfig(schema=columns, write_disposition="WRITE_APPEND")
    for name in ("t", "staged"):
        client.create_table(bigquery.Table(f"{project}.d.{name}", schema=columns))
        day = [{"collected_at": f"2026-11-23T10:{n:02}:00Z", "n": n} for n in range(60)]
        client.load_table_from_json(day, f"{project}.d.{name}", job_config=config).result()
    loaded, ended = itertools.count(), threading.Event()

    def tick_on() -> None:
        while not ended.is_set():
            row = {"collected_at": "2026-11-24T00:00:00Z", "n": next(loaded)}
            client.load_table_from_json([row], f"{project}.d.t", job_config=config).result()

    with ThreadPoolExecutor(1) as pool:
        going_on = pool.submit(tick_on)
        try:
            for _ in range(20):
                client.query(REPLACE_DAY.format(project), job_retry=None).result()
        finally:
            ended.set()
        going_on.result()
    query = f"SELECT EXTRACT(DAY FROM collected_at) AS day, COUNT(*) AS n FROM `{project}.d.t` GROUP BY 1"  # noqa: S608
    assert {row.day: row.n for row in client.query(query).result()} == {23: 60, 24: next(loaded)}


@pytest.mark.unit
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", False),
        ("SELECT updated_at FROM t", False),
        ("begin  transaction; SELECT 1; commit transaction", True),
        ("DELETE FROM t WHERE TRUE", True),
        ("merge t USING s ON FALSE WHEN NOT MATCHED THEN INSERT ROW", True),
    ],
)
def test_jobs_that_change_rows_wait_for_one_another(statement: str, expected: bool) -> None:
    assert (bigquery_emulator.CHANGES.search(statement) is not None) is expected
