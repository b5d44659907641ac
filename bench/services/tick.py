"""Benchmark of a collector's tick on the emulators, against the original tutorial's function without retries."""

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
    load_tutorial_feed,
    make_bigquery_client,
    make_full_response,
    make_storage_client,
    make_table,
    serve_response,
    start_emulation,
)
from bench.measure import BenchError, Comparison, Timing, compare, time_call
from collector.api import make_session
from collector.envelope import Delivery
from collector.settings import Settings
from collector.tick import Services, collect_tick
from feed import Feed
from telemetry import LOGGER

FIRST = datetime(2023, 10, 26, tzinfo=UTC)
DATASET = f"{PROJECT}.vlille"


def run(runs: int) -> list[Comparison]:
    """Compare a tick of the collector with one of the original tutorial; clients are made in advance."""
    LOGGER.setLevel(logging.CRITICAL)
    feed = load_tutorial_feed()
    with (
        tempfile.TemporaryDirectory() as folder,
        start_emulation(Path(folder)) as emulators,
        serve_response(make_full_response(feed)) as url,
    ):
        gcs, bq = make_storage_client(emulators), make_bigquery_client(emulators)
        for bucket in ("landing", "archive", "tutorial"):
            gcs.create_bucket(f"{PROJECT}-{bucket}")
        bq.create_dataset(DATASET)
        for table in ("ours", "tutorial"):
            make_table(bq, f"{DATASET}.{table}", feed)
        comparison = compare(
            "tick",
            (
                "the collector: create-only object, load job, redelivery-safe",
                _make_collector_tick(feed, gcs, bq, url),
            ),
            (
                "the original tutorial: upload, then `insert_rows_json`",
                _make_tutorial_tick(feed, gcs, bq, url),
            ),
            runs=max(runs, 5),
            unit=f"tick of {STATIONS} rows",
            note="It also waits for the load job to finish.",
        )
        _check_rows(bq, comparison)
        return [comparison]


def _make_collector_tick(
    feed: Feed, gcs: StorageClient, bq: bigquery.Client, url: str
) -> Callable[[], Timing]:
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
        empty_responses_table=f"{DATASET}.empty_responses",
    )
    services = Services(make_session(), gcs, bq)
    minutes = itertools.count()

    def tick() -> Timing:
        moment = FIRST + timedelta(minutes=next(minutes))
        return time_call(lambda: collect_tick(settings, feed, services, Delivery(moment, is_first=True)))

    return tick


def _make_tutorial_tick(
    feed: Feed, gcs: StorageClient, bq: bigquery.Client, url: str
) -> Callable[[], Timing]:
    minutes = itertools.count()

    def collect(moment: datetime) -> None:
        response = requests.get(url, timeout=30).json()
        name = f"data___{moment:%Y-%m-%d_%H:%M:%S}.json"
        gcs.bucket(f"{PROJECT}-tutorial").blob(name).upload_from_string(json.dumps(response))
        rows = [_make_row(record, moment) for record in response["records"]]
        if errors := bq.insert_rows_json(f"{DATASET}.tutorial", rows):
            raise BenchError(f"BigQuery refused rows: {errors[:1]}")

    def tick() -> Timing:
        moment = FIRST + timedelta(minutes=next(minutes))
        return time_call(lambda: collect(moment))

    return tick


def _make_row(record: dict[str, Any], moment: datetime) -> dict[str, Any]:
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


def _check_rows(bq: bigquery.Client, comparison: Comparison) -> None:
    expected = (len(comparison.timings) + 1) * STATIONS
    for table in ("ours", "tutorial"):
        [[count]] = bq.query(f"SELECT COUNT(*) FROM `{DATASET}.{table}`").result()  # noqa: S608
        if count != expected:
            raise BenchError(f"{table}: {count} rows, expected {expected}")
