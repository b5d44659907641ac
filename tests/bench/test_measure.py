"""What a figure is made of: pairs in turn, medians, all processes of a command."""

import sys
from pathlib import Path

import pytest

from bench.measure import BenchError, Comparison, Timing, compare, timed, timed_command

BUSY = """
import time
while time.process_time() < 0.4: pass
print("done", flush=True)
time.sleep(60)
"""
# A child that its parent does not wait for, as Spark's workers are.
LEFT_ALONE = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {BUSY!r}], stdout=subprocess.PIPE)
child.stdout.readline()
time.sleep(0.5)  # for whoever watches
child.kill()
os._exit(0)
"""
HOLDING = """
import subprocess, sys
held = bytearray(b"x") * 100_000_000
subprocess.run([sys.executable, "-c", "import time; held = bytearray(b'x') * 100_000_000; time.sleep(0.5)"])
"""


def command(text: str) -> Timing:
    return timed_command([sys.executable, "-c", text], {}, Path.cwd())


def test_a_command_counts_processes_that_nobody_waits_for() -> None:
    assert command(LEFT_ALONE).cpu > 0.35


def test_a_command_that_has_ended_before_it_is_looked_at_is_counted() -> None:
    assert command("pass").cpu > 0


def test_a_command_counts_what_its_processes_hold_together() -> None:
    assert 190_000_000 < command(HOLDING).memory < 400_000_000


def test_a_command_that_fails_is_no_figure_and_says_why() -> None:
    with pytest.raises(BenchError, match=r"(?s)ended with 3:.*the reason"):
        command("print('the reason'); raise SystemExit(3)")


@pytest.mark.unit
def test_a_call_is_timed_by_wall_and_processor() -> None:
    timing = timed(lambda: sum(range(2_000_000)))
    assert timing.cpu > 0
    assert timing.wall > 0


@pytest.mark.unit
@pytest.mark.parametrize(("warm", "order"), [(True, "obobobob"), (False, "obobob")])
def test_ours_and_the_baseline_run_in_turn(warm: bool, order: str) -> None:
    ran: list[str] = []

    def side(name: str, wall: float) -> Timing:
        ran.append(name)
        return Timing(wall, 2 * wall)

    found = compare(
        "what", ("ours", lambda: side("o", 1)), ("theirs", lambda: side("b", 4)), runs=3, warm=warm
    )
    assert "".join(ran) == order
    assert len(found.timings) == 3
    assert (found.wall_ratio, found.cpu_ratio) == (0.25, 0.25)


@pytest.mark.unit
def test_a_ratio_is_the_median_of_the_pairs() -> None:
    """Not that of the medians: a machine that slows down slows both of a pair."""
    pairs = [(Timing(1, 1), Timing(2, 2)), (Timing(9, 9), Timing(10, 20)), (Timing(4, 4), Timing(40, 8))]
    found = Comparison("what", "ours", "theirs", pairs, per=2)
    assert found.wall_ratio == 0.5
    assert found.cpu_ratio == 0.5
    assert (found.ours_wall, found.baseline_wall) == (2, 5)
