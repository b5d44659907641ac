"""The job as the workflow template submits it: zips on the path, Spark, real clients, kill -9 and again."""

import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdk.artifacts.spark_packages import build_packages_zip
from feed import Feed, archive_name, batch_runs_schema, compress, parse_response
from tests.spark.conftest import MASTER

pytestmark = pytest.mark.spark

CACHE = Path(__file__).parents[2] / ".cache"
MIDNIGHT = datetime(2023, 10, 26, tzinfo=UTC)
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OUTPUT_DEADLINE_S = 90

Submit = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Rebuilt:
    """A project after one run of the job, and the output of the run."""

    project: Any
    responses: int
    records: int
    done: subprocess.CompletedProcess[str]
    packages: Path

    def content(self) -> dict[str, list[dict[str, Any]]]:
        return {name: self.project.table(name) for name in (self.project.feed.name, "quarantine")}


@pytest.fixture(scope="module")
def rebuilt(new_project: Callable[[Feed], Any], ods: Feed, submit: Submit) -> Rebuilt:
    """A day with one response per hour and some faults, rebuilt with packages for this Python version."""
    project = new_project(ods)
    for hour in range(24):
        project.archive_response(MIDNIGHT + timedelta(hours=hour, minutes=hour), ods.sample)
    project.put(archive_name(ods.name, MIDNIGHT + timedelta(minutes=50)), compress(ods.sample)[:-9])
    project.put(archive_name(ods.name, MIDNIGHT + timedelta(minutes=51)), compress(b"<html>down</html>"))
    project.put(f"feed={ods.name}/date=2023-10-26/hour=07/data.json", ods.sample)
    packages = build_packages_zip(THIS_PYTHON, CACHE)
    done = submit(project, project.arguments("2023-10-26"), packages)
    assert done.returncode == 0, done.stderr[-4000:]
    return Rebuilt(project, 24, len(parse_response(ods, ods.sample, MIDNIGHT).rows), done, packages)


def test_the_last_line_is_the_run_as_json(rebuilt: Rebuilt) -> None:
    run = json.loads(rebuilt.done.stdout.splitlines()[-1])
    rows = rebuilt.responses * rebuilt.records
    assert list(run) == ["event", *(column["name"] for column in batch_runs_schema())]
    assert (
        run
        | {
            "event": "batch_finished",
            "status": "succeeded",
            "first_day": "2023-10-26",
            "objects_listed": rebuilt.responses + 3,
            "objects_read": rebuilt.responses,
            "objects_quarantined": 3,
            "rows_parsed": rows,
            "rows_loaded": rows,
            "rows_rejected": 0,
        }
        == run
    )


def test_the_rows_equal_those_of_parse_response(rebuilt: Rebuilt, ods: Feed) -> None:
    stored = rebuilt.project.table(ods.name)
    for hour in range(24):
        tick = MIDNIGHT + timedelta(hours=hour, minutes=hour)
        rows = [row for row in stored if row["collected_at"] == tick]
        assert sorted(rows, key=lambda row: row["libelle"]) == sorted(
            parse_response(ods, ods.sample, tick).rows, key=lambda row: row["libelle"]
        )
    assert sorted(row["reason"] for row in rebuilt.project.table("quarantine")) == [
        "bad_name",
        "html",
        "unreadable",
    ]


def test_every_job_call_has_the_location_of_the_dataset(rebuilt: Rebuilt) -> None:
    """The proxy returned 404 to any call without it, as BigQuery does outside of US and EU."""
    assert len(rebuilt.project.bigquery_proxy.located) > 4  # a query, loads, the replacement and the run
    assert rebuilt.project.bigquery_proxy.unlocated == []


def test_the_submitted_packages_zip_is_used(rebuilt: Rebuilt) -> None:
    folder = (
        Path(rebuilt.project.environment["HOME"]) / f"vlille-packages-{os.getuid()}" / rebuilt.packages.stem
    )
    assert (folder / "pyarrow").is_dir()


def test_log_lines_are_json_with_a_severity(rebuilt: Rebuilt) -> None:
    # spark-submit writes what its Python program writes, to either stream, to standard output.
    *lines, _ = [json.loads(line) for line in rebuilt.done.stdout.splitlines() if line.startswith("{")]
    assert "2023-10-26: 27 objects listed" in [
        line["message"] for line in lines if line["severity"] == "INFO"
    ]
    assert all({"severity", "time", "message"} <= line.keys() for line in lines)


def test_the_master_is_that_of_spark_submit(rebuilt: Rebuilt) -> None:
    lines = [json.loads(line) for line in rebuilt.done.stdout.splitlines() if line.startswith("{")]
    assert [(line["master"], line["parallelism"]) for line in lines if "master" in line] == [(MASTER, 3)]


def test_killed_in_the_middle_and_run_again(rebuilt: Rebuilt, submission: Callable[..., list[str]]) -> None:
    """kill -9 of driver, JVM and workers; the next run gives the same table, with the environment's packages."""
    project, before = rebuilt.project, rebuilt.content()
    project.archive_response(MIDNIGHT + timedelta(minutes=59), project.feed.sample)
    killed = subprocess.Popen(
        submission(project.arguments("2023-10-26")),
        env=dict(project.environment),
        cwd=project.environment["HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(OUTPUT_DEADLINE_S, os.killpg, (killed.pid, signal.SIGKILL))
    watchdog.start()
    assert killed.stdout is not None
    has_written = any("rows written" in line for line in killed.stdout)  # reads to this line, at most
    os.killpg(killed.pid, signal.SIGKILL)
    watchdog.cancel()
    killed.stdout.close()
    killed.wait()
    assert has_written
    assert killed.returncode == -signal.SIGKILL
    between = rebuilt.content()
    again = subprocess.run(
        submission(project.arguments("2023-10-26")),
        env=dict(project.environment),
        cwd=project.environment["HOME"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert again.returncode == 0, again.stderr[-4000:]
    after = rebuilt.content()
    new = [row for row in after[project.feed.name] if row not in before[project.feed.name]]
    assert {row["collected_at"] for row in new} == {MIDNIGHT + timedelta(minutes=59)}
    assert len(after[project.feed.name]) == (rebuilt.responses + 1) * rebuilt.records
    assert after["quarantine"] == before["quarantine"]
    assert between in (before, after)


def test_a_run_that_cannot_be_recorded_fails(rebuilt: Rebuilt, submit: Submit) -> None:
    rebuilt.project.bigquery_proxy.refusing.add(b'-run"')  # in the id of the job that appends to batch_runs
    done = submit(rebuilt.project, rebuilt.project.arguments("2023-10-26"))
    rebuilt.project.bigquery_proxy.refusing.clear()
    *_, warning, run = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 1
    assert run["status"] == "succeeded"
    assert f"the run could not be recorded in {rebuilt.project.name}.vlille.batch_runs" in warning["message"]


def test_invalid_arguments_end_the_job_before_spark_starts(
    job_files: tuple[Path, Path], rebuilt: Rebuilt
) -> None:
    main, code = job_files
    arguments = rebuilt.project.arguments("2023-10-32")
    done = subprocess.run(
        [sys.executable, str(main), *arguments],
        env={
            **rebuilt.project.environment,
            "PYTHONPATH": f"{code}{os.pathsep}{rebuilt.project.environment['PYTHONPATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert json.loads(line)["message"] == (
        "--from: found '2023-10-32', expected a UTC day as YYYY-MM-DD, or yesterday"
    )
    assert done.stdout == ""


@pytest.mark.parametrize(("before", "imported"), [("", False), ("main._import_packs()", True)])
def test_the_pack_modules_are_imported_before_spark_puts_the_zip_on_the_path(
    tmp_path: Path, before: str, imported: bool
) -> None:
    """Spark puts the zip back on the path after activate_packages() removed it; its modules cannot be imported."""
    with zipfile.ZipFile(tmp_path / "packages-other.zip", "w") as file:
        file.writestr("PYTHON_TAG", "cp27-other")
        file.writestr("msgspec/__init__.py", "raise ImportError('compiled for another Python')")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path / "packages-other.zip")!r})
from spark import main
from spark.packages import activate_packages
activate_packages()
{before}
sys.path.insert(0, {str(tmp_path / "packages-other.zip")!r})
import spark.packs.job
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=CACHE.parent / "src"
    )
    assert (done.returncode == 0) is imported, done.stderr
    assert imported or "compiled for another Python" in done.stderr
