"""Run the batch job as its workflow template does, on emulators with the stack's tables."""

import base64
import hashlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import google_crc32c
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from bench.archives.generator import (
    FEED,
    ExpectedTotals,
    ObjectWriter,
    generate_archive,
    read_recorded_response,
    write_to_folder,
)
from bench.archives.responses import Plan
from bench.emulation import PROJECT, ROOT, make_bigquery_client, make_storage_client, start_emulation
from cdk.artifacts.workloads import build_batch_artifact, read_batch_main
from feed import batch_runs_schema, empty_responses_schema, load_feeds, quarantine_schema, station_schema
from local.environment.environment import project_number
from local.environment.metadata_server import MetadataServer
from local.workloads.java import find_java
from local.workloads.spark import LOCAL_CONF, spark_options
from local.workloads.workloads import ISOLATION

LOCATION = "europe-west1"


@dataclass(frozen=True)
class BatchEnvironment:
    """Buckets, dataset and tables, and the files that are passed to spark-submit."""

    gcs: StorageClient
    bq: bigquery.Client
    buckets: Path  # the emulator's folder of buckets
    environment: Mapping[str, str]
    main: Path
    code: Path

    def format_command(
        self, spark: Path, days: tuple[str, str], *, zips: tuple[Path, ...] = (), at_once: int = 31
    ) -> list[str]:
        """Return the command line of a run with the Spark of a Python environment."""
        files = ",".join(map(str, (self.code, *zips)))
        arguments = {
            "--project": PROJECT,
            "--dataset": "vlille",
            "--location": LOCATION,
            "--archive-bucket": f"{PROJECT}-archive",
            "--staging-bucket": f"{PROJECT}-staging",
            "--feed": FEED,
            "--from": days[0],
            "--to": days[1],
            "--days-at-once": str(at_once),
        }
        argv = [word for pair in arguments.items() for word in pair]
        submit = [str(spark / "bin" / "spark-submit"), "--master", "local[2]", *spark_options(LOCAL_CONF)]
        return [*submit, "--py-files", files, str(self.main), *argv]

    def make_variables(self, spark: Path) -> dict[str, str]:
        """Return the environment variables of a run with that Spark."""
        [home] = spark.glob("lib/python3*/site-packages/pyspark")
        python = str(spark / "bin" / "python")
        return {
            **self.environment,
            "SPARK_HOME": str(home),
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
        }

    def run(self, spark: Path, days: tuple[str, str], **options: Any) -> dict[str, Any]:
        """Run the batch and return the run statistics that it prints. Raises CalledProcessError."""
        done = subprocess.run(
            self.format_command(spark, days, **options),
            env=self.make_variables(spark),
            capture_output=True,
            text=True,
            check=True,
        )
        statistics: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return statistics

    def generate_archive(self, plan: Plan) -> dict[str, ExpectedTotals]:
        """Generate an archive directly in the folder of the emulator, and return the expected totals."""
        sink = partial(write_to_emulator, self.buckets / f"{PROJECT}-archive")
        return generate_archive(
            read_recorded_response(), plan, "archive", sink, processes=os.cpu_count() or 1
        )

    def clear_tables(self) -> None:
        """Empty the tables."""
        for table in (FEED, "quarantine"):
            self.bq.query(f"DELETE FROM `{PROJECT}.vlille.{table}` WHERE TRUE").result()  # noqa: S608

    def read_totals(self) -> dict[str, ExpectedTotals]:
        """Return the totals of the tables by day, in the form of the expected ones."""
        query = (
            "SELECT CAST(DATE(collected_at) AS STRING) AS day, COUNT(*) AS n, SUM(nbvelosdispo) AS bikes, "  # noqa: S608
            f"SUM(nbplacesdispo) AS docks FROM `{PROJECT}.vlille.{FEED}` GROUP BY day ORDER BY day"
        )
        found = {
            row.day: ExpectedTotals(0, row.n, int(row.bikes or 0), int(row.docks or 0))
            for row in self.bq.query(query).result()
        }
        query = f"SELECT collected_at, record_index, reason FROM `{PROJECT}.vlille.quarantine` ORDER BY 1, 2"  # noqa: S608
        for row in self.bq.query(query).result():
            totals = found.setdefault(row.collected_at.date().isoformat(), ExpectedTotals())
            if row.record_index is None:
                totals.quarantined[row.collected_at.isoformat()] = row.reason
            else:
                totals.rejected.append((row.collected_at.isoformat(), row.record_index, row.reason))
        return found


@contextmanager
def write_to_emulator(bucket: Path) -> Iterator[ObjectWriter]:
    """Yield a writer of objects to a bucket's folder of the storage emulator, twenty times as fast as uploads.

    The emulator stores the metadata of an object in an extended attribute of its file.
    """
    with write_to_folder(bucket) as put:

        def put_with_attributes(name: str, data: bytes) -> None:
            put(name, data)
            attributes = {
                "StorageClass": "STANDARD",
                "ContentType": "application/gzip",
                "Crc32c": base64.b64encode(google_crc32c.value(data).to_bytes(4)).decode(),
                "Md5Hash": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
                "Created": "2026-01-01T00:00:00Z",
                "Updated": "2026-01-01T00:00:00Z",
                "Generation": 1,
            }
            os.setxattr(bucket / name, "user.metadata", json.dumps(attributes).encode())

        yield put_with_attributes


def find_differences(
    expected: Mapping[str, ExpectedTotals], found: Mapping[str, ExpectedTotals]
) -> list[str]:
    """Describe each difference by day."""
    differences = []
    for day, totals in expected.items():
        found_totals = found.get(day, ExpectedTotals())
        differences += [
            f"{day}: {name}: found {getattr(found_totals, name)}, expected {getattr(totals, name)}"
            for name in ("rows", "bikes", "docks", "quarantined")
            if getattr(totals, name) != getattr(found_totals, name)
        ]
        if Counter(totals.rejected) != Counter(found_totals.rejected):
            differences.append(
                f"{day}: rejected records: found {found_totals.rejected}, expected {totals.rejected}"
            )
    return differences + [f"{day}: not expected" for day in found.keys() - expected.keys()]


@contextmanager
def batch_environment(folder: Path) -> Iterator[BatchEnvironment]:
    """Start emulators with an empty environment, with data below `folder`."""
    feeds = load_feeds(ROOT / "sources")
    with start_emulation(folder) as emulators:
        metadata = MetadataServer(PROJECT, project_number(PROJECT), LOCATION)
        gcs, bq = make_storage_client(emulators), make_bigquery_client(emulators)
        for purpose in ("archive", "staging"):
            gcs.create_bucket(f"{PROJECT}-{purpose}")
        dataset = bigquery.Dataset(f"{PROJECT}.vlille")
        dataset.location = LOCATION
        bq.create_dataset(dataset)
        schemas = {
            FEED: station_schema(feeds[FEED]),
            "quarantine": quarantine_schema(),
            "empty_responses": empty_responses_schema(),
            "batch_runs": batch_runs_schema(),
        }
        for name, schema in schemas.items():
            table = bigquery.Table(f"{PROJECT}.vlille.{name}", schema=schema)
            if name != "batch_runs":
                table.time_partitioning = bigquery.TimePartitioning(field="collected_at")
            bq.create_table(table)
        artifact = build_batch_artifact(feeds.values(), ROOT / "sources")
        main, code = folder / "main.py", folder / artifact.file_name
        main.write_bytes(read_batch_main())
        code.write_bytes(artifact.content)
        host = metadata.host_for(f"vlille-batch@{PROJECT}.iam.gserviceaccount.com")
        home = folder / "batch-home"
        home.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            "JAVA_HOME": str(find_java(ROOT / ".cache").home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYTHONPATH": str(ISOLATION),
            "STORAGE_EMULATOR_HOST": emulators.gcs_url,
            "BIGQUERY_EMULATOR_HOST": emulators.bigquery_url,
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_ROOT": host,
            "GCE_METADATA_IP": host,
            "GCE_METADATA_MTLS_MODE": "none",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }
        try:
            yield BatchEnvironment(gcs, bq, folder / "storage", environment, main, code)
        finally:
            metadata.close()
