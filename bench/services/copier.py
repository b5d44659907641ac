"""A sweep of the copier, beside the bare calls that it needs at least, and beside `gsutil mv` for each object."""

import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import urllib3
from google.cloud.storage import Client as StorageClient
from requests import Response
from requests.adapters import HTTPAdapter

from bench.emulation import PROJECT, emulated, full_answer, original_feed, storage_client
from bench.measure import BenchError, Comparison, Figure, Timing, compare, timed
from copier.settings import Settings
from copier.sweep import sweep
from feed import archive_name, landing_name, pack
from local.data_plane.emulators import storage_binary
from local.processes.ports import LOOPBACK, free_port
from telemetry import LOGGER

OBJECTS = 1_000
MANY = 10_000
GSUTIL_OBJECTS = 5
THREADS = 16
LATENCY_S = 0.05
FIRST = datetime(2023, 10, 26, tzinfo=UTC)
LANDING, ARCHIVE = f"{PROJECT}-landing", f"{PROJECT}-archive"


def run(runs: int) -> list[Comparison | Figure]:
    """Compare the wall time of one object."""
    LOGGER.setLevel(logging.CRITICAL)
    packed = pack(full_answer(original_feed()))
    with tempfile.TemporaryDirectory() as folder, emulated(Path(folder)) as emulators:
        client = storage_client(emulators)
        for bucket in (LANDING, ARCHIVE):
            client.create_bucket(bucket)
        compared = [_compare(client, packed, latency_s, runs) for latency_s in (0.0, LATENCY_S)]
        moved = _gsutil(packed, compared[0].ours_wall)
        return [*compared, _many(client, packed), *moved]


class _Distant(HTTPAdapter):
    """Adds the time that a call to the real service is on its way."""

    def __init__(self, latency_s: float) -> None:
        super().__init__(pool_maxsize=THREADS)  # as the service does: a connection for every thread
        self._latency_s = latency_s

    def send(self, *args: Any, **kwargs: Any) -> Response:
        time.sleep(self._latency_s)
        return super().send(*args, **kwargs)


def _compare(client: StorageClient, packed: bytes, latency_s: float, runs: int) -> Comparison:
    near, far = HTTPAdapter(pool_maxsize=THREADS), _Distant(latency_s)

    def measured(move: Callable[[], object]) -> Timing:
        client._http.mount("http://", near)
        fill(client, packed, OBJECTS)
        client._http.mount("http://", far)
        timing = timed(move)
        client._http.mount("http://", near)
        empty(client, OBJECTS)
        return timing

    distance = f", {latency_s * 1000:.0f} ms a call" if latency_s else ""
    return compare(
        f"copier{distance}",
        (f"one sweep, {THREADS} threads, each copy verified", lambda: measured(lambda: _sweep(client))),
        (
            f"nothing but `copy_blob` and `delete` from {THREADS} threads",
            lambda: measured(lambda: _bare(client)),
        ),
        runs=runs,
        per=OBJECTS,
        unit="object",
        note=f"{OBJECTS} objects a run"
        + (", each call delayed as by the way to the real service." if latency_s else "."),
    )


def _sweep(client: StorageClient) -> None:
    sweep(client, Settings(LANDING, ARCHIVE, deadline_s=600, threads=THREADS), [], time.monotonic)


def _bare(client: StorageClient) -> None:
    landing, archive = client.bucket(LANDING), client.bucket(ARCHIVE)

    def move(minute: int) -> None:
        tick = FIRST + timedelta(minutes=minute)
        blob = landing.blob(landing_name("vlille_ods", tick))
        landing.copy_blob(blob, archive, archive_name("vlille_ods", tick))
        blob.delete()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(move, range(OBJECTS)))


def _many(client: StorageClient, packed: bytes) -> Figure:
    """Sweeps that a deadline ends, until nothing waits; none may take longer than it has."""
    client._http.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
    fill(client, packed, MANY)
    settings = Settings(LANDING, ARCHIVE, deadline_s=20, threads=THREADS)
    took: list[float] = []
    is_complete = False
    while not is_complete:
        started = time.monotonic()
        done = sweep(client, settings, [], time.monotonic)
        took.append(time.monotonic() - started)
        if done.failed or done.refused:
            raise BenchError(f"{done.failed} objects failed, {done.refused} were refused: {done.failures}")
        is_complete = done.complete
    empty(client, MANY)
    return Figure(
        f"copier, {MANY:,} objects waiting",
        f"{sum(took):.0f} s, {len(took)} sweeps",
        f"a deadline of {settings.deadline_s:.0f} s",
        f"the longest took {max(took):.1f} s",
        "what one leaves the next moves; two pages of 1,000 objects are in memory.",
    )


def _gsutil(packed: bytes, ours_s: float) -> list[Figure]:
    """The original's way: a program for each object."""
    program = shutil.which("gsutil")
    if program is None:
        return [Figure("copier, beside `gsutil mv`", "not measured", "no gsutil on PATH", "")]
    with tempfile.TemporaryDirectory() as name, _encrypted(Path(name)) as port:
        folder = Path(name)
        boto = folder / "boto"
        boto.write_text(
            f"[Credentials]\ngs_json_host = {LOOPBACK}\ngs_json_port = {port}\n"
            "[Boto]\nhttps_validate_certificates = False\n[GSUtil]\nprefer_api = json\ncheck_hashes = never\n"
        )
        variables = {**os.environ, "BOTO_CONFIG": str(boto), "CLOUDSDK_CONFIG": str(folder / "config")}
        url = f"https://{LOOPBACK}:{port}"
        with _trusting() as session:
            for bucket in (LANDING, ARCHIVE):
                session.post(f"{url}/storage/v1/b", json={"name": bucket}).raise_for_status()
            names = [f"data___2023-10-26_22:{minute:02d}:00.json" for minute in range(GSUTIL_OBJECTS)]
            for each in names:
                query = {"uploadType": "media", "name": each}
                upload = f"{url}/upload/storage/v1/b/{LANDING}/o"
                session.post(upload, params=query, data=packed).raise_for_status()
            started = time.perf_counter()
            for each in names:
                # The emulator's answer to the last call, a deletion, is one that it does not expect: it says so.
                subprocess.run(
                    [program, "mv", f"gs://{LANDING}/{each}", f"gs://{ARCHIVE}/{each.replace(':', '-')}"],
                    env=variables,
                    capture_output=True,
                    check=False,
                )
            theirs_s = (time.perf_counter() - started) / GSUTIL_OBJECTS
            held = [
                session.get(f"{url}/storage/v1/b/{bucket}/o").json().get("items", [])
                for bucket in (LANDING, ARCHIVE)
            ]
        if [len(each) for each in held] != [0, GSUTIL_OBJECTS]:
            raise BenchError(
                f"gsutil left {len(held[0])} objects and moved {len(held[1])} of {GSUTIL_OBJECTS}"
            )
    return [
        Figure(
            "copier, beside `gsutil mv`",
            f"{ours_s * 1000:.2g} ms an object",
            f"{theirs_s:.2f} s an object",
            f"{theirs_s / ours_s:.0f} × as fast",
            "the original's way, one program an object, on the same emulator (over TLS: gsutil knows no other way).",
        )
    ]


@contextmanager
def _encrypted(folder: Path) -> Iterator[int]:
    """The storage emulator over TLS; its port."""
    port = free_port()
    url = f"https://{LOOPBACK}:{port}"
    words = ["-scheme", "https", "-backend", "filesystem", "-filesystem-root", str(folder / "storage")]
    words += [
        "-host",
        LOOPBACK,
        "-port",
        str(port),
        "-external-url",
        url,
        "-public-host",
        f"{LOOPBACK}:{port}",
    ]
    process = subprocess.Popen(
        [str(storage_binary()), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with _trusting() as session:
            for _ in range(100):
                try:
                    session.get(f"{url}/storage/v1/b")
                    break
                except requests.ConnectionError:
                    time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _trusting() -> requests.Session:
    """For the emulator's own certificate, which it has signed itself."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    session = requests.Session()
    session.trust_env, session.verify = False, False
    return session


def fill(client: StorageClient, packed: bytes, count: int) -> None:
    bucket = client.bucket(LANDING)

    def put(minute: int) -> None:
        name = landing_name("vlille_ods", FIRST + timedelta(minutes=minute))
        bucket.blob(name).upload_from_string(packed)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(count)))


def empty(client: StorageClient, count: int) -> None:
    archived = list(client.list_blobs(ARCHIVE))
    left = list(client.list_blobs(LANDING))
    if len(archived) != count or left:
        raise BenchError(f"{len(archived)} of {count} objects archived, {len(left)} left")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda blob: blob.delete(), archived))
