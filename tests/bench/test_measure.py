"""Timings: alternate runs, medians, and all processes of a command."""

import sys
from pathlib import Path

import pytest

from bench.measure import BenchError, Comparison, Timing, compare, time_call, time_command

BUSY = """
import time
while time.process_time() < 0.4: pass
print("done", flush=True)
time.sleep(60)
"""
# A child that its parent does not wait for, like Spark's workers.
ORPHANED = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {BUSY!r}], stdout=subprocess.PIPE)
child.stdout.readline()
time.sleep(0.5)  # to be sampled
child.kill()
os._exit(0)
"""
ALLOCATING = """
import subprocess, sys
allocated = bytearray(b"x") * 100_000_000
subprocess.run([sys.executable, "-c", "import time; allocated = bytearray(b'x') * 100_000_000; time.sleep(0.5)"])
"""


def time_script(text: str) -> Timing:
    return time_command([sys.executable, "-c", text], {}, Path.cwd())


def test_orphaned_processes_are_counted() -> None:
    assert time_script(ORPHANED).cpu > 0.35


def test_a_command_that_ends_before_the_first_sample_is_counted() -> None:
    assert time_script("pass").cpu > 0


def test_the_memory_of_all_processes_is_counted() -> None:
    assert 190_000_000 < time_script(ALLOCATING).memory < 400_000_000


def test_a_failed_command_is_an_error_with_its_output() -> None:
    with pytest.raises(BenchError, match=r"(?s)failed with exit code 3:.*the reason"):
        time_script("print('the reason'); raise SystemExit(3)")


@pytest.mark.unit
def test_a_call_has_wall_and_processor_time() -> None:
    timing = time_call(lambda: sum(range(2_000_000)))
    assert timing.cpu > 0
    assert timing.wall > 0


@pytest.mark.unit
@pytest.mark.parametrize(("warm", "order"), [(True, "obobobob"), (False, "obobob")])
def test_ours_and_the_baseline_run_alternately(warm: bool, order: str) -> None:
    ran: list[str] = []

    def run_side(name: str, wall: float) -> Timing:
        ran.append(name)
        return Timing(wall, 2 * wall)

    found = compare(
        "what", ("ours", lambda: run_side("o", 1)), ("baseline", lambda: run_side("b", 4)), runs=3, warm=warm
    )
    assert "".join(ran) == order
    assert len(found.timings) == 3
    assert (found.wall_ratio, found.cpu_ratio) == (0.25, 0.25)


@pytest.mark.unit
def test_a_ratio_is_the_median_of_the_pairs() -> None:
    """Not the ratio of the medians: a slow host slows both runs of a pair."""
    pairs = [(Timing(1, 1), Timing(2, 2)), (Timing(9, 9), Timing(10, 20)), (Timing(4, 4), Timing(40, 8))]
    found = Comparison("what", "ours", "baseline", pairs, per=2)
    assert found.wall_ratio == 0.5
    assert found.cpu_ratio == 0.5
    assert (found.ours_wall, found.baseline_wall) == (2, 5)
