"""Benchmark of a sweep of the copier, against its minimal calls to Cloud Storage and against `gsutil mv`."""

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

from bench.emulation import (
    PROJECT,
    load_tutorial_feed,
    make_full_response,
    make_storage_client,
    start_emulation,
)
from bench.measure import BenchError, Comparison, Figure, Timing, compare, time_call
from copier.settings import Settings
from copier.sweep import sweep_landing_bucket
from feed import archive_name, compress, landing_name
from local.data_plane.emulators import storage_binary
from local.processes.ports import LOOPBACK, free_port
from telemetry import LOGGER

OBJECTS = 1_000
BACKLOG_OBJECTS = 10_000
GSUTIL_OBJECTS = 5
THREADS = 16
LATENCY_S = 0.05
FIRST = datetime(2023, 10, 26, tzinfo=UTC)
LANDING, ARCHIVE = f"{PROJECT}-landing", f"{PROJECT}-archive"


def run(runs: int) -> list[Comparison | Figure]:
    """Compare the time per object, and measure a backlog."""
    LOGGER.setLevel(logging.CRITICAL)
    packed = compress(make_full_response(load_tutorial_feed()))
    with tempfile.TemporaryDirectory() as folder, start_emulation(Path(folder)) as emulators:
        client = make_storage_client(emulators)
        for bucket in (LANDING, ARCHIVE):
            client.create_bucket(bucket)
        compared = [_compare_sweeps(client, packed, latency_s, runs) for latency_s in (0.0, LATENCY_S)]
        moved = _measure_gsutil(packed, compared[0].ours_wall)
        return [*compared, _measure_backlog(client, packed), *moved]


class _DelayingAdapter(HTTPAdapter):
    """Adds the network latency of a call to the real service."""

    def __init__(self, latency_s: float) -> None:
        super().__init__(pool_maxsize=THREADS)  # as the copier does: one connection per thread
        self._latency_s = latency_s

    def send(self, *args: Any, **kwargs: Any) -> Response:
        time.sleep(self._latency_s)
        return super().send(*args, **kwargs)


def _compare_sweeps(client: StorageClient, packed: bytes, latency_s: float, runs: int) -> Comparison:
    direct, delayed = HTTPAdapter(pool_maxsize=THREADS), _DelayingAdapter(latency_s)

    def measure(move: Callable[[], object]) -> Timing:
        client._http.mount("http://", direct)
        fill_landing_bucket(client, packed, OBJECTS)
        client._http.mount("http://", delayed)
        timing = time_call(move)
        client._http.mount("http://", direct)
        empty_archive_bucket(client, OBJECTS)
        return timing

    latency = f", {latency_s * 1000:.0f} ms per call" if latency_s else ""
    return compare(
        f"copier{latency}",
        (f"one sweep, {THREADS} threads, each copy verified", lambda: measure(lambda: _run_sweep(client))),
        (
            f"only `copy_blob` and `delete` from {THREADS} threads",
            lambda: measure(lambda: _copy_objects(client)),
        ),
        runs=runs,
        per=OBJECTS,
        unit="object",
        note=f"{OBJECTS} objects per run"
        + (", each call delayed by the latency of the real service." if latency_s else "."),
    )


def _run_sweep(client: StorageClient) -> None:
    sweep_landing_bucket(
        client, Settings(LANDING, ARCHIVE, deadline_s=600, threads=THREADS), [], time.monotonic
    )


def _copy_objects(client: StorageClient) -> None:
    landing, archive = client.bucket(LANDING), client.bucket(ARCHIVE)

    def move(minute: int) -> None:
        tick = FIRST + timedelta(minutes=minute)
        blob = landing.blob(landing_name("vlille_ods", tick))
        landing.copy_blob(blob, archive, archive_name("vlille_ods", tick))
        blob.delete()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(move, range(OBJECTS)))


def _measure_backlog(client: StorageClient, packed: bytes) -> Figure:
    """Sweep a backlog until it is empty; no sweep may exceed its deadline."""
    client._http.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
    fill_landing_bucket(client, packed, BACKLOG_OBJECTS)
    settings = Settings(LANDING, ARCHIVE, deadline_s=20, threads=THREADS)
    took: list[float] = []
    is_complete = False
    while not is_complete:
        started = time.monotonic()
        done = sweep_landing_bucket(client, settings, [], time.monotonic)
        took.append(time.monotonic() - started)
        if done.failed or done.refused:
            raise BenchError(f"{done.failed} objects failed and {done.refused} were refused: {done.failures}")
        is_complete = done.complete
    empty_archive_bucket(client, BACKLOG_OBJECTS)
    return Figure(
        f"copier, backlog of {BACKLOG_OBJECTS:,} objects",
        f"{sum(took):.0f} s, {len(took)} sweeps",
        f"a deadline of {settings.deadline_s:.0f} s",
        f"the longest sweep took {max(took):.1f} s",
        "the next sweep continues; two pages of 1,000 objects are in memory.",
    )


def _measure_gsutil(packed: bytes, ours_s: float) -> list[Figure]:
    """Measure the baseline of the original tutorial: `gsutil mv` for each object."""
    program = shutil.which("gsutil")
    if program is None:
        return [Figure("copier and `gsutil mv`", "not measured", "no gsutil on PATH", "")]
    with tempfile.TemporaryDirectory() as name, _start_tls_emulator(Path(name)) as port:
        folder = Path(name)
        boto = folder / "boto"
        boto.write_text(
            f"[Credentials]\ngs_json_host = {LOOPBACK}\ngs_json_port = {port}\n"
            "[Boto]\nhttps_validate_certificates = False\n[GSUtil]\nprefer_api = json\ncheck_hashes = never\n"
        )
        variables = {**os.environ, "BOTO_CONFIG": str(boto), "CLOUDSDK_CONFIG": str(folder / "config")}
        url = f"https://{LOOPBACK}:{port}"
        with _make_session() as session:
            for bucket in (LANDING, ARCHIVE):
                session.post(f"{url}/storage/v1/b", json={"name": bucket}).raise_for_status()
            names = [f"data___2023-10-26_22:{minute:02d}:00.json" for minute in range(GSUTIL_OBJECTS)]
            for each in names:
                query = {"uploadType": "media", "name": each}
                upload = f"{url}/upload/storage/v1/b/{LANDING}/o"
                session.post(upload, params=query, data=packed).raise_for_status()
            started = time.perf_counter()
            for each in names:
                # gsutil reports an error, since it does not expect the emulator's response to the deletion.
                subprocess.run(
                    [program, "mv", f"gs://{LANDING}/{each}", f"gs://{ARCHIVE}/{each.replace(':', '-')}"],
                    env=variables,
                    capture_output=True,
                    check=False,
                )
            gsutil_s = (time.perf_counter() - started) / GSUTIL_OBJECTS
            listings = [
                session.get(f"{url}/storage/v1/b/{bucket}/o").json().get("items", [])
                for bucket in (LANDING, ARCHIVE)
            ]
        if [len(each) for each in listings] != [0, GSUTIL_OBJECTS]:
            raise BenchError(
                f"gsutil moved {len(listings[1])} of {GSUTIL_OBJECTS} objects and left {len(listings[0])}"
            )
    return [
        Figure(
            "copier and `gsutil mv`",
            f"{ours_s * 1000:.2g} ms per object",
            f"{gsutil_s:.2f} s per object",
            f"{gsutil_s / ours_s:.0f} × as fast",
            "as in the original tutorial, one process per object, on the same emulator (over TLS, which "
            "gsutil requires).",
        )
    ]


@contextmanager
def _start_tls_emulator(folder: Path) -> Iterator[int]:
    """Start the storage emulator with TLS; yields its port."""
    port = free_port()
    url = f"https://{LOOPBACK}:{port}"
    argv = ["-scheme", "https", "-backend", "filesystem", "-filesystem-root", str(folder / "storage")]
    argv += [
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
        [str(storage_binary()), *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with _make_session() as session:
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


def _make_session() -> requests.Session:
    """Return a session that accepts the emulator's self-signed certificate."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    session = requests.Session()
    session.trust_env, session.verify = False, False
    return session


def fill_landing_bucket(client: StorageClient, packed: bytes, count: int) -> None:
    bucket = client.bucket(LANDING)

    def put(minute: int) -> None:
        name = landing_name("vlille_ods", FIRST + timedelta(minutes=minute))
        bucket.blob(name).upload_from_string(packed)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(count)))


def empty_archive_bucket(client: StorageClient, count: int) -> None:
    archived = list(client.list_blobs(ARCHIVE))
    left = list(client.list_blobs(LANDING))
    if len(archived) != count or left:
        raise BenchError(f"{len(archived)} of {count} objects were archived and {len(left)} are left")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda blob: blob.delete(), archived))
