"""One tick on the emulators, beside the walkthrough's function: no retries, no redelivery, streamed rows."""

import itertools
import json
import logging
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from bench.emulation import (
    PROJECT,
    STATIONS,
    bigquery_client,
    emulated,
    full_answer,
    make_table,
    original_feed,
    serving,
    storage_client,
)
from bench.measure import BenchError, Comparison, Timing, compare, timed
from collector.api import make_session
from collector.envelope import Delivery
from collector.settings import Settings
from collector.tick import Services, collect_tick
from feed import Feed
from telemetry import LOGGER

FIRST = datetime(2023, 10, 26, tzinfo=UTC)
DATASET = f"{PROJECT}.vlille"


def run(runs: int) -> list[Comparison]:
    """Compare a tick of the collector with one of the walkthrough, clients made beforehand in both."""
    LOGGER.setLevel(logging.CRITICAL)
    feed = original_feed()
    with (
        tempfile.TemporaryDirectory() as folder,
        emulated(Path(folder)) as emulators,
        serving(full_answer(feed)) as url,
    ):
        gcs, bq = storage_client(emulators), bigquery_client(emulators)
        for bucket in ("landing", "archive", "walkthrough"):
            gcs.create_bucket(f"{PROJECT}-{bucket}")
        bq.create_dataset(DATASET)
        for table in ("ours", "walkthrough"):
            make_table(bq, f"{DATASET}.{table}", feed)
        comparison = compare(
            "tick",
            ("the collector: create-only object, load job, redelivery-safe", _ours(feed, gcs, bq, url)),
            ("the walkthrough: upload, then `insert_rows_json`", _walkthrough(feed, gcs, bq, url)),
            runs=max(runs, 5),
            unit=f"tick of {STATIONS} rows",
            note="It also waits for the end of the load job.",
        )
        _check(bq, comparison)
        return [comparison]


def _ours(feed: Feed, gcs: StorageClient, bq: bigquery.Client, url: str) -> Callable[[], Timing]:
    settings = Settings(
        project=PROJECT,
        location="europe-west1",
        source_folder="sources/vlille_ods",
        api_url=url,
        api_timeout_s=30,
        api_max_bytes=2**24,
        landing_bucket=f"{PROJECT}-landing",
        archive_bucket=f"{PROJECT}-archive",
        station_table=f"{DATASET}.ours",
        quarantine_table=f"{DATASET}.quarantine",
    )
    services = Services(make_session(), gcs, bq)
    minutes = itertools.count()

    def tick() -> Timing:
        moment = FIRST + timedelta(minutes=next(minutes))
        return timed(lambda: collect_tick(settings, feed, services, Delivery(moment, is_first=True)))

    return tick


def _walkthrough(feed: Feed, gcs: StorageClient, bq: bigquery.Client, url: str) -> Callable[[], Timing]:
    minutes = itertools.count()

    def collect(moment: datetime) -> None:
        answer = requests.get(url, timeout=30).json()
        name = f"data___{moment:%Y-%m-%d_%H:%M:%S}.json"
        gcs.bucket(f"{PROJECT}-walkthrough").blob(name).upload_from_string(json.dumps(answer))
        rows = [_row(record, moment) for record in answer["records"]]
        if errors := bq.insert_rows_json(f"{DATASET}.walkthrough", rows):
            raise BenchError(f"rows were refused: {errors[:1]}")

    def tick() -> Timing:
        moment = FIRST + timedelta(minutes=next(minutes))
        return timed(lambda: collect(moment))

    return tick


def _row(record: dict[str, Any], moment: datetime) -> dict[str, Any]:
    fields = {key: value for key, value in record["fields"].items() if key not in ("geo", "localisation")}
    longitude, latitude = record["geometry"]["coordinates"]
    return {
        "collected_at": moment.isoformat(),
        "recordid": record["recordid"],
        "record_timestamp": record["record_timestamp"],
        "longitude": longitude,
        "latitude": latitude,
        **fields,
    }


def _check(bq: bigquery.Client, comparison: Comparison) -> None:
    expected = (len(comparison.timings) + 1) * STATIONS
    for table in ("ours", "walkthrough"):
        [[count]] = bq.query(f"SELECT COUNT(*) FROM `{DATASET}.{table}`").result()  # noqa: S608
        if count != expected:
            raise BenchError(f"{table}: {count} rows, expected {expected}")
