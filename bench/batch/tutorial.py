"""Benchmark with as many responses as the original tutorial: files to Parquet, and objects to tables."""

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench.archives.generator import ExpectedTotals
from bench.archives.responses import Plan
from bench.batch.exactness import THIS_ENVIRONMENT, require_equal
from bench.batch.project import batch_environment
from bench.batch.throughput import FIRST, Job, format_submit_options, generate_archive_files
from bench.measure import Figure

FILES = 91_549
TUTORIAL_MINUTES = 20  # as published by its author, on 8 processors, without unnesting


def run(_runs: int) -> list[Figure]:
    """Measure once, because one measurement takes minutes."""
    plan = Plan(FIRST, FILES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        expected = generate_archive_files(folder / "archive", FILES)
        generation_s = time.perf_counter() - started
        timing = Job(folder, "rebuild_batch.py", format_submit_options(), expected).time_process()
    what = f"{FILES:,} responses, {expected.rows:,} rows"
    print(f"  {what}: {timing.wall:.1f} s to Parquet", file=sys.stderr, flush=True)
    return [
        Figure(
            "original tutorial's size, files to Parquet",
            f"{timing.wall:.0f} s, {timing.cpu:.0f} s of CPU time, {timing.memory / 2**30:.2f} GiB",
            f"the original tutorial: {TUTORIAL_MINUTES} min on 8 processors",
            f"{TUTORIAL_MINUTES * 60 / timing.wall:.0f} × as fast",
            f"{what} on two processors, including the start of Spark; the archive was generated "
            f"in {generation_s:.0f} s.",
        ),
        _measure_on_emulators(plan, what),
    ]


def _measure_on_emulators(plan: Plan, what: str) -> Figure:
    with tempfile.TemporaryDirectory() as name, batch_environment(Path(name)) as environment:
        expected = environment.generate_archive(plan)
        days = FIRST.isoformat(), (FIRST + timedelta(len(expected) - 1)).isoformat()
        started = time.perf_counter()
        environment.run(THIS_ENVIRONMENT, days)
        wall = time.perf_counter() - started
        require_equal(expected, environment)
    total = sum(expected.values(), ExpectedTotals())
    return Figure(
        "original tutorial's size, objects to tables",
        f"{wall:.0f} s, equal to the expected totals",
        f"{total.objects:,} GET requests and the load jobs",
        f"{total.rows / wall:,.0f} rows/s",
        f"{what}; Cloud Storage and BigQuery are emulators on the same two processors.",
    )
