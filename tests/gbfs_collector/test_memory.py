"""What an instance remembers, and which files it may request."""

from datetime import UTC, datetime, timedelta

import pytest

from gbfs.packs import Fetched
from gbfs_collector.fetching import Request
from gbfs_collector.memory import Memory

pytestmark = pytest.mark.unit

URL = "https://example.org/station_status.json"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
REQUEST = Request("lille", "station_status", URL)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def fetched(*headers: tuple[str, str], ttl: int = 60) -> Fetched:
    body = b'{"ttl": %d, "data": {"stations": []}}' % ttl
    return Fetched("lille", "station_status", URL, NOON, 200, headers, body)


def failed(*headers: tuple[str, str]) -> Fetched:
    return Fetched("lille", "station_status", URL, NOON, 503, headers)


def unchanged(since: datetime, *headers: tuple[str, str]) -> Fetched:
    return Fetched("lille", "station_status", URL, NOON, 304, headers, unchanged_since=since)


def due(memory: Memory, *minutes: int) -> list[bool]:
    return [bool(memory.select_due([REQUEST], at(minute))) for minute in minutes]


def test_what_is_not_known_is_due() -> None:
    assert Memory().select_due([REQUEST], NOON) == [REQUEST]


@pytest.mark.parametrize(
    ("result", "first_minute"),
    [
        (fetched(), 1),
        (fetched(ttl=300), 5),
        (fetched(ttl=0), 1),
        (failed(("Retry-After", "180")), 3),
        (failed(), 1),
    ],
)
def test_a_file_is_due_when_it_may_be_requested(result: Fetched, first_minute: int) -> None:
    memory = Memory()
    memory.remember([result], NOON)
    assert due(memory, 0, first_minute - 1, first_minute, first_minute + 9) == [False, False, True, True]


def test_failures_in_a_row_wait_longer_until_one_succeeds() -> None:
    memory = Memory()
    waits = []
    minute = 0
    for _ in range(4):
        memory.remember([failed()], at(minute))
        begin = minute
        while not due(memory, minute)[0]:
            minute += 1
        waits.append(minute - begin)
    memory.remember([fetched()], at(minute))
    assert waits == [1, 1, 2, 5]
    assert due(memory, minute + 1) == [True]


def test_the_conditions_are_those_of_the_newest_body() -> None:
    memory = Memory()
    memory.remember([fetched(("ETag", '"a"'), ("Last-Modified", "then"), ("Date", "now"), ttl=120)], NOON)
    [asked] = memory.select_due([REQUEST], at(2))
    assert asked.headers == (("If-None-Match", '"a"'), ("If-Modified-Since", "then"))
    memory.remember([unchanged(NOON, ("ETag", '"b"'))], at(2))
    assert due(memory, 3, 4) == [False, True]
    [asked] = memory.select_due([REQUEST], at(4))
    assert dict(asked.headers)["If-None-Match"] == '"a"'


def test_a_response_304_means_the_newest_body_of_its_day() -> None:
    memory = Memory()
    memory.remember([fetched(("ETag", '"a"'))], at(0))
    memory.remember([unchanged(NOON)], at(1))
    last, first = at(11 * 60 + 59), at(12 * 60)  # 23:59 and midnight
    [asked] = memory.select_due([REQUEST], last)
    assert (asked.headers, asked.unchanged_since) == ((("If-None-Match", '"a"'),), NOON)
    assert memory.select_due([REQUEST], first) == [REQUEST]


def test_an_instance_learns_of_a_body_from_the_pack_of_another_one() -> None:
    memory = Memory()
    memory.remember([unchanged(at(-3), ("ETag", '"a"'))], NOON)
    [asked] = memory.select_due([REQUEST], at(1))
    assert (asked.headers, asked.unchanged_since) == ((("If-None-Match", '"a"'),), at(-3))


def test_an_older_tick_changes_nothing() -> None:
    memory = Memory()
    memory.remember([fetched(ttl=600)], at(5))
    memory.remember([fetched()], at(4))
    assert due(memory, 6, 15) == [False, True]
