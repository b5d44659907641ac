"""Time two implementations alternately, so that a drift of the host's speed affects both."""

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
    """A measured command failed, or its result is wrong."""


@dataclass(frozen=True)
class Timing:
    """The wall time, the CPU time with child processes, and the peak memory of one run."""

    wall: float
    cpu: float
    memory: int = 0  # peak resident bytes of all processes, if the run is a command


@dataclass(frozen=True)
class Comparison:
    """The runs of the measured implementation (ours) and of the baseline, in order."""

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
        """Median of ours / baseline over all pairs; ours is faster below 1."""
        return statistics.median(ours.wall / baseline.wall for ours, baseline in self.timings)

    @property
    def cpu_ratio(self) -> float:
        """As `wall_ratio`, for CPU time."""
        return statistics.median(ours.cpu / baseline.cpu for ours, baseline in self.timings)


@dataclass(frozen=True)
class Figure:
    """A figure that is not a comparison of timings: a value, a reference, and their relation, as texts."""

    what: str
    ours: str
    reference: str
    relation: str
    note: str = ""


def time_call(work: Callable[[], object]) -> Timing:
    """Time a call in this process; the CPU time includes threads and child processes that it waited for."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    work()
    return Timing(time.perf_counter() - wall, _cpu_seconds() - cpu)


def time_command(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Timing:
    """Time a process with all that it starts. Raises BenchError with the end of its output if it fails.

    Spark's Python workers are orphaned, so that no parent waits for them: their time is sampled while they run. So is
    memory; shared memory counts in each process. For a command that ends before the first sample, the times are those
    of getrusage.
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
        cpu_ticks, memory = dict[int, int](), 0
        while True:
            has_ended = process.poll() is not None
            found = dict(_list_session(process.pid))
            cpu_ticks |= {pid: cpu for pid, (cpu, _) in found.items()}
            memory = max(memory, sum(resident for _, resident in found.values()))
            if has_ended:
                break
            time.sleep(WATCH_SECONDS)
        wall = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            end = output.read()[-3000:].decode(errors="replace")
            raise BenchError(f"{' '.join(argv)} failed with exit code {process.returncode}:\n{end}")
    seen = sum(cpu_ticks.values()) / os.sysconf("SC_CLK_TCK")
    return Timing(wall, max(seen, _children_seconds() - before), memory)


def list_processes() -> Iterator[tuple[int, list[str]]]:
    """Yield the ID of each process and the fields of its /proc/ID/stat from the third one, the state, on.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The second field, the name, may contain spaces and parentheses.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process has ended
        yield int(entry.name), fields


def _list_session(leader: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield each process of a session: its ID, its CPU time in clock ticks, and its resident bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    for pid, fields in list_processes():
        if int(fields[3]) == leader:
            yield pid, (int(fields[11]) + int(fields[12]), int(fields[21]) * page)


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
    """Run ours and the baseline alternately, `runs` times each, after one uncounted run of each.

    Without `warm` all runs count: for runs so long that a cold start does not matter.
    """
    if warm:
        ours[1]()
        baseline[1]()
    timings = []
    for _ in range(runs):
        pair = ours[1](), baseline[1]()
        timings.append(pair)
        walls = " vs. ".join(f"{timing.wall:.3g} s" for timing in pair)
        print(f"  {what}: {walls}", file=sys.stderr, flush=True)
    return Comparison(what, ours[0], baseline[0], timings, per, unit, note)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime + _children_seconds()
