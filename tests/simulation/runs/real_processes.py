"""Run rounds on real processes: a local run with killed and stopped workloads, and faults of the API and the emulators.

Like the simulation, a round checks that a tick has one object, that the table has its rows once, and that a rebuild
gives the same rows. The seed determines the disturbances, but not their exact times.
"""

import errno
import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).parents[3]
FEED = "bikes"
STATIONS = 2
TICKS = 6
SPEED = 30  # a simulated minute takes two seconds
DEADLINE_S = 240.0
SMALL_DISK_BYTES = 2**30  # a round fills only a file system that is not larger
WORKLOADS = ("function collector", "service copier")
EMULATORS = ("storage emulator", "BigQuery emulator")
# Faults of the workloads' calls: kind, call, count. The clients or the next delivery retry them.
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
    """An invariant was violated, or a run did not end."""


class _UnreliableApi:
    """An API whose responses have different numbers of bikes, and sometimes a fault."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._lock, self._number = rng, threading.Lock(), 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body, headers = api.respond()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if status != 206 else 10_000))
                self.end_headers()
                with suppress(ConnectionError):  # the collector was killed
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def respond(self) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of the next response; the first ones are valid, so that the run uses them."""
        with self._lock:
            self._number += 1
            number, rolled = self._number, self._rng.random()
        good = json.dumps(
            {"records": [{"id": station + 1, "bikes": number} for station in range(STATIONS)]}
        ).encode()
        if number <= 2 or rolled < 0.7:
            return 200, good, {"Content-Type": "application/json"}
        if rolled < 0.76:
            time.sleep(self._rng.uniform(0.5, 3))
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
    """The disturbances and ticks of one round."""

    seed: int
    kills: int
    stops: int
    restarts: int
    fills: int
    fault: str
    ticks: int

    def __str__(self) -> str:
        fault = self.fault or "no fault"
        counts = f"{self.kills} kill -9, {self.stops} stopped, {self.restarts} emulators restarted"
        if self.fills:
            counts += f", {self.fills} times no space left on the device"
        return f"seed {self.seed}: {self.ticks} ticks, {counts}, {fault}"


def run_round(seed: int, folder: Path) -> Round:
    """Run one round in an empty folder. Raises RoundError with the run's output.

    If the folder is on a small file system of its own, the round also fills it at times.
    """
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    fault = rng.choice(FAULTS)
    with (
        tempfile.TemporaryDirectory(prefix="vlille-round-") as scratch,
        _make_unreliable_sources(rng, Path(scratch) / "sources") as sources,
        (Path(scratch) / "up.log").open("w") as log,
    ):
        return _run_round(seed, folder, rng, fault, sources=sources, log=log)


def _run_round(
    seed: int, folder: Path, rng: random.Random, fault: str, *, sources: Path, log: TextIO
) -> Round:
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
    output = Path(log.name)
    try:
        counts = _disturb(process, folder, output, rng)
        code = process.wait(DEADLINE_S)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    if code != 0:
        raise RoundError(f"seed {seed}: the run failed with exit code {code}\n{output.read_text()}")
    ticks = _check_report(seed, folder, output.read_text())
    return Round(seed, counts["kill"], counts["stop"], counts["restart"], counts["fill"], fault, ticks)


@contextmanager
def _make_unreliable_sources(rng: random.Random, sources: Path) -> Iterator[Path]:
    """Write a folder of sources with a feed of the unreliable API."""
    api = _UnreliableApi(rng)
    original = Path(__file__).parents[1] / "sources" / FEED
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


def _disturb(process: "subprocess.Popen[bytes]", folder: Path, log: Path, rng: random.Random) -> Counter[str]:
    """Kill, stop and restart processes until the ticks are over; return the number of each action."""
    counts: Counter[str] = Counter()
    actions = ["kill", "kill", "stop", "stop", "restart"]
    if shutil.disk_usage(folder).total <= SMALL_DISK_BYTES:
        actions += ["fill"]
    # If a workload is killed during its first start, the run fails since it cannot start.
    while process.poll() is None and not re.search(r"tick \d", log.read_text()):
        time.sleep(0.2)

    def ticks_are_over() -> bool:
        return process.poll() is not None or "waiting for unfinished work" in log.read_text()

    while not _wait_for(rng.uniform(0.5, 3.0), ticks_are_over):
        action = rng.choice(actions)
        if action == "fill":
            with _fill_disk(folder):
                _wait_for(rng.uniform(0.5, 3.0), ticks_are_over)
            counts[action] += 1
            continue
        for pid in _read_pids(folder, rng.choice(EMULATORS if action == "restart" else WORKLOADS)):
            try:
                _send_signal(pid, action, rng)
            except ProcessLookupError:
                continue
            counts[action] += 1
    return counts


def _wait_for(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until a condition is met, at most some seconds; return whether it is met."""
    end = time.monotonic() + seconds
    while not (is_met := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return is_met


@contextmanager
def _fill_disk(folder: Path) -> Iterator[None]:
    """Fill the folder's file system."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb") as file:
            used, size = 0, SMALL_DISK_BYTES
            while size:  # allocated instead of written, which takes no time
                try:
                    os.posix_fallocate(file.fileno(), used, size)
                    used += size
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        yield
    finally:
        ballast.unlink()


def _send_signal(pid: int, action: str, rng: random.Random) -> None:
    """Send the signal of an action. Raises ProcessLookupError if the process has ended.

    An emulator is terminated gracefully, since Google's services do not lose acknowledged data; it is then restarted.
    """
    match action:
        case "kill":
            os.kill(pid, signal.SIGKILL)
        case "restart":
            os.kill(pid, signal.SIGTERM)
        case _:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(rng.uniform(0.1, 2.0))
            os.kill(pid, signal.SIGCONT)


def _read_pids(folder: Path, name: str) -> list[int]:
    try:
        children = json.loads((folder / ".local" / "dev" / "processes.json").read_text())["children"]
    except (OSError, ValueError):
        return []
    return [child["pid"] for child in children if child["name"] == name]


def _check_report(seed: int, folder: Path, output: str) -> int:
    """Check the report and return the number of ticks. Raises RoundError."""
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
