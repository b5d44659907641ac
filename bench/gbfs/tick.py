"""Benchmark of a tick of 1,000 simulated GBFS systems, one process per shard, sequentially."""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.gbfs.cost import SIZES
from bench.gbfs.systems import SYSTEMS, generate_systems
from bench.measure import BenchError, Figure, Timing, time_command
from gbfs.collection.shards import parse_host

ROOT = Path(__file__).parents[2]
SHARDS = 2  # of 1,000 systems; fewer systems are in one shard
RUNS = 3
START_S = 60.0
MINUTES_PER_MONTH = 43_800
TARGET_S = 30.0  # for all shards
MAX_BYTES = 512 * 2**20  # per shard


@dataclass(frozen=True)
class Tick:
    """The shards of one tick, which ran one after another: a timing of each, and the sums of what they counted."""

    timings: Sequence[Timing]
    counts: Mapping[str, float]

    @property
    def wall(self) -> float:
        """Seconds of all shards, with the start of Python."""
        return sum(timing.wall for timing in self.timings)

    @property
    def cpu(self) -> float:
        """Seconds of CPU time of all shards."""
        return sum(timing.cpu for timing in self.timings)


def run(runs: int) -> list[Figure]:
    """Measure ticks: wall time, CPU time and memory of the shards, and the growth per month."""
    with tempfile.TemporaryDirectory() as name, _serve_systems(Path(name)) as file:
        urls: dict[str, str] = json.loads(file.read_text())
        ticks = [collect_tick(Path(name), urls, SHARDS) for _ in range(min(runs, RUNS))]
        smaller = {
            size: [collect_tick(Path(name), select_systems(urls, size), 1) for _ in range(RUNS)]
            for size in SIZES
            if size < SYSTEMS
        }
    hosts = Counter(map(parse_host, urls.values()))
    return [
        _report_time(ticks),
        _report_memory(ticks),
        _report_growth(ticks[0].counts, hosts),
        _report_seconds(smaller | {SYSTEMS: ticks}),
    ]


def select_systems(urls: Mapping[str, str], size: int) -> dict[str, str]:
    """Return the URLs of the first systems; a single one is one that responds."""
    responds = {each.system.system_id for each in generate_systems(random.Random(0)) if each.outcome == "ok"}  # noqa: S311
    first = next(system_id for system_id in urls if system_id in responds)
    return dict([(first, urls[first]), *((key, url) for key, url in urls.items() if key != first)][:size])


def collect_tick(folder: Path, urls: Mapping[str, str], shards: int) -> Tick:
    """Collect a tick of some systems. Raises BenchError if a system has no result."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = Path(name, "urls.json")
        file.write_text(json.dumps(urls))
        timings, counts = zip(*(_run_shard(file, shard, shards) for shard in range(shards)), strict=True)
    total = sum(map(Counter, counts), Counter[str]())
    if total["systems"] != len(urls) or total["received"] + total["failed"] != len(urls):
        raise BenchError(f"GBFS: {dict(total)}; expected a result for each of {len(urls)} systems")
    return Tick(timings, total)


def _run_shard(urls: Path, shard: int, shards: int) -> tuple[Timing, dict[str, float]]:
    result = urls.with_name(f"shard{shard}.json")
    argv = [str(urls), str(shard), str(shards), str(urls.with_name("packs")), str(result)]
    environment = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}
    timing = time_command([sys.executable, "-m", "bench.gbfs.shard", *argv], environment, ROOT)
    return timing, json.loads(result.read_text())


def _report_time(ticks: Sequence[Tick]) -> Figure:
    wall = statistics.median(tick.wall for tick in ticks)
    longest = max(timing.wall for tick in ticks for timing in tick.timings)
    counts = ticks[0].counts
    return Figure(
        f"GBFS, a tick of {SYSTEMS:,} systems",
        f"{wall:.1f} s in {SHARDS} shards, sequentially",
        f"{counts['received']:.0f} responses, {counts['failed']:.0f} failures, "
        f"{counts['station_status_rows']:,.0f} rows",
        f"target: {TARGET_S:.0f} s; longest shard {longest:.1f} s, "
        f"CPU time {statistics.median(tick.cpu for tick in ticks):.1f} s",
        "as the function collects it: requests, packs, and the rows of all shards as JSON, which the last shard loads; "
        "a folder takes the place of Cloud Storage, and no load job runs. The start of Python is included. Response "
        "times and failures are those of public systems: a median of 0.3 s, 15 % failures, 1 % that hang.",
    )


def _report_memory(ticks: Sequence[Tick]) -> Figure:
    most = max(timing.memory for tick in ticks for timing in tick.timings)
    if most > MAX_BYTES:
        raise BenchError(
            f"GBFS: a shard used {most / 2**20:.0f} MiB, expected at most {MAX_BYTES / 2**20:.0f} MiB"
        )
    return Figure(
        "GBFS, memory per shard",
        f"{most / 2**20:.0f} MiB at most",
        f"{SHARDS} shards of {SYSTEMS:,} systems",
        f"of {MAX_BYTES / 2**20:.0f} MiB",
    )


def _report_growth(counts: Mapping[str, float], hosts: Counter[str]) -> Figure:
    return Figure(
        "GBFS, growth per month",
        f"{SHARDS * MINUTES_PER_MONTH:,} packs, {counts['pack_bytes'] * MINUTES_PER_MONTH / 1e9:.0f} GB",
        f"{counts['station_status_rows'] * MINUTES_PER_MONTH / 1e9:.1f} billion rows, "
        f"{counts['load_bytes'] * MINUTES_PER_MONTH / 1e12:.1f} TB of JSON to load",
        f"{len(hosts)} hosts, at most {max(hosts.values())} requests per minute and host",
        "station_status only, every minute, no unchanged responses; minutes are kept for some days, changes for ever.",
    )


def _report_seconds(ticks: Mapping[int, Sequence[Tick]]) -> Figure:
    seconds = {
        size: statistics.median(tick.counts["seconds"] for tick in each) for size, each in ticks.items()
    }
    return Figure(
        "GBFS, seconds per minute by number of systems",
        ", ".join(f"{size:,}: {seconds[size]:.1f} s" for size in sorted(seconds)),
        "all shards, without the start of Python",
        "compute of the cost model",
        f"medians of at least {min(map(len, ticks.values()))}; the cost model adds the wait for Cloud Storage and for "
        "load jobs.",
    )


@contextmanager
def _serve_systems(folder: Path) -> Iterator[Path]:
    """Start the simulated systems; yields a file with their URLs."""
    urls = folder / "urls.json"
    process = subprocess.Popen([sys.executable, "-m", "bench.gbfs.server", str(urls)], cwd=ROOT)
    try:
        ends_at = time.monotonic() + START_S
        while not urls.exists():
            if process.poll() is not None or time.monotonic() > ends_at:
                raise BenchError(f"the simulated GBFS systems did not start within {START_S:.0f} s")
            time.sleep(0.1)
        yield urls
    finally:
        process.kill()
        process.wait()
