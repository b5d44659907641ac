"""What it costs to have every call of a workload judged on its way: through the guard, beside the bare emulators."""

import io
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient
from google.oauth2.credentials import Credentials
from requests.adapters import HTTPAdapter

from bench.emulation import (
    PROJECT,
    bigquery_client,
    emulated,
    full_answer,
    make_table,
    original_feed,
    storage_client,
)
from bench.measure import Comparison, Timing, compare, timed
from bench.services.copier import OBJECTS, THREADS, empty, fill
from copier.settings import Settings
from copier.sweep import sweep
from feed import pack
from local.data_plane.emulators import Emulators
from local.environment.environment import LocalEnvironment, project_number
from local.environment.metadata_server import MetadataServer, access_token
from local.iam_proxy.enforcement import IamProxy
from local.processes.supervisor import Supervisor
from local.services.iam import Policies
from spark.archive import object_reader
from telemetry import LOGGER

EMAIL = f"worker@{PROJECT}.iam.gserviceaccount.com"
READS, READERS = 500, 32
LARGE = 64 * 2**20
LOADS = 10


def run(runs: int) -> list[Comparison]:
    """Compare a sweep, many small reads, a large upload and small load jobs: guarded, and not."""
    LOGGER.setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, emulated(Path(folder)) as emulators:
        bare = storage_client(emulators)
        for purpose in ("landing", "archive"):
            bare.create_bucket(f"{PROJECT}-{purpose}")
        with guarded(Path(folder), emulators) as doors:
            return [
                _sweep(bare, _client(doors), runs),
                _reads(bare, emulators, doors, runs),
                _upload(bare, _client(doors), runs),
                _loads(emulators, doors, runs),
            ]


@contextmanager
def guarded(folder: Path, emulators: Emulators) -> Iterator[Emulators]:
    """A guard in a process of its own, as the workloads have it; where it answers."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_guard, args=(there, folder, emulators), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join()


def _guard(pipe: Connection, folder: Path, emulators: Emulators) -> None:
    metadata = MetadataServer(PROJECT, project_number(PROJECT), "europe-west1")
    environment = LocalEnvironment(
        name="bench",
        folder=folder / "guard",
        stack_folder=folder,
        project=PROJECT,
        region="europe-west1",
        supervisor=Supervisor(folder / "guard.json"),
        gcs_url=emulators.gcs_url,
        bigquery_url=emulators.bigquery_url,
        metadata=metadata,
        clock=_Clock(),
        python=Path(),
    )
    environment.collection("iam", "serviceAccounts").put(
        f"projects/{PROJECT}/serviceAccounts/{EMAIL}", {"email": EMAIL}
    )
    grants = {
        f"b/{PROJECT}-landing": "roles/storage.objectUser",
        f"b/{PROJECT}-archive": "roles/storage.objectUser",
        f"projects/{PROJECT}": "roles/bigquery.jobUser",
        f"projects/{PROJECT}/datasets/guard": "roles/bigquery.dataEditor",
    }
    for resource, role in grants.items():
        environment.service(Policies).grant(resource, role, [f"serviceAccount:{EMAIL}"])
    guard = IamProxy(environment)
    pipe.send(guard.workload_endpoints)
    pipe.recv()
    guard.close()
    metadata.close()


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def _credentials() -> Credentials:
    return Credentials(token=access_token(EMAIL)["access_token"])  # type: ignore[no-untyped-call]


def _client(doors: Emulators) -> StorageClient:
    options = {"api_endpoint": doors.gcs_url}
    return StorageClient(project=PROJECT, credentials=_credentials(), client_options=options)


def _sweep(bare: StorageClient, through: StorageClient, runs: int) -> Comparison:
    packed = pack(full_answer(original_feed()))
    settings = Settings(f"{PROJECT}-landing", f"{PROJECT}-archive", deadline_s=600, threads=THREADS)
    for each in (bare, through):
        each._http.mount("http://", HTTPAdapter(pool_maxsize=THREADS))

    def measured(client: StorageClient) -> Timing:
        fill(bare, packed, OBJECTS)
        timing = timed(lambda: sweep(client, settings, [], time.monotonic))
        empty(bare, OBJECTS)
        return timing

    return _compared("guard, sweep", measured, through, bare, runs=runs, per=OBJECTS, unit="object")


def _reads(bare: StorageClient, emulators: Emulators, doors: Emulators, runs: int) -> Comparison:
    content = pack(full_answer(original_feed()))
    bare.bucket(f"{PROJECT}-archive").blob("answer").upload_from_string(content)

    def measured(url: str) -> Timing:
        read = object_reader(_credentials(), url, f"{PROJECT}-archive", connections=READERS)
        with ThreadPoolExecutor(READERS) as pool:
            return timed(lambda: list(pool.map(read, ["answer"] * READS)))

    return _compared(
        "guard, reads", measured, doors.gcs_url, emulators.gcs_url, runs=runs, per=READS, unit="object"
    )


def _upload(bare: StorageClient, through: StorageClient, runs: int) -> Comparison:
    content = bytes(LARGE)

    def measured(client: StorageClient) -> Timing:
        blob = client.bucket(f"{PROJECT}-archive").blob("large")
        return timed(lambda: blob.upload_from_file(io.BytesIO(content), size=LARGE))

    return _compared("guard, 64 MiB up", measured, through, bare, runs=runs, per=1, unit="upload")


def _loads(emulators: Emulators, doors: Emulators, runs: int) -> Comparison:
    bare = bigquery_client(emulators)
    bare.create_dataset("guard")
    make_table(bare, f"{PROJECT}.guard.rows", original_feed())
    through = bigquery.Client(
        project=PROJECT, credentials=_credentials(), client_options={"api_endpoint": doors.bigquery_url}
    )
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", create_disposition="CREATE_NEVER")
    line = b'{"collected_at": "2023-10-26T12:00:00Z"}\n'

    def measured(client: bigquery.Client) -> Timing:
        def load() -> None:
            for _ in range(LOADS):
                job = client.load_table_from_file(
                    io.BytesIO(line), f"{PROJECT}.guard.rows", size=len(line), job_config=config
                )
                job.result()

        return timed(load)

    return _compared("guard, load job", measured, through, bare, runs=runs, per=LOADS, unit="job")


def _compared[Side](
    what: str,
    measured: Callable[[Side], Timing],
    through: Side,
    bare: Side,
    *,
    runs: int,
    per: int,
    unit: str,
) -> Comparison:
    return compare(
        what,
        ("through the guard, token and roles checked", lambda: measured(through)),
        ("the bare emulator", lambda: measured(bare)),
        runs=runs,
        per=per,
        unit=unit,
        note="CPU is the caller's alone: the guard is a process beside it.",
    )
