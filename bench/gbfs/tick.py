"""A tick of 1,000 simulated GBFS systems, shard after shard, each in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.gbfs.server import SYSTEMS
from bench.measure import BenchError, Figure, Timing, timed_command
from gbfs.collection.shards import parse_host

ROOT = Path(__file__).parents[2]
SHARDS = 4
START_S = 60.0
MINUTES_A_MONTH = 43_800
MOST_BYTES = 512 * 2**20  # of a shard


def run(_runs: int) -> list[Figure]:
    """Measure one tick: wall, processor time and memory of its shards, and what it would keep in a month."""
    with tempfile.TemporaryDirectory() as folder, _served(Path(folder)) as urls:
        timings, counts = zip(*(_shard(urls, shard) for shard in range(SHARDS)), strict=True)
        hosts = Counter(parse_host(url) for url in json.loads(urls.read_text()).values())
    total = {key: sum(each[key] for each in counts) for key in counts[0]}
    if total["systems"] != SYSTEMS or total["received"] + total["failed"] != SYSTEMS:
        raise BenchError(f"GBFS: {total}, expected a result of each of {SYSTEMS} systems")
    return [_time(timings, total), _memory(timings), _growth(total, hosts)]


def _time(timings: Sequence[Timing], total: dict[str, int]) -> Figure:
    longest = max(timing.wall for timing in timings)
    return Figure(
        f"GBFS, a tick of {SYSTEMS:,} systems",
        f"{sum(timing.wall for timing in timings):.0f} s in {SHARDS} shards, one after another",
        f"{total['received']} responses, {total['failed']} failures, {total['station_rows']:,} rows",
        f"the longest shard {longest:.0f} s, processors {sum(timing.cpu for timing in timings):.1f} s",
        "requests, packs, packs read again, rows as JSON; Cloud Storage and BigQuery are left out. Response times and "
        "failures are those of public systems: a median of 0.3 s, 15 % that fail, 1 % that hang.",
    )


def _memory(timings: Sequence[Timing]) -> Figure:
    most = max(timing.memory for timing in timings)
    if most > MOST_BYTES:
        raise BenchError(
            f"GBFS: a shard took {most / 2**20:.0f} MiB, expected at most {MOST_BYTES / 2**20:.0f}"
        )
    return Figure(
        "GBFS, memory of a shard",
        f"{most / 2**20:.0f} MiB at most",
        f"{SHARDS} shards of {SYSTEMS:,} systems",
        f"of {MOST_BYTES / 2**20:.0f} MiB",
    )


def _growth(total: dict[str, int], hosts: Counter[str]) -> Figure:
    return Figure(
        "GBFS, growth in a month",
        f"{SHARDS * MINUTES_A_MONTH:,} packs, {total['pack_bytes'] * MINUTES_A_MONTH / 1e9:.0f} GB",
        f"{total['load_bytes'] * MINUTES_A_MONTH / 1e12:.1f} TB of JSON to load as minutes",
        f"{len(hosts)} hosts, at most {max(hosts.values())} requests a minute to one",
        "station_status alone, each minute, nothing unchanged; rows are kept for the newest days, changes for ever.",
    )


def _shard(urls: Path, shard: int) -> tuple[Timing, dict[str, int]]:
    result = urls.with_name(f"shard{shard}.json")
    words = [sys.executable, "-m", "bench.gbfs.shard", str(urls), str(shard), str(SHARDS), str(result)]
    timing = timed_command(words, {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}, ROOT)
    return timing, json.loads(result.read_text())


@contextmanager
def _served(folder: Path) -> Iterator[Path]:
    """Start the simulated systems; the file has the URL of each."""
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
