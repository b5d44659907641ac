"""Make calls to a service concurrently, and return their results in order."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

# If results are waited for longer than this on average, the service is slow, not the processor.
SLOW_READ_S = 0.001
WEIGHT = 0.1  # of the last wait in the moving average
GROWTH = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


class PrefetchWindow:
    """The number of calls in flight: `size`, which grows up to `most` while results have to be waited for.

    A fast local store is best read by one thread, a slow service by many. The size is kept for the next calls.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size, self.most = size, max(size, most)
        self._mean_wait_s = 0.0

    def record_wait(self, waited_s: float) -> None:
        """Record how long the next result had to be waited for."""
        self._mean_wait_s += WEIGHT * (waited_s - self._mean_wait_s)
        if self._mean_wait_s > SLOW_READ_S:
            self.size, self._mean_wait_s = min(self.size * GROWTH, self.most), 0.0


def prefetch(  # noqa: UP047 - Python 3.11, of the cluster's image, has no type parameters
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    window: PrefetchWindow,
    share: Callable[[Item], float] = lambda _: 0.0,
) -> Iterator[Result]:
    """Yield `function(item)` of each item in order, with at most `window.size` calls in flight; 1 uses no thread.

    `share` returns the share of the memory limit that an item's result takes: calls in flight take at most 1 together,
    unless it is a single item.
    """
    in_flight: deque[tuple[Future[Result], float]] = deque()
    held = 0.0

    def first() -> Result:
        nonlocal held
        future, part = in_flight.popleft()
        held -= part
        since = time.monotonic()
        if not future.done():
            wait((future,))
        window.record_wait(time.monotonic() - since)
        return future.result()

    try:
        for item in items:
            if window.size == 1:
                since = time.monotonic()
                result = function(item)
                window.record_wait(time.monotonic() - since)
                yield result
                continue
            part = share(item)
            while in_flight and held + part > 1:
                yield first()
            in_flight.append((executor.submit(function, item), part))
            held += part
            if len(in_flight) >= window.size:
                yield first()
        while in_flight:
            yield first()
    finally:
        for future, _ in in_flight:
            future.cancel()
