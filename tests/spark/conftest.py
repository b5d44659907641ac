"""A project on the emulators with the stack's tables, and the job as a workflow template submits it."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from cdk.artifacts.workloads import build_batch_artifact, read_batch_main
from feed import (
    Feed,
    archive_name,
    batch_runs_schema,
    compress,
    empty_responses_schema,
    quarantine_schema,
    station_schema,
)
from local.data_plane.emulators import Emulators
from local.environment.environment import project_number
from local.environment.metadata_server import MetadataServer
from local.workloads.spark import SAFE_PATH, local_spark
from local.workloads.workloads import ISOLATION
from tests.conftest import bigquery_client, start_empty_emulators, storage_client
from tests.spark.bigquery_proxy import BigQueryProxy

ROOT = Path(__file__).parents[2]
JOB_TIMEOUT_S = 120
LOCATION = "europe-west1"
MASTER = "local[3]"  # not what Spark would choose by itself on a machine of two or four cores
PROJECTS = itertools.count(1)


@dataclass(frozen=True)
class Project:
    """One project on the emulators: buckets, dataset and tables as the stack declares them."""

    name: str
    feed: Feed  # the first of those that have a table
    gcs: StorageClient
    bq: bigquery.Client
    bigquery_proxy: BigQueryProxy  # what the job has for BigQuery
    environment: Mapping[str, str]

    @property
    def landing(self) -> str:
        return f"{self.name}-landing"

    @property
    def archive(self) -> str:
        return f"{self.name}-archive"

    def arguments(self, first: str, last: str | None = None, feed: str = "") -> list[str]:
        """The job's arguments, as the workflow template has them."""
        options = {
            "--project": self.name,
            "--dataset": "vlille",
            "--location": LOCATION,
            "--archive-bucket": self.archive,
            "--staging-bucket": f"{self.name}-staging",
            "--feed": feed or self.feed.name,
            "--from": first,
            "--to": last or first,
        }
        return [word for pair in options.items() for word in pair]

    def put(self, name: str, data: bytes) -> None:
        """Store an object in the archive, under any name."""
        self.gcs.bucket(self.archive).blob(name).upload_from_string(data, "application/gzip")

    def archive_response(self, tick: datetime, body: bytes) -> str:
        """Archive a response as the copier does; return the object's name."""
        name = archive_name(self.feed.name, tick)
        self.put(name, compress(body))
        return name

    def table(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table, in an order of their content."""
        # Read without a query, which takes the emulator three times as long.
        rows = [dict(row) for row in self.bq.list_rows(f"{self.name}.vlille.{name}")]
        return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))

    def tables(self) -> list[str]:
        """The dataset's tables: no staging table may stay."""
        return sorted(table.table_id for table in self.bq.list_tables("vlille"))


@pytest.fixture(scope="session")
def ods(feeds: dict[str, Feed]) -> Feed:
    return feeds["vlille_ods"]


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Separate emulators for these tests: with many tables of other tests they are half as fast."""
    with start_empty_emulators(tmp_path_factory) as one:
        yield one


@pytest.fixture(scope="session")
def new_project(
    emulators: Emulators, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Project]]:
    """Make projects that know nothing of one another, each with the tables of some feeds."""
    servers: list[MetadataServer | BigQueryProxy] = []

    def make(*feeds: Feed) -> Project:
        name = f"batch-{next(PROJECTS)}"
        metadata = MetadataServer(name, project_number(name), LOCATION)
        bigquery_proxy = BigQueryProxy(emulators.bigquery_url)
        servers.extend((metadata, bigquery_proxy))
        gcs, bq = storage_client(emulators, name), bigquery_client(emulators, name)
        for purpose in ("landing", "archive", "staging"):
            gcs.create_bucket(f"{name}-{purpose}")
        dataset = bigquery.Dataset(f"{name}.vlille")
        dataset.location = LOCATION
        bq.create_dataset(dataset)
        for table_id, schema, partitioned in (
            *((each.name, station_schema(each), True) for each in feeds),
            ("quarantine", quarantine_schema(), True),
            ("empty_responses", empty_responses_schema(), True),
            ("batch_runs", batch_runs_schema(), False),
        ):
            table = bigquery.Table(f"{name}.vlille.{table_id}", schema=schema)
            if partitioned:
                table.time_partitioning = bigquery.TimePartitioning(field="collected_at")
            bq.create_table(table)
        host = metadata.host_for(f"vlille-batch@{name}.iam.gserviceaccount.com")
        home = tmp_path_factory.mktemp(name)
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "TMPDIR": str(home),
            **local_spark().variables(Path(sys.executable)),
            "PYTHONPATH": str(ISOLATION),
            "STORAGE_EMULATOR_HOST": emulators.gcs_url,
            "BIGQUERY_EMULATOR_HOST": bigquery_proxy.url,
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_ROOT": host,
            "GCE_METADATA_IP": host,
            "GCE_METADATA_MTLS_MODE": "none",
            "GOOGLE_CLOUD_PROJECT": name,
        }
        return Project(name, feeds[0], gcs, bq, bigquery_proxy, environment)

    yield make
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def job_files(feeds: dict[str, Feed], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """main.py and the code zip, as the stack uploads them."""
    folder = tmp_path_factory.mktemp("job")
    artifact = build_batch_artifact(feeds.values(), ROOT / "sources")
    main, code = folder / "main-0123456789abcdef.py", folder / artifact.file_name
    main.write_bytes(read_batch_main())
    code.write_bytes(artifact.content)
    return main, code


def usable(file: Path, folder: Path) -> Path:
    """The file, or its copy in `folder` where Spark cannot use its path: the checkout may lie anywhere."""
    return file if SAFE_PATH.fullmatch(str(file)) else Path(shutil.copy(file, folder))


@pytest.fixture(scope="session")
def submission(job_files: tuple[Path, Path]) -> Callable[..., list[str]]:
    """The spark-submit command line of a job."""
    main, code = job_files

    def words(arguments: list[str], *zips: Path) -> list[str]:
        files = ",".join(str(usable(each, main.parent)) for each in (code, *zips))
        options = (*local_spark().options, "--master", MASTER)
        return ["spark-submit", *options, "--py-files", files, str(main), *arguments]

    return words


@pytest.fixture(scope="session")
def submit(
    submission: Callable[..., list[str]],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the job to its end."""

    def run(project: Project, arguments: list[str], *zips: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            submission(arguments, *zips),
            env=dict(project.environment),
            cwd=project.environment["HOME"],
            capture_output=True,
            text=True,
            timeout=JOB_TIMEOUT_S,
            check=False,
        )

    return run
