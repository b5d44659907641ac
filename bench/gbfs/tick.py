"""Benchmark of a tick of 1,000 simulated GBFS systems, one process per shard, sequentially."""

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
from bench.measure import BenchError, Figure, Timing, time_command
from gbfs.collection.shards import parse_host

ROOT = Path(__file__).parents[2]
SHARDS = 4
START_S = 60.0
MINUTES_PER_MONTH = 43_800
MAX_BYTES = 512 * 2**20  # per shard


def run(_runs: int) -> list[Figure]:
    """Measure one tick: wall time, processor time and memory of its shards, and the growth per month."""
    with tempfile.TemporaryDirectory() as folder, _serve_systems(Path(folder)) as urls:
        timings, counts = zip(*(_run_shard(urls, shard) for shard in range(SHARDS)), strict=True)
        hosts = Counter(parse_host(url) for url in json.loads(urls.read_text()).values())
    total = {key: sum(each[key] for each in counts) for key in counts[0]}
    if total["systems"] != SYSTEMS or total["received"] + total["failed"] != SYSTEMS:
        raise BenchError(f"GBFS: {total}; expected a result for each of {SYSTEMS} systems")
    return [_report_time(timings, total), _report_memory(timings), _report_growth(total, hosts)]


def _report_time(timings: Sequence[Timing], total: dict[str, int]) -> Figure:
    longest = max(timing.wall for timing in timings)
    return Figure(
        f"GBFS, a tick of {SYSTEMS:,} systems",
        f"{sum(timing.wall for timing in timings):.0f} s in {SHARDS} shards, sequentially",
        f"{total['received']} responses, {total['failed']} failures, {total['station_rows']:,} rows",
        f"longest shard {longest:.0f} s, processor time {sum(timing.cpu for timing in timings):.1f} s",
        "requests, packs written and read, rows as JSON, without Cloud Storage and BigQuery. Response times and "
        "failures are those of public systems: a median of 0.3 s, 15 % failures, 1 % that hang.",
    )


def _report_memory(timings: Sequence[Timing]) -> Figure:
    most = max(timing.memory for timing in timings)
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


def _report_growth(total: dict[str, int], hosts: Counter[str]) -> Figure:
    return Figure(
        "GBFS, growth per month",
        f"{SHARDS * MINUTES_PER_MONTH:,} packs, {total['pack_bytes'] * MINUTES_PER_MONTH / 1e9:.0f} GB",
        f"{total['load_bytes'] * MINUTES_PER_MONTH / 1e12:.1f} TB of JSON to load",
        f"{len(hosts)} hosts, at most {max(hosts.values())} requests per minute and host",
        "station_status only, every minute, no unchanged responses; minutes are kept for some days, changes for ever.",
    )


def _run_shard(urls: Path, shard: int) -> tuple[Timing, dict[str, int]]:
    result = urls.with_name(f"shard{shard}.json")
    words = [sys.executable, "-m", "bench.gbfs.shard", str(urls), str(shard), str(SHARDS), str(result)]
    timing = time_command(words, {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}, ROOT)
    return timing, json.loads(result.read_text())


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
