"""Benchmark of the nightly batch of 1,000 systems: rows per second beside a single feed, memory, and what it adds."""

import json
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.batch.throughput import (
    CORES,
    SUBMIT,
    Job,
    format_submit_options,
    generate_archive_files,
    make_environment,
    with_archive,
)
from bench.gbfs.packs import MINUTES, ExpectedRows, generate_packs
from bench.gbfs.systems import SYSTEMS, generate_systems
from bench.gbfs.tick import SHARDS
from bench.measure import BenchError, Figure, Timing, time_command
from local.workloads.spark import local_spark

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("packs_job.py")
HOURS, PART_HOURS = 8, 4  # of 1,000 systems; with fewer than 4, Spark would use one worker only
FEED_FILES = 8_640  # responses of a single feed, and half of them


@dataclass(frozen=True)
class Run:
    """One run of a batch: the whole process, the seconds without the start of Spark, and its rows."""

    timing: Timing
    seconds: float
    rows: int
    parquet_bytes: int = 0


def run(_runs: int) -> list[Figure]:
    """Measure the batch for two numbers of hours. Raises BenchError if rows or changes are missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        systems = generate_systems(random.Random(0))  # noqa: S311
        part, whole = (
            _run_packs(folder, hours, generate_packs(folder / f"{hours}h", systems, SHARDS, hours))
            for hours in (PART_HOURS, HOURS)
        )
        feed_part, feed = _run_feed(folder)
    return [_report_rows(part, whole, feed_part, feed), _report_memory(part, whole), _report_day(part, whole)]


def _run_packs(folder: Path, hours: int, expected: ExpectedRows) -> Run:
    out = folder / "out"
    argv = [str(local_spark().submit), *SUBMIT, *format_submit_options(), str(SCRIPT)]
    try:
        timing = time_command([*argv, str(folder / f"{hours}h"), str(out)], make_environment(folder), ROOT)
        counts = json.loads((out / "counts.json").read_text())
        seconds = float((out / "seconds").read_text())
    finally:
        shutil.rmtree(out, ignore_errors=True)
    for table in ("station_status", "polls", "changes"):
        if counts[table] != getattr(expected, table):
            raise BenchError(f"{table}: {counts[table]} rows, expected {getattr(expected, table)}")
    print(f"  {hours} hours: {counts}, {timing.cpu:.0f} s of CPU time", file=sys.stderr, flush=True)
    return Run(timing, seconds, counts["station_status"], counts["bytes"])


def _run_feed(folder: Path) -> tuple[Run, Run]:
    expected = generate_archive_files(folder / "archive", FEED_FILES)
    expected_of_part = generate_archive_files(folder / "part", FEED_FILES // 2)
    whole = Job(folder, "rebuild_batch.py", format_submit_options(), expected)
    part = with_archive(whole, folder / "part", expected_of_part)
    measured = []
    for job, totals in ((part, expected_of_part), (whole, expected)):
        timing = job.time_work()
        measured.append(Run(timing, timing.wall, totals.rows))
    return measured[0], measured[1]


def compute_cpu_per_row(part: Run, whole: Run) -> float:
    """Return the seconds of CPU time that a further row takes, without the start of Spark."""
    return (whole.timing.cpu - part.timing.cpu) / (whole.rows - part.rows)


def _report_rows(part: Run, whole: Run, feed_part: Run, feed: Run) -> Figure:
    ours, baseline = compute_cpu_per_row(part, whole), compute_cpu_per_row(feed_part, feed)
    return Figure(
        f"GBFS, batch of {SYSTEMS:,} systems",
        f"{whole.rows / whole.seconds:,.0f} rows/s, {ours * 1e6:.1f} µs of CPU time per row",
        f"single feed: {feed.rows / feed.seconds:,.0f} rows/s, {baseline * 1e6:.1f} µs",
        f"{ours / baseline:.1f} × the CPU time",
        f"{HOURS} hours of packs with {whole.rows:,} rows, checked, with polls and changes, from files to "
        f"Parquet on local[{CORES}], without the start of Spark; CPU time per row is that of "
        f"{HOURS - PART_HOURS} further hours. In each minute, 3.3 % of the stations change.",
    )


def _report_memory(part: Run, whole: Run) -> Figure:
    part_gib, whole_gib = (each.timing.memory / 2**30 for each in (part, whole))
    return Figure(
        f"GBFS, memory of a batch of {SYSTEMS:,} systems, all processes",
        f"{whole_gib:.2f} GiB for {HOURS} hours",
        f"{part_gib:.2f} GiB for {PART_HOURS} of them",
        f"{whole_gib / part_gib:.2f} ×",
        "resident memory of driver, JVM and workers; shared memory counts in each process.",
    )


def _report_day(part: Run, whole: Run) -> Figure:
    further = 24 * MINUTES * SHARDS
    cpu = part.timing.cpu + (24 - PART_HOURS) * (whole.timing.cpu - part.timing.cpu) / (HOURS - PART_HOURS)
    return Figure(
        f"GBFS, a day of {SYSTEMS:,} systems",
        f"{cpu:,.0f} s of CPU time",
        f"{further:,} packs, {24 * whole.rows / HOURS / 1e6:.0f} million rows",
        f"{24 * whole.parquet_bytes / HOURS / 1e9:.1f} GB of Parquet to load",
        f"extrapolated from {HOURS} hours.",
    )
