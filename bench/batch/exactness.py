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

from bench.archives.generator import Account
from bench.archives.responses import Plan
from bench.batch.project import Project, differences, project
from bench.measure import BenchError, Figure

SEEDS = (1, 2, 3)
DAYS = 8
STEP = 6  # minutes between two answers: what is killed is cheap to do again
KILLS = 10
HERE = Path(sys.prefix)
FIRST = date(2023, 10, 26)  # with the clock's change in it
LAST = FIRST + timedelta(DAYS - 1)
RANGE = (FIRST.isoformat(), LAST.isoformat())
KILL_WITHIN = (0.2, 1.0)  # of the time that a whole run takes


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
    """Kill driver, JVM and workers at a random moment, and start again, on empty tables each time."""
    rng = random.Random(plan.seed)  # noqa: S311 - moments, no secrets
    left, again = list[int](), list[int]()
    with tempfile.TemporaryDirectory() as folder, project(Path(folder)) as one:
        expected = one.archive(plan)
        objects = sum(each.objects for each in expected.values())
        while len(left) < KILLS:
            one.clear()
            if not kill(one, whole_s * rng.uniform(*KILL_WITHIN)):
                continue
            found = settled(one)
            if wrong := [day for day in found if differences({day: expected[day]}, {day: found[day]})]:
                raise BenchError(f"half of a day after kill -9: {wrong}")
            account = one.run(HERE, RANGE, at_once=1)
            hold(expected, one)
            accounted = account["objects_read"] + account["objects_quarantined"]
            if (account["objects_listed"], accounted) != (objects, objects):
                raise BenchError(f"the account of the run after it: {account}")
            left.append(DAYS - len(found))
            again.append(DAYS - int((account["message"] or "0").split()[0]))
    return Figure(
        f"batch, kill -9 at {KILLS} random moments",
        "the same table each time",
        f"of {DAYS} days, left by the kill: {_listed(left)}; made by the next run: {_listed(again)}",
        "0 differences",
        "a day at a time, on empty tables; after each kill every day was whole or not there. A day that was "
        "replaced an instant before the kill, and not yet noted, is made again.",
    )


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def settled(one: Project) -> dict[str, Account]:
    """What the tables hold once nothing changes: a statement that was sent before the kill ends without its sender.

    Two tables are asked one after the other; what was replaced in between is seen in one and not in the other.
    """
    found = one.found()
    while (again := one.found()) != found:
        found = again
    return found


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
