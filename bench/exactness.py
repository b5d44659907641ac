"""The batch as it is submitted, on the emulators, held to the generator's own account: by seed, and after kill -9."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from bench.answers import Plan
from bench.archives import Account
from bench.measure import BenchError, Figure
from bench.project import Project, differences, project

SEEDS = (1, 2, 3)
DAYS = 6
STEP = 4  # minutes between two answers: what is killed is cheap to do again
KILLS = 10
HERE = Path(sys.prefix)
FIRST = date(2023, 10, 26)  # with the clock's change in it
LAST = FIRST + timedelta(DAYS - 1)
RANGE = (FIRST.isoformat(), LAST.isoformat())
KILL_WITHIN = (0.3, 1.1)  # of the time that a whole run takes


def run(_runs: int) -> list[Figure]:
    """Compare tables with accounts. Raises BenchError where they differ."""
    plan = Plan(FIRST, DAYS * 24 * 60 // STEP, step=STEP)
    total, whole_s = Account(), 0.0
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder, project(Path(folder)) as one:
            expected = one.archive(replace(plan, seed=seed))
            started = time.perf_counter()
            one.run(HERE, RANGE, at_once=1)
            whole_s = time.perf_counter() - started
            hold(expected, one)
            total = sum(expected.values(), total)
    return [
        Figure(
            "batch, held to the generator's account",
            f"{len(SEEDS)} seeds equal",
            f"{total.objects:,} answers, {total.rows:,} rows, {len(total.quarantined)} answers and "
            f"{len(total.rejected)} records quarantined",
            "0 differences",
            "by day: rows, sums of bikes and docks, each quarantined answer and record with its reason.",
        ),
        killed(plan, whole_s),
    ]


def hold(expected: dict[str, Account], one: Project) -> None:
    """Raise BenchError where the tables are not what they should be."""
    if wrong := differences(expected, one.found()):
        raise BenchError(f"{len(wrong)} differences: {', '.join(wrong[:5])}")


def killed(plan: Plan, whole_s: float) -> Figure:
    """Kill driver, JVM and workers at random moments of a run, start again each time; then let it end."""
    rng = random.Random(plan.seed)  # noqa: S311 - moments, no secrets
    with tempfile.TemporaryDirectory() as folder, project(Path(folder)) as one:
        expected = one.archive(plan)
        left, ended = [], 0
        for _ in range(KILLS):
            ended += not kill(one, whole_s * rng.uniform(*KILL_WITHIN))
            found = one.found()
            if wrong := [day for day in found if differences({day: expected[day]}, {day: found[day]})]:
                raise BenchError(f"half of a day after kill -9: {wrong}")
            left.append(DAYS - len(found))
        account = one.run(HERE, RANGE, at_once=1)
        hold(expected, one)
    objects = sum(each.objects for each in expected.values())
    if (account["objects_listed"], account["objects_read"] + account["objects_quarantined"]) != (
        objects,
        objects,
    ):
        raise BenchError(f"the account of the last run: {account}")
    return Figure(
        f"batch, kill -9 at {KILLS} random moments",
        "the same table",
        f"days left after each: {', '.join(map(str, left))}",
        "0 differences",
        f"a day at a time, {DAYS} days; {ended} of the runs had ended before they were killed. After each kill "
        "every day was whole or not there.",
    )


def kill(one: Project, after_s: float) -> bool:
    """Begin a run and kill all of it; whether it was still running."""
    process = subprocess.Popen(
        one.command(HERE, RANGE, at_once=1),
        env=one.variables(HERE),
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
