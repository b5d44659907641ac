"""As many answers as the original archive had: from files to Parquet, and from objects to tables on the emulators."""

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench.archives.generator import Account
from bench.archives.responses import Plan
from bench.batch.exactness import HERE, hold
from bench.batch.project import project
from bench.batch.throughput import FIRST, Job, archive, submission
from bench.measure import Figure

FILES = 91_549
THEIRS_MINUTES = 20  # as its author published, on 8 processors, without unnesting


def run(_runs: int) -> list[Figure]:
    """Measure once: it is long."""
    plan = Plan(FIRST, FILES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        account = archive(folder / "archive", FILES)
        made_s = time.perf_counter() - started
        timing = Job(folder, "rebuild_batch.py", submission(), account).whole()
    what = f"{FILES:,} answers, {account.rows:,} rows"
    print(f"  {what}: {timing.wall:.1f} s to Parquet", file=sys.stderr, flush=True)
    return [
        Figure(
            "the original's size, files to Parquet",
            f"{timing.wall:.0f} s, {timing.cpu:.0f} s of processors, {timing.memory / 2**30:.2f} GiB",
            f"the original: {THEIRS_MINUTES} min on 8 processors",
            f"{THEIRS_MINUTES * 60 / timing.wall:.0f} × as fast",
            f"{what} on two processors, the start of Spark included; the archive was made in {made_s:.0f} s.",
        ),
        _on_emulators(plan, what),
    ]


def _on_emulators(plan: Plan, what: str) -> Figure:
    with tempfile.TemporaryDirectory() as name, project(Path(name)) as one:
        accounts = one.archive(plan)
        days = FIRST.isoformat(), (FIRST + timedelta(len(accounts) - 1)).isoformat()
        started = time.perf_counter()
        one.run(HERE, days)
        wall = time.perf_counter() - started
        hold(accounts, one)
    total = sum(accounts.values(), Account())
    return Figure(
        "the original's size, objects to tables",
        f"{wall:.0f} s, equal to the generator's account",
        f"{total.objects:,} GETs and the load jobs",
        f"{total.rows / wall:,.0f} rows/s",
        f"{what}; storage and BigQuery are emulators on the same two processors.",
    )
