"""Retry-After holds for every delivery, tick and instance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from collector.api import ApiError
from collector.envelope import Delivery
from collector.retry_after import MAX_WAIT, WaitError, check_wait_marker, create_wait_markers
from collector.tick import Services, TickMemory, collect_tick
from feed import landing_name, wait_marker_name
from tests.collector.fakes import TICK, CollectorEnvironment, FakeApi, MakeEnvironment, Reply

pytestmark = pytest.mark.emulator

NOW = TICK + timedelta(seconds=3)


def instance(environment: CollectorEnvironment, now: datetime) -> Services:
    """An instance that has just begun, at a time."""
    return replace(environment.services, now=lambda: now, memory=TickMemory())


def collect(
    environment: CollectorEnvironment, tick: datetime, now: datetime, *, is_first: bool = True
) -> None:
    collect_tick(environment.settings, environment.feed, instance(environment, now), Delivery(tick, is_first))


def test_no_delivery_sends_a_request_before_the_retry_after(
    make_environment: MakeEnvironment, api: FakeApi
) -> None:
    environment = make_environment()
    api.set_replies(Reply(b"slow", 429, {"Retry-After": "120"}), Reply(environment.feed.sample))
    with pytest.raises(ApiError, match="Retry-After is 120 s"):
        collect(environment, TICK, NOW)
    minute = timedelta(minutes=1)
    for tick, at in ((TICK, 10), (TICK, 40), (TICK + minute, 61), (TICK + 2 * minute, 121), (TICK, 122)):
        with pytest.raises(WaitError, match="the API sent Retry-After"):
            collect(environment, tick, TICK + timedelta(seconds=at), is_first=tick == TICK + minute)
    assert len(api.requests) == 1
    collect(environment, TICK + 3 * minute, TICK + timedelta(seconds=181))
    collect(environment, TICK, TICK + timedelta(seconds=190), is_first=False)
    assert len(api.requests) == 3
    assert [
        name
        for name in environment.names(environment.settings.landing_bucket)
        if not name.startswith("waits/")
    ] == [
        landing_name("vlille_ods", TICK),
        landing_name("vlille_ods", TICK + 3 * minute),
    ]


def test_what_is_stored_already_needs_no_request(make_environment: MakeEnvironment, api: FakeApi) -> None:
    environment = make_environment()
    api.set_replies(Reply(environment.feed.sample), Reply(b"", 503, {"Retry-After": "300"}))
    collect(environment, TICK, NOW)
    with pytest.raises(ApiError):
        collect(environment, TICK + timedelta(minutes=1), NOW + timedelta(minutes=1))
    collect(environment, TICK, NOW + timedelta(minutes=2), is_first=False)


WAITS = [
    (None, []),
    (0.0, []),
    (50.0, ["20:50"]),
    (57.0, ["20:50", "20:51"]),  # it ends with the minute 20:51's first second
    (120.0, ["20:50", "20:51", "20:52"]),
    (10**9, [f"{(TICK + timedelta(minutes=each)):%H:%M}" for each in range(61)]),
]


@pytest.mark.parametrize(("seconds", "minutes"), WAITS)
def test_each_minute_of_a_wait_has_a_note(
    make_environment: MakeEnvironment, seconds: float | None, minutes: list[str]
) -> None:
    environment = make_environment()
    bucket = environment.settings.landing_bucket
    for _ in range(2):  # another delivery has received the same Retry-After
        create_wait_markers(
            environment.gcs, bucket, "bikes", NOW, ApiError("slow down", retry_after_s=seconds)
        )
    assert environment.names(bucket) == [
        wait_marker_name("bikes", datetime.fromisoformat(f"2023-10-26T{each}:00+00:00")) for each in minutes
    ]
    check_wait_marker(environment.gcs, bucket, "trams", NOW)
    check_wait_marker(environment.gcs, bucket, "bikes", NOW + MAX_WAIT + timedelta(minutes=1))


def test_a_wait_marker_has_its_reason(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    bucket = environment.settings.landing_bucket
    create_wait_markers(
        environment.gcs, bucket, "bikes", NOW, ApiError("responded with 429", status=429, retry_after_s=90)
    )
    note = environment.gcs.bucket(bucket).blob(wait_marker_name("bikes", NOW)).download_as_bytes()
    assert note == b"responded with 429; no request for bikes before 20:52 UTC\n"


def test_names_of_wait_markers_are_of_utc_minutes() -> None:
    assert (
        wait_marker_name("bikes", datetime(2026, 1, 1, 0, 0, 59, tzinfo=UTC))
        == "waits/bikes/20260101T000000Z"
    )
