"""Time two ways of doing the same thing in turn, so that a machine whose speed drifts is fair to both."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WATCH_SECONDS = 0.05


class BenchError(Exception):
    """A measured command failed; a time of something that did not work is no figure."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: wall clock, and processor time of the run with its children; bytes they had at most."""

    wall: float
    cpu: float
    memory: int = 0  # resident in all processes together, counted where the run is a command


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


@dataclass(frozen=True)
class Figure:
    """What is not two timings: a value, what it stands beside, and how they relate, as texts."""

    what: str
    ours: str
    beside: str
    relation: str
    note: str = ""


def timed(work: Callable[[], object]) -> Timing:
    """Time a call in this process; processor time counts its threads and the children it waited for."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    work()
    return Timing(time.perf_counter() - wall, _cpu_seconds() - cpu)


def timed_command(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Timing:
    """Time a whole process with all that it starts. Raises BenchError with the end of its output if it fails.

    Spark's Python workers are nobody's children in the end, whom no parent waits for: their time is read
    while they live. So is the memory; what several processes share counts in each. Of a command that ends before
    it is looked at, the system says what it took.
    """
    started, before = time.perf_counter(), _children_seconds()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ticks, memory = dict[int, int](), 0
        while True:
            is_over = process.poll() is not None
            found = dict(_session(process.pid))
            ticks |= {pid: cpu for pid, (cpu, _) in found.items()}
            memory = max(memory, sum(resident for _, resident in found.values()))
            if is_over:
                break
            time.sleep(WATCH_SECONDS)
        wall = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            end = output.read()[-3000:].decode(errors="replace")
            raise BenchError(f"{' '.join(argv)} ended with {process.returncode}:\n{end}")
    seen = sum(ticks.values()) / os.sysconf("SC_CLK_TCK")
    return Timing(wall, max(seen, _children_seconds() - before), memory)


def _session(leader: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Each process of a session: its id, its own processor time in clock ticks, its resident bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; the name may hold blanks and brackets
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == leader:
            yield int(entry.name), (int(fields[11]) + int(fields[12]), int(fields[21]) * page)


def compare(
    what: str,
    ours: tuple[str, Callable[[], Timing]],
    baseline: tuple[str, Callable[[], Timing]],
    *,
    runs: int,
    per: int = 1,
    unit: str = "run",
    note: str = "",
    warm: bool = True,
) -> Comparison:
    """Run ours and the baseline in turn, `runs` times each, after one run of each that is not counted.

    Not `warm`: runs so long that a cold start is nothing in them are all counted.
    """
    if warm:
        ours[1]()
        baseline[1]()
    timings = []
    for _ in range(runs):
        pair = ours[1](), baseline[1]()
        timings.append(pair)
        walls = " against ".join(f"{timing.wall:.3g} s" for timing in pair)
        print(f"  {what}: {walls}", file=sys.stderr, flush=True)
    return Comparison(what, ours[0], baseline[0], timings, per, unit, note)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime + _children_seconds()
