"""Batch runs without Spark, on the emulators."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from feed import (
    Feed,
    convert_rows_to_json,
    landing_name,
    make_empty_response_rows,
    make_rejection_rows,
    parse_response,
)
from spark.archive import make_object_reader, store_file
from spark.rebuild.job import Run, rebuild_days
from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import HourResult
from spark.responses.hours import read_hours
from spark.settings import Settings
from spark.worker import ReadHours
from tests.spark.conftest import LOCATION

DAY = date(2023, 10, 26)
MIDNIGHT = datetime(2023, 10, 26, tzinfo=UTC)


class Batch:
    """Runs on one project, with the workers' code in this process."""

    def __init__(self, project: Any) -> None:
        self.project = project
        self.nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth leaves it so
        self.settings = Settings(
            project=project.name,
            dataset="vlille",
            location=LOCATION,
            archive_bucket=project.archive,
            staging_bucket=f"{project.name}-staging",
            feed=project.feed.name,
            first_day=DAY,
            last_day=DAY,
            storage_url=project.environment["STORAGE_EMULATOR_HOST"],
        )

    def run_hours(self, work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterator[HourResult]:
        settings = work.settings
        read = make_object_reader(self.nobody, settings.storage_url, settings.archive_bucket, connections=4)
        put = partial(store_file, self.project.gcs, settings.staging_bucket)
        return read_hours(work.feed, hours, read, put, work.folder)

    def run(self, run_hours: Any = None, bq: Any = None, **changed: Any) -> Run:
        return rebuild_days(
            replace(self.settings, **changed),
            self.project.feed,
            gcs=self.project.gcs,
            bq=bq or self.project.bq,
            run_hours=run_hours or self.run_hours,
        )

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """All that a run may change, but for the list of runs."""
        tables = (self.project.feed.name, "quarantine", "empty_responses")
        return {name: self.project.table(name) for name in tables}


def minute(number: int) -> datetime:
    return MIDNIGHT + timedelta(minutes=number)


def load_as_collector(project: Any, tick: datetime, body: bytes) -> None:
    """Load a response's rows as the collector does."""
    feed, outcome = project.feed, parse_response(project.feed, body, tick)
    for table, rows in (
        (feed.name, convert_rows_to_json(feed, outcome)),
        ("quarantine", make_rejection_rows(outcome, landing_name(feed.name, tick))),
        ("empty_responses", make_empty_response_rows(outcome, landing_name(feed.name, tick))),
    ):
        if rows:
            schema = project.bq.get_table(f"vlille.{table}").schema
            config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_APPEND")
            project.bq.load_table_from_json(
                rows, f"{project.name}.vlille.{table}", job_config=config
            ).result()


def make_faulty_body(feed: Feed) -> bytes:
    """Return a response with an invalid value in one record, and a duplicate record."""
    document = json.loads(feed.sample)
    document["records"][1]["fields"]["nbvelosdispo"] = "many"
    return json.dumps(document | {"records": [*document["records"], document["records"][0]]}).encode()
