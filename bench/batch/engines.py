"""Benchmark of the batch against DuckDB and embedded ClickHouse, each in the environment of requirements.txt here."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.archives.generator import ExpectedTotals
from bench.batch.throughput import CORES, FILES, JOBS, Job, format_submit_options, generate_archive_files
from bench.emulation import ROOT
from bench.measure import BenchError, Comparison, Timing, compare, time_command

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
ENGINES = {
    "DuckDB": "duckdb_batch.py",
    "ClickHouse": "clickhouse_batch.py",
}


def run(runs: int) -> list[Comparison]:
    """Compare processes that read the same responses. Raises BenchError if an engine finds other rows."""
    home = make_environment()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = generate_archive_files(folder / "archive", FILES, fault_rate=0.0)
        ours = Job(folder, "rebuild_batch.py", format_submit_options(), expected)
        return [
            compare(
                f"batch and {engine}",
                (
                    "the batch job's processing of hours: parsed, checked, quarantined, counted",
                    ours.time_process,
                ),
                (
                    f"{engine}: one query from gzip to Parquet, without checks",
                    Engine(home, folder, script, expected).time,
                ),
                runs=min(runs, 3),
                per=expected.rows,
                unit="row",
                warm=False,
                note=f"{FILES} responses without faults, {expected.rows:,} rows, from the same gzip files to Parquet "
                f"with {CORES} processes or threads; including the start of Spark.",
            )
            for engine, script in ENGINES.items()
        ]


def make_environment() -> Path:
    """Return the folder of a Python environment with the pinned engines, made once. Raises BenchError."""
    home = ROOT / ".cache" / "bench" / "engines"
    ready = home / "requirements.txt"
    if not ready.exists() or ready.read_bytes() != REQUIREMENTS.read_bytes():
        shutil.rmtree(home, ignore_errors=True)
        python = str(home / "bin" / "python")
        uv = [sys.executable, "-m", "uv"]
        for argv in (
            ["venv", "--quiet", "--python", sys.executable, str(home)],
            ["pip", "sync", "--quiet", "--require-hashes", "--python", python, str(REQUIREMENTS)],
        ):
            done = subprocess.run([*uv, *argv], capture_output=True, text=True, check=False)
            if done.returncode:
                raise BenchError(f"cannot install {', '.join(ENGINES)}: {done.stderr[-500:]}")
        shutil.copyfile(REQUIREMENTS, ready)
    return home


class Engine:
    """A script of `jobs/` that an engine runs."""

    def __init__(self, home: Path, folder: Path, script: str, expected: ExpectedTotals) -> None:
        self.home, self.folder, self.script, self.expected = home, folder, script, expected

    def time(self) -> Timing:
        """Time the whole process. Raises BenchError if its rows differ from the expected totals."""
        out = self.folder / "engine"
        argv = [str(JOBS / self.script), str(self.folder / "archive"), str(out), str(CORES)]
        try:
            timing = time_command([str(self.home / "bin" / "python"), *argv], {}, ROOT)
            check_rows(out, self.expected)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        return timing


def check_rows(out: Path, expected: ExpectedTotals) -> None:
    """Raise BenchError if the number of rows, bikes or docks differ from the expected totals."""
    table = pq.read_table(out / "rows", columns=["nbvelosdispo", "nbplacesdispo"])
    found = table.num_rows, pc.sum(table[0]).as_py(), pc.sum(table[1]).as_py()
    if found != (totals := (expected.rows, expected.bikes, expected.docks)):
        raise BenchError(f"found {found}; expected {totals}")
