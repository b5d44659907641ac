"""Time two ways of doing the same thing in turn, so that a machine whose speed drifts is fair to both."""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class BenchError(Exception):
    """A measured command failed; a time of something that did not work is no figure."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: wall clock, and processor time of the run with its children."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Comparison:
    """The runs of ours and of the baseline, in the order in which they were made."""

    what: str
    ours: str
    baseline: str
    timings: Sequence[tuple[Timing, Timing]]
    per: int = 1
    unit: str = "run"
    note: str = ""

    @property
    def ours_wall(self) -> float:
        """Median wall seconds per unit."""
        return statistics.median(ours.wall for ours, _ in self.timings) / self.per

    @property
    def baseline_wall(self) -> float:
        """Median wall seconds per unit."""
        return statistics.median(baseline.wall for _, baseline in self.timings) / self.per

    @property
    def wall_ratio(self) -> float:
        """Median over the pairs of ours / baseline; below 1 ours is faster."""
        return statistics.median(ours.wall / baseline.wall for ours, baseline in self.timings)

    @property
    def cpu_ratio(self) -> float:
        """As `wall_ratio`, of processor time."""
        return statistics.median(ours.cpu / baseline.cpu for ours, baseline in self.timings)


def timed(work: Callable[[], object]) -> Timing:
    """Time a call in this process; processor time counts its threads and the children it waited for."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    work()
    return Timing(time.perf_counter() - wall, _cpu_seconds() - cpu)


def timed_command(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Timing:
    """Time a whole process, start included. Raises BenchError with the end of its output if it fails."""
    return timed(lambda: _run(argv, environment, folder))


def compare(
    what: str,
    ours: tuple[str, Callable[[], Timing]],
    baseline: tuple[str, Callable[[], Timing]],
    *,
    runs: int,
    per: int = 1,
    unit: str = "run",
    note: str = "",
) -> Comparison:
    """Run ours and the baseline in turn, `runs` times each, after one run of each that is not counted."""
    ours[1]()
    baseline[1]()
    timings = [(ours[1](), baseline[1]()) for _ in range(runs)]
    return Comparison(what, ours[0], baseline[0], timings, per, unit, note)


def _run(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    done = subprocess.run(
        argv, env={**os.environ, **environment}, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        end = (done.stderr or done.stdout)[-2000:]
        raise BenchError(f"{' '.join(argv)} ended with {done.returncode}:\n{end}")


def _cpu_seconds() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
