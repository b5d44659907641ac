"""Benchmark of the IAM proxy: calls of a workload through the proxy, against direct calls to the emulators."""

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
    load_tutorial_feed,
    make_bigquery_client,
    make_full_response,
    make_storage_client,
    make_table,
    start_emulation,
)
from bench.measure import Comparison, Timing, compare, time_call
from bench.services.copier import OBJECTS, THREADS, empty_archive_bucket, fill_landing_bucket
from copier.settings import Settings
from copier.sweep import sweep_landing_bucket
from feed import compress
from local.data_plane.emulators import Emulators
from local.environment.environment import LocalEnvironment, project_number
from local.environment.metadata_server import MetadataServer, access_token
from local.iam_proxy.enforcement import IamProxy
from local.processes.supervisor import Supervisor
from local.services.iam import Policies
from spark.archive import make_object_reader
from telemetry import LOGGER

EMAIL = f"worker@{PROJECT}.iam.gserviceaccount.com"
READS, READERS = 500, 32
UPLOAD_BYTES = 64 * 2**20
LOADS = 10


def run(runs: int) -> list[Comparison]:
    """Compare a sweep, many small reads, a large upload and small load jobs, with and without the proxy."""
    LOGGER.setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, start_emulation(Path(folder)) as emulators:
        direct = make_storage_client(emulators)
        for purpose in ("landing", "archive"):
            direct.create_bucket(f"{PROJECT}-{purpose}")
        with start_iam_proxy(Path(folder), emulators) as endpoints:
            return [
                _compare_sweeps(direct, _make_client(endpoints), runs),
                _compare_reads(direct, emulators, endpoints, runs),
                _compare_uploads(direct, _make_client(endpoints), runs),
                _compare_loads(emulators, endpoints, runs),
            ]


@contextmanager
def start_iam_proxy(folder: Path, emulators: Emulators) -> Iterator[Emulators]:
    """Start the IAM proxy in a process of its own; yields its endpoints."""
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    process = context.Process(target=_run_iam_proxy, args=(child_end, folder, emulators), daemon=True)
    process.start()
    try:
        yield parent_end.recv()
    finally:
        parent_end.send("end")
        process.join()


def _run_iam_proxy(pipe: Connection, folder: Path, emulators: Emulators) -> None:
    metadata = MetadataServer(PROJECT, project_number(PROJECT), "europe-west1")
    environment = LocalEnvironment(
        name="bench",
        folder=folder / "iam_proxy",
        stack_folder=folder,
        project=PROJECT,
        region="europe-west1",
        supervisor=Supervisor(folder / "iam_proxy.json"),
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
        f"projects/{PROJECT}/datasets/iam_proxy": "roles/bigquery.dataEditor",
    }
    for resource, role in grants.items():
        environment.service(Policies).grant(resource, role, [f"serviceAccount:{EMAIL}"])
    iam_proxy = IamProxy(environment)
    pipe.send(iam_proxy.workload_endpoints)
    pipe.recv()
    iam_proxy.close()
    metadata.close()


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def _make_credentials() -> Credentials:
    return Credentials(token=access_token(EMAIL)["access_token"])  # type: ignore[no-untyped-call]


def _make_client(endpoints: Emulators) -> StorageClient:
    options = {"api_endpoint": endpoints.gcs_url}
    return StorageClient(project=PROJECT, credentials=_make_credentials(), client_options=options)


def _compare_sweeps(direct: StorageClient, proxied: StorageClient, runs: int) -> Comparison:
    packed = compress(make_full_response(load_tutorial_feed()))
    settings = Settings(f"{PROJECT}-landing", f"{PROJECT}-archive", deadline_s=600, threads=THREADS)
    for each in (direct, proxied):
        each._http.mount("http://", HTTPAdapter(pool_maxsize=THREADS))

    def measured(client: StorageClient) -> Timing:
        fill_landing_bucket(direct, packed, OBJECTS)
        timing = time_call(lambda: sweep_landing_bucket(client, settings, [], time.monotonic))
        empty_archive_bucket(direct, OBJECTS)
        return timing

    return _compare("IAM proxy, sweep", measured, proxied, direct, runs=runs, per=OBJECTS, unit="object")


def _compare_reads(
    direct: StorageClient, emulators: Emulators, endpoints: Emulators, runs: int
) -> Comparison:
    content = compress(make_full_response(load_tutorial_feed()))
    direct.bucket(f"{PROJECT}-archive").blob("response").upload_from_string(content)

    def measured(url: str) -> Timing:
        read = make_object_reader(_make_credentials(), url, f"{PROJECT}-archive", connections=READERS)
        with ThreadPoolExecutor(READERS) as pool:
            return time_call(lambda: list(pool.map(read, ["response"] * READS)))

    return _compare(
        "IAM proxy, reads",
        measured,
        endpoints.gcs_url,
        emulators.gcs_url,
        runs=runs,
        per=READS,
        unit="object",
    )


def _compare_uploads(direct: StorageClient, proxied: StorageClient, runs: int) -> Comparison:
    content = bytes(UPLOAD_BYTES)

    def measured(client: StorageClient) -> Timing:
        blob = client.bucket(f"{PROJECT}-archive").blob("large")
        return time_call(lambda: blob.upload_from_file(io.BytesIO(content), size=UPLOAD_BYTES))

    return _compare("IAM proxy, upload of 64 MiB", measured, proxied, direct, runs=runs, per=1, unit="upload")


def _compare_loads(emulators: Emulators, endpoints: Emulators, runs: int) -> Comparison:
    direct = make_bigquery_client(emulators)
    direct.create_dataset("iam_proxy")
    make_table(direct, f"{PROJECT}.iam_proxy.rows", load_tutorial_feed())
    proxied = bigquery.Client(
        project=PROJECT,
        credentials=_make_credentials(),
        client_options={"api_endpoint": endpoints.bigquery_url},
    )
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", create_disposition="CREATE_NEVER")
    line = b'{"collected_at": "2023-10-26T12:00:00Z"}\n'

    def measured(client: bigquery.Client) -> Timing:
        def load() -> None:
            for _ in range(LOADS):
                job = client.load_table_from_file(
                    io.BytesIO(line), f"{PROJECT}.iam_proxy.rows", size=len(line), job_config=config
                )
                job.result()

        return time_call(load)

    return _compare("IAM proxy, load job", measured, proxied, direct, runs=runs, per=LOADS, unit="job")


def _compare[Side](
    what: str,
    measured: Callable[[Side], Timing],
    proxied: Side,
    direct: Side,
    *,
    runs: int,
    per: int,
    unit: str,
) -> Comparison:
    return compare(
        what,
        ("through the IAM proxy, which checks token and roles", lambda: measured(proxied)),
        ("the emulator directly", lambda: measured(direct)),
        runs=runs,
        per=per,
        unit=unit,
        note="CPU is that of the caller only; the proxy is another process.",
    )
