"""Rounds on real processes: `make up` while workloads are killed and stopped, and API, storage and tables misbehave.

What the simulation checks in a world of its own is checked here on the emulators: a tick has one object, the table has
its rows once, and a rebuild gives the same rows. A seed decides what happens; when exactly, the machine does.
"""

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FEED = "bikes"
STATIONS = 2
TICKS = 6
SPEED = 30  # a minute takes two seconds
DEADLINE_S = 240.0
WORKLOADS = ("function collector", "service copier")
# Calls of the workloads that fail: what, which, how often. The clients or the next delivery make them again.
FAULTS = (
    "",
    "503@upload/storagex2",
    "cut@POST /upload/storage",
    "drop@GET /storage",
    "503@bigquery.*jobsx2",
    "cut@POST /upload/bigquery",
    "429@/storagex2",
)


class RoundError(AssertionError):
    """A promise was broken, or a run did not end."""


class _UnreliableApi:
    """Answers each request with another number of bikes, and at times with something else."""

    def __init__(self, dice: random.Random) -> None:
        self._dice, self._lock, self._number = dice, threading.Lock(), 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body, headers = api.respond()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if status != 206 else 10_000))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def respond(self) -> tuple[int, bytes, dict[str, str]]:
        """Status, body, headers of the next response; the first ones are good, so that the run uses this API."""
        with self._lock:
            self._number += 1
            number, rolled = self._number, self._dice.random()
        good = json.dumps(
            {"records": [{"id": station + 1, "bikes": number} for station in range(STATIONS)]}
        ).encode()
        if number <= 2 or rolled < 0.7:
            return 200, good, {"Content-Type": "application/json"}
        if rolled < 0.76:
            time.sleep(self._dice.uniform(0.5, 3))
            return 200, good, {}
        if rolled < 0.82:
            return 503, b"busy", {}
        if rolled < 0.88:
            return 429, b"", {"Retry-After": "1"}
        if rolled < 0.94:
            return 200, good[: len(good) // 2], {}
        return 200, b"<html><body>Maintenance</body></html>", {"Content-Type": "text/html"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Round:
    """What one round did: kills and stops, the fault of the data plane, and its ticks."""

    seed: int
    kills: int
    stops: int
    fault: str
    ticks: int

    def __str__(self) -> str:
        fault = self.fault or "no fault"
        return f"seed {self.seed}: {self.ticks} ticks, {self.kills} kill -9, {self.stops} stopped, {fault}"


def run_round(seed: int, folder: Path) -> Round:
    """Run one round in an empty folder. Raises RoundError with the run's output."""
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    fault = dice.choice(FAULTS)
    with _unreliable_sources(dice, folder / "sources") as sources, (folder / "up.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "local", "up", "--feed", FEED, "--speed", str(SPEED)),
                *("--ticks", str(TICKS), *(("--fault", fault) if fault else ())),
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "VLILLE_SOURCES": str(sources)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            kills, stops = _strike(process, folder, dice)
            code = process.wait(DEADLINE_S)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
    output = (folder / "up.log").read_text()
    if code != 0:
        raise RoundError(f"seed {seed}: the run ended with {code}\n{output}")
    return Round(seed, kills, stops, fault, _check(seed, folder, output))


@contextmanager
def _unreliable_sources(dice: random.Random, sources: Path) -> Iterator[Path]:
    """A folder of feeds with one that asks the unreliable API."""
    api = _UnreliableApi(dice)
    original = Path(__file__).parent / "sources" / FEED
    (sources / FEED).mkdir(parents=True)
    (sources / FEED / "sample.json").write_bytes((original / "sample.json").read_bytes())
    text = (original / "source.toml").read_text()
    (sources / FEED / "source.toml").write_text(
        re.sub(r'^url = ".*"$', f'url = "{api.url}"', text, flags=re.M)
    )
    try:
        yield sources
    finally:
        api.close()


def _strike(process: "subprocess.Popen[bytes]", folder: Path, dice: random.Random) -> tuple[int, int]:
    """Kill and stop workloads until the ticks are over; how often."""
    kills = stops = 0
    log = folder / "up.log"
    # A workload that is killed before its first start has ended is one that cannot start: the run says so and ends.
    while process.poll() is None and not re.search(r"tick \d", log.read_text()):
        time.sleep(0.2)
    while process.poll() is None and "archiving what landed" not in log.read_text():
        time.sleep(dice.uniform(0.5, 3.0))
        name, is_kill = dice.choice(WORKLOADS), dice.random() < 0.5
        for pid in _pids(folder, name):
            try:
                if is_kill:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                else:
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(dice.uniform(0.1, 2.0))
                    os.kill(pid, signal.SIGCONT)
                    stops += 1
            except ProcessLookupError:
                continue
    return kills, stops


def _pids(folder: Path, name: str) -> list[int]:
    try:
        children = json.loads((folder / ".local" / "dev" / "processes.json").read_text())["children"]
    except (OSError, ValueError):
        return []
    return [child["pid"] for child in children if child["name"] == name]


def _check(seed: int, folder: Path, output: str) -> int:
    """The number of ticks. Raises RoundError."""
    home = folder / ".local" / "dev"
    report = json.loads((home / "report.json").read_text())
    objects = sorted((home / "storage").glob(f"*-archive/feed={FEED}/**/*.json.gz"))
    usable = sum(_is_usable(gzip.decompress(each.read_bytes())) for each in objects)
    expected = {
        "objects_landed": report["ticks"],
        "objects_archived": report["ticks"],
        "rows_streamed": usable * STATIONS,
        "rows_rebuilt": usable * STATIONS,
        "mismatches": 0,
    }
    found = {key: report[key] for key in expected}
    if found != expected or len(objects) != report["ticks"]:
        raise RoundError(f"seed {seed}: found {found}, expected {expected}, {len(objects)} objects\n{output}")
    return int(report["ticks"])


def _is_usable(body: bytes) -> bool:
    try:
        return len(json.loads(body)["records"]) == STATIONS
    except ValueError:
        return False
