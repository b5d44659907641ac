"""Check that the submitted batch produces exactly the expected tables on the emulators: by seed, and after kill -9."""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from bench.archives.generator import ExpectedTotals
from bench.archives.responses import Plan
from bench.batch.project import BatchEnvironment, batch_environment, find_differences
from bench.measure import BenchError, Figure

SEEDS = (1, 2, 3)
DAYS = 8
STEP = 6  # minutes between responses: few, so that runs after a kill are short
KILLS = 10
THIS_ENVIRONMENT = Path(sys.prefix)
FIRST = date(2023, 10, 26)  # a range with a clock change
LAST = FIRST + timedelta(DAYS - 1)
RANGE = (FIRST.isoformat(), LAST.isoformat())
KILL_WITHIN = (0.2, 1.0)  # share of the duration of a whole run


def run(_runs: int) -> list[Figure]:
    """Compare tables with the expected totals. Raises BenchError if they differ."""
    plan = Plan(FIRST, DAYS * 24 * 60 // STEP, step=STEP)
    total, whole_s = ExpectedTotals(), 0.0
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder, batch_environment(Path(folder)) as environment:
            expected = environment.generate_archive(replace(plan, seed=seed))
            started = time.perf_counter()
            environment.run(THIS_ENVIRONMENT, RANGE, at_once=1)
            whole_s = time.perf_counter() - started
            require_equal(expected, environment)
            total = sum(expected.values(), total)
    return [
        Figure(
            "batch, compared with the expected totals",
            f"{len(SEEDS)} seeds equal",
            f"{total.objects:,} responses, {total.rows:,} rows, {len(total.quarantined)} responses and "
            f"{len(total.rejected)} records quarantined",
            "0 differences",
            "by day: rows, sums of bikes and docks, each quarantined response and record with its reason.",
        ),
        measure_kills(plan, whole_s),
    ]


def require_equal(expected: dict[str, ExpectedTotals], environment: BatchEnvironment) -> None:
    """Raise BenchError if the tables differ from the expected totals."""
    if wrong := find_differences(expected, environment.read_totals()):
        raise BenchError(f"{len(wrong)} differences: {', '.join(wrong[:5])}")


def measure_kills(plan: Plan, whole_s: float) -> Figure:
    """Kill driver, JVM and workers at random times, and run the batch again, with empty tables each time."""
    rng = random.Random(plan.seed)  # noqa: S311 - moments, no secrets
    missing, rebuilt = list[int](), list[int]()
    with tempfile.TemporaryDirectory() as folder, batch_environment(Path(folder)) as environment:
        expected = environment.generate_archive(plan)
        objects = sum(each.objects for each in expected.values())
        while len(missing) < KILLS:
            environment.clear_tables()
            if not kill_run(environment, whole_s * rng.uniform(*KILL_WITHIN)):
                continue
            found = read_settled_tables(environment)
            if wrong := [day for day in found if find_differences({day: expected[day]}, {day: found[day]})]:
                raise BenchError(f"partly rebuilt days after kill -9: {wrong}")
            statistics = environment.run(THIS_ENVIRONMENT, RANGE, at_once=1)
            require_equal(expected, environment)
            accounted = statistics["objects_read"] + statistics["objects_quarantined"]
            if (statistics["objects_listed"], accounted) != (objects, objects):
                raise BenchError(f"the run after it does not reconcile: {statistics}")
            missing.append(DAYS - len(found))
            rebuilt.append(DAYS - count_skipped_days(statistics["message"]))
    return Figure(
        f"batch, kill -9 at {KILLS} random times",
        "the same table each time",
        f"of {DAYS} days, missing after the kill: {_format_numbers(missing)}; "
        f"rebuilt by the next run: {_format_numbers(rebuilt)}",
        "0 differences",
        "one day at a time, on empty tables; after each kill every day was complete or missing. A day that was "
        "replaced just before the kill, and not yet recorded, is rebuilt again.",
    )


def count_skipped_days(message: str | None) -> int:
    """Return how many days a run skipped, by the message of its run statistics. Raises BenchError for any other one."""
    if message is None:
        return 0
    skipped = re.fullmatch(r".* skipped: (\d+)", message)
    if skipped is None:
        raise BenchError(f"expected the number of skipped days in the message of the run, not {message!r}")
    return int(skipped[1])


def _format_numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def read_settled_tables(environment: BatchEnvironment) -> dict[str, ExpectedTotals]:
    """Return the totals of the tables once they no longer change: a statement that was sent before the kill still ends.

    The two tables are read one after the other, so that a replacement in between appears in only one of them.
    """
    found = environment.read_totals()
    while (again := environment.read_totals()) != found:
        found = again
    return found


def kill_run(environment: BatchEnvironment, after_s: float) -> bool:
    """Start a run and kill all of its processes; return whether it was still running."""
    process = subprocess.Popen(
        environment.format_command(THIS_ENVIRONMENT, RANGE, at_once=1),
        env=environment.make_variables(THIS_ENVIRONMENT),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(after_s)
    is_running = process.poll() is None
    if is_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return is_running
