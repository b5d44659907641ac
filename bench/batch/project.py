"""A project on the emulators with the stack's tables, and the job as a workflow template submits it, on any Spark."""

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

from bench.archives.generator import FEED, Account, Put, into_folder, make_archive, recorded_answer
from bench.archives.responses import Plan
from bench.emulation import PROJECT, ROOT, bigquery_client, emulated, storage_client
from cdk.artifacts.workloads import batch_artifact, batch_main
from feed import batch_runs_schema, load_feeds, quarantine_schema, station_schema
from local.environment.environment import project_number
from local.environment.metadata_server import MetadataServer
from local.workloads.java import find_java
from local.workloads.spark import LOCAL_CONF, spark_options
from local.workloads.workloads import ISOLATION

LOCATION = "europe-west1"


@dataclass(frozen=True)
class Project:
    """Buckets, dataset, tables; and the files that spark-submit is given."""

    gcs: StorageClient
    bq: bigquery.Client
    buckets: Path  # the emulator's own folder of them
    environment: Mapping[str, str]
    main: Path
    code: Path

    def command(
        self, spark: Path, days: tuple[str, str], *, zips: tuple[Path, ...] = (), at_once: int = 31
    ) -> list[str]:
        """The command line of a run on the Spark of a Python environment's folder."""
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
        words = [word for pair in arguments.items() for word in pair]
        submit = [str(spark / "bin" / "spark-submit"), "--master", "local[2]", *spark_options(LOCAL_CONF)]
        return [*submit, "--py-files", files, str(self.main), *words]

    def variables(self, spark: Path) -> dict[str, str]:
        """The environment of a run on that Spark."""
        [home] = spark.glob("lib/python3*/site-packages/pyspark")
        python = str(spark / "bin" / "python")
        return {
            **self.environment,
            "SPARK_HOME": str(home),
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
        }

    def run(self, spark: Path, days: tuple[str, str], **options: Any) -> dict[str, Any]:
        """A run to its end; the account that it prints. Raises CalledProcessError."""
        done = subprocess.run(
            self.command(spark, days, **options),
            env=self.variables(spark),
            capture_output=True,
            text=True,
            check=True,
        )
        account: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return account

    def archive(self, plan: Plan) -> dict[str, Account]:
        """Make an archive, past the emulator: it reads the folders that it writes."""
        sink = partial(into_emulator, self.buckets / f"{PROJECT}-archive")
        return make_archive(recorded_answer(), plan, "archive", sink, processes=os.cpu_count() or 1)

    def clear(self) -> None:
        """Empty the tables, as if nothing had been rebuilt."""
        for table in (FEED, "quarantine"):
            self.bq.query(f"DELETE FROM `{PROJECT}.vlille.{table}` WHERE TRUE").result()  # noqa: S608

    def found(self) -> dict[str, Account]:
        """What the tables hold, as the generator accounts for it; of the days that have rows."""
        query = (
            "SELECT CAST(DATE(collected_at) AS STRING) AS day, COUNT(*) AS n, SUM(nbvelosdispo) AS bikes, "  # noqa: S608
            f"SUM(nbplacesdispo) AS docks FROM `{PROJECT}.vlille.{FEED}` GROUP BY day ORDER BY day"
        )
        found = {
            row.day: Account(0, row.n, int(row.bikes or 0), int(row.docks or 0))
            for row in self.bq.query(query).result()
        }
        query = f"SELECT collected_at, record_index, reason FROM `{PROJECT}.vlille.quarantine` ORDER BY 1, 2"  # noqa: S608
        for row in self.bq.query(query).result():
            account = found.setdefault(row.collected_at.date().isoformat(), Account())
            if row.record_index is None:
                account.quarantined[row.collected_at.isoformat()] = row.reason
            else:
                account.rejected.append((row.collected_at.isoformat(), row.record_index, row.reason))
        return found


@contextmanager
def into_emulator(bucket: Path) -> Iterator[Put]:
    """What puts objects into a bucket's folder of the storage emulator, twenty times as fast as it takes them.

    What it knows of an object beside its bytes lies in an extended attribute of the file.
    """
    with into_folder(bucket) as put:

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


def differences(expected: Mapping[str, Account], found: Mapping[str, Account]) -> list[str]:
    """Each day that is not as it should be, in words."""
    wrong = []
    for day, account in expected.items():
        is_there = found.get(day, Account())
        wrong += [
            f"{day}: {name} differ"
            for name in ("rows", "bikes", "docks", "quarantined")
            if getattr(account, name) != getattr(is_there, name)
        ]
        if Counter(account.rejected) != Counter(is_there.rejected):
            wrong.append(f"{day}: rejected differ")
    return wrong + [f"{day}: not expected" for day in found.keys() - expected.keys()]


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    """An empty project on emulators of its own, with data below `folder`."""
    feeds = load_feeds(ROOT / "sources")
    with emulated(folder) as emulators:
        metadata = MetadataServer(PROJECT, project_number(PROJECT), LOCATION)
        gcs, bq = storage_client(emulators), bigquery_client(emulators)
        for purpose in ("archive", "staging"):
            gcs.create_bucket(f"{PROJECT}-{purpose}")
        dataset = bigquery.Dataset(f"{PROJECT}.vlille")
        dataset.location = LOCATION
        bq.create_dataset(dataset)
        schemas = {
            FEED: station_schema(feeds[FEED]),
            "quarantine": quarantine_schema(),
            "batch_runs": batch_runs_schema(),
        }
        for name, schema in schemas.items():
            table = bigquery.Table(f"{PROJECT}.vlille.{name}", schema=schema)
            if name != "batch_runs":
                table.time_partitioning = bigquery.TimePartitioning(field="collected_at")
            bq.create_table(table)
        artifact = batch_artifact(feeds.values(), ROOT / "sources")
        main, code = folder / "main.py", folder / artifact.file_name
        main.write_bytes(batch_main())
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
            yield Project(gcs, bq, folder / "storage", environment, main, code)
        finally:
            metadata.close()
