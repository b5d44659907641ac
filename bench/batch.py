"""A day of the archive from objects to Parquet, beside the walkthrough's way: Spark's JSON reader, then explode."""

import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pyspark

from bench.measure import BenchError, Comparison, Timing, compare, timed_command
from bench.surroundings import ROOT, STATIONS, full_answer, original_feed
from feed import archive_name, pack
from local.java import find_java

DAY = datetime(2023, 10, 26, tzinfo=UTC)
MINUTES = 24 * 60
CORES = 2
CONF = ("spark.ui.enabled=false", "spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1")


def run(runs: int) -> list[Comparison]:
    """Compare whole processes, the start of Spark included, that read the same MINUTES answers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(CORES) as pool:
            list(pool.map(partial(_archive, folder / "archive"), range(MINUTES), chunksize=60))
        job = partial(_job, folder)
        return [
            compare(
                "batch",
                ("the job's own hours: parsed, checked, accounted for", job("rebuild_hours.py", "ours")),
                (
                    "the walkthrough: a path list, `spark.read.json`, `explode`",
                    job("walkthrough_batch.py", "theirs"),
                ),
                runs=runs,
                per=MINUTES * STATIONS,
                unit="row",
                note=f"{MINUTES} answers of {STATIONS} records to Parquet on local[{CORES}], from the same gzip files; "
                "listing, upload and load job are in neither, the start of Spark is in both.",
            )
        ]


def _archive(folder: Path, minute: int) -> None:
    feed = original_feed()
    file = folder / archive_name(feed.name, DAY + timedelta(minutes=minute))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pack(full_answer(feed, minute)))


def _job(folder: Path, script: str, output: str) -> Callable[[], Timing]:
    options = [word for each in CONF for word in ("--conf", each)]
    submit = str(Path(sys.executable).with_name("spark-submit"))
    counter = iter(range(sys.maxsize))

    def work() -> Timing:
        out = folder / f"{output}-{next(counter)}"
        argv = [submit, "--master", f"local[{CORES}]", *options, str(ROOT / "bench" / script)]
        timing = timed_command([*argv, str(folder / "archive"), str(out)], _environment(folder), ROOT)
        _check(out)
        return timing

    return work


def _environment(folder: Path) -> dict[str, str]:
    return {
        "JAVA_HOME": str(find_java(ROOT / ".cache").home),
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        "TMPDIR": str(folder),
    }


def _check(folder: Path) -> None:
    rows = sum(pq.read_metadata(file).num_rows for file in folder.rglob("*.parquet"))
    if rows != MINUTES * STATIONS:
        raise BenchError(f"{rows} rows, expected {MINUTES * STATIONS}")
