"""A sweep of the copier, beside moving one object after the other, as `gsutil mv` does."""

import logging
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.cloud.storage import Client as StorageClient
from requests import Response
from requests.adapters import HTTPAdapter

from bench.measure import BenchError, Comparison, Timing, compare, timed
from bench.surroundings import PROJECT, emulated, full_answer, original_feed, storage_client
from copier.settings import Settings
from copier.sweep import sweep
from feed import archive_name, landing_name, pack
from telemetry import LOGGER

OBJECTS = 100
THREADS = 16
LATENCIES_S = (0.0, 0.05)
FIRST = datetime(2023, 10, 26, tzinfo=UTC)


def run(runs: int) -> list[Comparison]:
    """Compare the wall time of one object: a sweep of OBJECTS, and copy then delete one by one."""
    LOGGER.setLevel(logging.CRITICAL)
    packed = pack(full_answer(original_feed()))
    with tempfile.TemporaryDirectory() as folder, emulated(Path(folder)) as emulators:
        client = storage_client(emulators)
        for purpose in ("landing", "archive"):
            client.create_bucket(f"{PROJECT}-{purpose}")
        return [_compare(client, packed, latency_s, runs) for latency_s in LATENCIES_S]


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
    session = client._http

    def measured(move: Callable[[], object]) -> Timing:
        session.mount("http://", near)
        fill(client, packed)
        session.mount("http://", far)
        timing = timed(move)
        session.mount("http://", near)
        empty(client)
        return timing

    settings = Settings(f"{PROJECT}-landing", f"{PROJECT}-archive", deadline_s=600, threads=THREADS)
    distance = f", {latency_s * 1000:.0f} ms a call" if latency_s else ""
    return compare(
        f"copier{distance}",
        (
            f"one sweep, {THREADS} threads, each copy verified",
            lambda: measured(lambda: sweep(client, settings, [], time.monotonic)),
        ),
        ("copy, then delete, one object after the other", lambda: measured(lambda: _one_by_one(client))),
        runs=runs,
        per=OBJECTS,
        unit="object",
        note=f"{OBJECTS} objects a run"
        + (
            ", each call delayed as by the way to the real service."
            if latency_s
            else "; the emulator answers at once and shares the cores, so there is nothing to overlap."
        ),
    )


def _one_by_one(client: StorageClient) -> None:
    landing, archive = client.bucket(f"{PROJECT}-landing"), client.bucket(f"{PROJECT}-archive")
    for minute in range(OBJECTS):
        tick = FIRST + timedelta(minutes=minute)
        blob = landing.blob(landing_name("vlille_ods", tick))
        landing.copy_blob(blob, archive, archive_name("vlille_ods", tick))
        blob.delete()


def fill(client: StorageClient, packed: bytes) -> None:
    bucket = client.bucket(f"{PROJECT}-landing")
    for minute in range(OBJECTS):
        name = landing_name("vlille_ods", FIRST + timedelta(minutes=minute))
        bucket.blob(name).upload_from_string(packed)


def empty(client: StorageClient) -> None:
    archived = list(client.list_blobs(f"{PROJECT}-archive"))
    left = list(client.list_blobs(f"{PROJECT}-landing"))
    if len(archived) != OBJECTS or left:
        raise BenchError(f"{len(archived)} of {OBJECTS} objects archived, {len(left)} left")
    for blob in archived:
        blob.delete()
