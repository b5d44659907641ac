"""Many calls at once, in order, with bounded waiting."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark.prefetch import SLOW_READ_S, PrefetchWindow, prefetch

pytestmark = pytest.mark.unit


@given(st.lists(st.integers()), st.integers(1, 8))
def test_overlapped_is_map_in_order(items: list[int], window: int) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert list(prefetch(pool, lambda item: item * 2, items, PrefetchWindow(window, window))) == [
            item * 2 for item in items
        ]


def test_overlapped_begins_no_more_than_its_window() -> None:
    taken = 0

    def items() -> Iterator[int]:
        for number in range(50):
            assert number - taken < 7
            yield number

    with ThreadPoolExecutor(3) as pool:
        for _ in prefetch(pool, str, items(), PrefetchWindow(7, 7)):
            taken += 1
    assert taken == 50


@given(st.lists(st.floats(0, 2), max_size=30), st.integers(2, 8))
def test_overlapped_holds_no_more_than_the_shares_allow(shares: list[float], window: int) -> None:
    held: list[float] = []

    class AtOnce(Executor):
        def submit(self, function: Any, item: Any) -> Any:  # type: ignore[override]
            held.append(item)
            assert len(held) == 1 or sum(held) <= 1 + 1e-9
            future: Future[Any] = Future()
            future.set_result(function(item))
            return future

    results = []
    for share in prefetch(AtOnce(), float, shares, PrefetchWindow(window, window), float):
        results.append(share)
        held.remove(share)
    assert results == shares


def test_prefetched_calls_run_concurrently() -> None:
    together = threading.Barrier(4, timeout=20)  # passes only where four calls run at the same time
    with ThreadPoolExecutor(4) as pool:
        assert len(list(prefetch(pool, lambda _: together.wait(), range(8), PrefetchWindow(4, 4)))) == 8


@pytest.mark.parametrize(
    ("waits", "size"),
    [
        ([], 8),
        ([0.0, SLOW_READ_S] * 50, 8),
        ([SLOW_READ_S * 9, *[0.0] * 29] * 9, 8),  # an interruption now and then
        ([SLOW_READ_S * 2] * 6, 8),
        ([SLOW_READ_S * 2] * 7, 64),  # on average
        ([SLOW_READ_S * 11], 64),
        ([SLOW_READ_S * 11, 0.0, SLOW_READ_S * 11], 100),
        ([SLOW_READ_S * 11] * 9, 100),
    ],
)
def test_a_window_opens_where_the_store_is_late(waits: list[float], size: int) -> None:
    window = PrefetchWindow(8, 100)
    for seconds in waits:
        window.record_wait(seconds)
    assert window.size == size


def test_a_call_at_a_time_takes_no_thread() -> None:
    class Nobody(Executor):
        def submit(self, *_: Any) -> Any:  # type: ignore[override]
            raise AssertionError

    assert list(prefetch(Nobody(), str, range(50), PrefetchWindow(1, 100))) == [
        str(item) for item in range(50)
    ]


def test_overlapped_begins_more_once_it_had_to_wait() -> None:
    window, together = PrefetchWindow(1, 4), threading.Barrier(4, timeout=20)

    def call(item: int) -> int:
        if item == 0:
            time.sleep(SLOW_READ_S * 30)
        if item > 0:
            together.wait()  # passes only where four calls run at the same time
        return item

    with ThreadPoolExecutor(4) as pool:
        assert list(prefetch(pool, call, range(9), window)) == list(range(9))


def test_overlapped_ends_with_the_first_fault() -> None:
    begun: list[int] = []

    def fail_at_two(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise LookupError("two")
        return item

    with ThreadPoolExecutor(1) as pool, pytest.raises(LookupError, match="two"):
        list(prefetch(pool, fail_at_two, range(1000), PrefetchWindow(4, 4)))
    assert len(begun) < 10
