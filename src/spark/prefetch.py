"""Calls that wait for a service, made beside one another and taken in order."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

# Waited for so long on average, results are on their way, not in want of a processor.
SLOW_READ_S = 0.001
WEIGHT = 0.1  # of the last one in the average
GROWTH = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


class PrefetchWindow:
    """How many calls are begun and not yet taken: `size` of them, more where they have to be waited for.

    A store near by is best read by no other thread, one that answers late by as many as it takes. What was
    learnt of it stays for the next calls.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size, self.most = size, max(size, most)
        self._late_s = 0.0

    def taken(self, waited_s: float) -> None:
        """Take note of how long the result that was due had to be waited for."""
        self._late_s += WEIGHT * (waited_s - self._late_s)
        if self._late_s > SLOW_READ_S:
            self.size, self._late_s = min(self.size * GROWTH, self.most), 0.0


def prefetch(  # noqa: UP047 - Python 3.11, of the cluster's image, has no type parameters
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    window: PrefetchWindow,
    share: Callable[[Item], float] = lambda _: 0.0,
) -> Iterator[Result]:
    """As `map`, in order, with at most `window.size` calls begun and not yet taken; of one, made right here.

    `share` says which part of all that may be held at once an item's result takes, from 0 to 1 or more: what
    is begun takes 1 at most, or is one item alone.
    """
    begun: deque[tuple[Future[Result], float]] = deque()
    held = 0.0

    def first() -> Result:
        nonlocal held
        future, part = begun.popleft()
        held -= part
        since = time.monotonic()
        if not future.done():
            wait((future,))
        window.taken(time.monotonic() - since)
        return future.result()

    try:
        for item in items:
            if window.size == 1:
                since = time.monotonic()
                result = function(item)
                window.taken(time.monotonic() - since)
                yield result
                continue
            part = share(item)
            while begun and held + part > 1:
                yield first()
            begun.append((executor.submit(function, item), part))
            held += part
            if len(begun) >= window.size:
                yield first()
        while begun:
            yield first()
    finally:
        for future, _ in begun:
            future.cancel()
