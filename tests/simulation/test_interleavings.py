"""Interleavings that once violated an invariant, step by step, on the emulators with the product's functions.

The simulation found them. Each test describes the behaviour of the previous protocol.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest

import collector.tick
import copier.settings
from collector.api import Response
from collector.envelope import Delivery
from collector.landing import land_response
from collector.tick import collect_tick
from copier.sweep import Sweep, sweep_landing_bucket
from feed import archive_name, compress, decompress, landing_name
from tests.collector.fakes import TICK, CollectorEnvironment, MakeEnvironment, without_first_record

pytestmark = pytest.mark.emulator

FEED = "vlille_ods"
LANDED, ARCHIVED = landing_name(FEED, TICK), archive_name(FEED, TICK)
WINDOW = timedelta(minutes=67)


def run_sweep(environment: CollectorEnvironment, now: datetime) -> Sweep:
    settings = copier.settings.Settings(
        environment.settings.landing_bucket,
        environment.settings.archive_bucket,
        deadline_s=60.0,
        threads=2,
        redelivery_window_s=WINDOW.total_seconds(),
    )
    return sweep_landing_bucket(environment.gcs, settings, [], lambda: 0.0, now=lambda: now)


def read_buckets(environment: CollectorEnvironment) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the contents by name of the landing bucket and of the archive bucket."""
    landing, archive = (
        {
            blob.name: decompress(blob.download_as_bytes(), 2**24)
            for blob in environment.gcs.list_blobs(bucket)
        }
        for bucket in (environment.settings.landing_bucket, environment.settings.archive_bucket)
    )
    return landing, archive


@pytest.fixture
def responses(feeds: dict[str, Any]) -> tuple[bytes, bytes]:
    """Two different responses, so that the rows reveal which one is stored."""
    sample = feeds[FEED].sample
    return sample, without_first_record(sample)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_sweep_between_two_deliveries_retains_the_landed_object(
    make_environment: MakeEnvironment,
    responses: tuple[bytes, bytes],
    is_first: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R1, without any fault: A lands, a sweep archives its object, B stores a response that it fetched meanwhile.

    The sweep had deleted the landed object, so that B's upload succeeded; every later sweep refused B's object.
    """
    environment = make_environment()
    b_has_fetched, a_is_archived = Event(), Event()

    def fetch_slowly(*_: object, **__: object) -> Response:
        b_has_fetched.set()
        assert a_is_archived.wait(60)
        return Response(responses[1])

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        patch.setattr(collector.tick, "fetch", fetch_slowly)
        b = pool.submit(
            collect_tick,
            environment.settings,
            environment.feed,
            environment.services,
            Delivery(TICK, is_first),
        )
        assert b_has_fetched.wait(60)
        patch.setattr(collector.tick, "fetch", lambda *_, **__: Response(responses[0]))
        a = collect_tick(
            environment.settings, environment.feed, environment.services, Delivery(TICK, is_first=True)
        )
        assert run_sweep(environment, TICK).moved == 1
        a_is_archived.set()
        assert b.result(60).rows == a.rows
    assert read_buckets(environment) == ({LANDED: responses[0]}, {ARCHIVED: responses[0]})
    assert len(environment.rows(environment.settings.station_table)) == len(
        json.loads(responses[0])["records"]
    )
    swept = run_sweep(environment, TICK + WINDOW)
    assert (swept.skipped, swept.refused) == (1, 0)
    assert read_buckets(environment) == ({}, {ARCHIVED: responses[0]})


def test_rows_are_those_of_the_archived_object_after_two_killed_instances(
    make_environment: MakeEnvironment,
    responses: tuple[bytes, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R2: A is killed before its load, a sweep archives A's response, B is killed once it has stored its own.

    The third delivery found B's object in the landing bucket first: until the nightly rebuild the streamed rows were
    those of B, and the archived object was that of A.
    """
    environment = make_environment()
    buckets = (environment.settings.landing_bucket, environment.settings.archive_bucket)
    killed = (is_redelivery for is_redelivery in (False, False))

    def deliver_and_kill(response: bytes) -> None:
        land_response(
            environment.gcs,
            *buckets,
            FEED,
            TICK,
            is_redelivery=next(killed),
            fetch_response=lambda: Response(response),
        )

    deliver_and_kill(responses[0])
    run_sweep(environment, TICK)
    deliver_and_kill(responses[1])
    monkeypatch.setattr(collector.tick, "fetch", fail_fetch)
    collect_tick(environment.settings, environment.feed, environment.services, Delivery(TICK, is_first=False))
    run_sweep(environment, TICK + WINDOW)
    assert read_buckets(environment) == ({}, {ARCHIVED: responses[0]})
    assert len(environment.rows(environment.settings.station_table)) == len(
        json.loads(responses[0])["records"]
    )


def fail_fetch(*_: object, **__: object) -> Response:
    raise AssertionError("a redelivery fetched a newer response")


def test_a_delivery_after_the_redelivery_window_uses_the_archived_object(
    make_environment: MakeEnvironment,
    responses: tuple[bytes, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if a clock is off by an hour, no second response may be stored, although no delivery is expected then."""
    environment = make_environment()
    environment.gcs.bucket(environment.settings.landing_bucket).blob(LANDED).upload_from_string(
        compress(responses[0])
    )
    run_sweep(environment, TICK + WINDOW)
    monkeypatch.setattr(collector.tick, "fetch", fail_fetch)
    collect_tick(environment.settings, environment.feed, environment.services, Delivery(TICK, is_first=False))
    assert read_buckets(environment) == ({}, {ARCHIVED: responses[0]})
    assert len(environment.rows(environment.settings.station_table)) == len(
        json.loads(responses[0])["records"]
    )
