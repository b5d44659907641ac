"""One query at a time, a size limit, and stale documents when a query fails."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from dashboard.data.cache import ENTRY_BYTES, RETRY_AFTER, Cache
from tests.dashboard.conftest import FakeClock

pytestmark = pytest.mark.unit

MINUTE = timedelta(minutes=1)


def test_concurrent_visitors_share_one_query(clock: FakeClock) -> None:
    cache, made, begun = Cache(2**20, clock), [], threading.Event()

    def make() -> bytes:
        begun.set()
        made.append(1)
        return b"content"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cache.get("a", make, MINUTE), range(50)))
    assert len(made) == 1
    assert {each.etag for each in found} == {found[0].etag}


def test_a_document_expires_after_its_lifetime_if_it_has_one(clock: FakeClock) -> None:
    cache = Cache(2**20, clock)
    contents = iter([b"1", b"2", b"3"])
    first = cache.get("a", lambda: next(contents), MINUTE)
    clock.time += MINUTE
    assert cache.get("a", lambda: next(contents), MINUTE).etag != first.etag
    kept = cache.get("b", lambda: next(contents), None)
    clock.time += timedelta(days=400)
    assert cache.get("b", lambda: b"another", None) == kept


def test_a_stale_document_is_served_after_an_error_until_a_retry(clock: FakeClock) -> None:
    cache, tried = Cache(2**20, clock), []

    def fail() -> bytes:
        tried.append(clock.time)
        raise OSError("down")

    for _ in range(3):  # no further query until the retry
        with pytest.raises(OSError, match="down"):
            cache.get("a", fail, MINUTE)
    assert len(tried) == 1
    clock.time += RETRY_AFTER
    good = cache.get("a", lambda: b"good", MINUTE)
    clock.time += MINUTE
    for _ in range(3):
        stale = cache.get("a", fail, MINUTE)
    assert (stale.body, stale.made_at, stale.failed) == (good.body, good.made_at, "down")
    assert len(tried) == 2
    clock.time += RETRY_AFTER
    assert cache.get("a", lambda: b"new", MINUTE).failed == ""


def test_the_least_recently_used_documents_are_evicted(clock: FakeClock) -> None:
    contents = {name: bytes((n * 7 + i * i) % 251 for i in range(4000)) for n, name in enumerate("abc")}
    size = ENTRY_BYTES + len(Cache(2**20, clock).get("x", lambda: contents["a"], None).body)
    cache = Cache(int(2.5 * size), clock)
    for name in "abac":
        cache.get(name, lambda name=name: contents[name], None)  # type: ignore[misc]
    assert cache.size <= 2.5 * size
    made = []
    for name in "ac":
        cache.get(name, lambda name=name: made.append(name) or b"", None)  # type: ignore[misc, func-returns-value]
    assert made == []


def test_failed_attempts_count_towards_the_limit(clock: FakeClock) -> None:
    cache = Cache(10 * ENTRY_BYTES, clock)

    def fail() -> bytes:
        raise OSError("the daily bytes are used up")

    for number in range(100):
        with pytest.raises(OSError, match="used up"):
            cache.get(f"day {number}", fail, MINUTE)
    assert cache.size == 10 * ENTRY_BYTES
