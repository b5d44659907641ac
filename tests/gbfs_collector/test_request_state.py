"""The request state of an instance, and the requests that it allows."""

from datetime import UTC, datetime, timedelta

import pytest

from gbfs.collection.packs import FetchResult
from gbfs_collector.fetching import Request
from gbfs_collector.request_state import RequestState

pytestmark = pytest.mark.unit

URL = "https://example.org/station_status.json"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
REQUEST = Request("lille", "station_status", URL)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def make_received(*headers: tuple[str, str], ttl: int = 60) -> FetchResult:
    body = b'{"ttl": %d, "data": {"stations": []}}' % ttl
    return FetchResult("lille", "station_status", URL, NOON, 200, headers, body)


def make_failed(*headers: tuple[str, str]) -> FetchResult:
    return FetchResult("lille", "station_status", URL, NOON, 503, headers)


def make_unchanged(since: datetime, *headers: tuple[str, str]) -> FetchResult:
    return FetchResult("lille", "station_status", URL, NOON, 304, headers, unchanged_since=since)


def list_due(state: RequestState, *minutes: int) -> list[bool]:
    return [bool(state.select_due([REQUEST], at(minute))) for minute in minutes]


def test_an_unknown_file_is_due() -> None:
    assert RequestState().select_due([REQUEST], NOON) == [REQUEST]


@pytest.mark.parametrize(
    ("result", "first_minute"),
    [
        (make_received(), 1),
        (make_received(ttl=300), 5),
        (make_received(ttl=0), 1),
        (make_failed(("Retry-After", "180")), 3),
        (make_failed(), 1),
    ],
)
def test_a_file_is_due_when_it_may_be_requested(result: FetchResult, first_minute: int) -> None:
    state = RequestState()
    state.record([result], NOON)
    assert list_due(state, 0, first_minute - 1, first_minute, first_minute + 9) == [False, False, True, True]


def test_the_delay_grows_with_consecutive_failures_until_one_succeeds() -> None:
    state = RequestState()
    waits = []
    minute = 0
    for _ in range(4):
        state.record([make_failed()], at(minute))
        begin = minute
        while not list_due(state, minute)[0]:
            minute += 1
        waits.append(minute - begin)
    state.record([make_received()], at(minute))
    assert waits == [1, 1, 2, 5]
    assert list_due(state, minute + 1) == [True]


def test_conditions_are_those_of_the_newest_body() -> None:
    state = RequestState()
    state.record([make_received(("ETag", '"a"'), ("Last-Modified", "then"), ("Date", "now"), ttl=120)], NOON)
    [conditional] = state.select_due([REQUEST], at(2))
    assert conditional.headers == (("If-None-Match", '"a"'), ("If-Modified-Since", "then"))
    state.record([make_unchanged(NOON, ("ETag", '"b"'))], at(2))
    assert list_due(state, 3, 4) == [False, True]
    [conditional] = state.select_due([REQUEST], at(4))
    assert dict(conditional.headers)["If-None-Match"] == '"a"'


def test_a_304_refers_to_the_newest_body_of_its_day() -> None:
    state = RequestState()
    state.record([make_received(("ETag", '"a"'))], at(0))
    state.record([make_unchanged(NOON)], at(1))
    last, first = at(11 * 60 + 59), at(12 * 60)  # 23:59 and midnight
    [conditional] = state.select_due([REQUEST], last)
    assert (conditional.headers, conditional.unchanged_since) == ((("If-None-Match", '"a"'),), NOON)
    assert state.select_due([REQUEST], first) == [REQUEST]


def test_the_body_of_another_instances_pack_is_used_for_conditions() -> None:
    state = RequestState()
    state.record([make_unchanged(at(-3), ("ETag", '"a"'))], NOON)
    [conditional] = state.select_due([REQUEST], at(1))
    assert (conditional.headers, conditional.unchanged_since) == ((("If-None-Match", '"a"'),), at(-3))


def test_an_older_tick_is_ignored() -> None:
    state = RequestState()
    state.record([make_received(ttl=600)], at(5))
    state.record([make_received()], at(4))
    assert list_due(state, 6, 15) == [False, True]
