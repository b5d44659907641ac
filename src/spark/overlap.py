"""Calls that wait for a service, made beside one another and taken in order."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

# Waited for so long, a result was on its way, not in want of a processor.
LATE_S = 0.005
GROWTH = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


class Window:
    """How many calls are begun and not yet taken: `size` of them, more after one that had to be waited for.

    A store near by is best read by no other thread, one that answers late by as many as it takes. What was
    learnt of it stays for the next calls.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size, self.most = size, max(size, most)

    def taken(self, waited_s: float) -> None:
        """Take note of how long the result that was due had to be waited for."""
        if waited_s > LATE_S:
            self.size = min(self.size * GROWTH, self.most)


def overlapped(  # noqa: UP047 - Python 3.11, of the cluster's image, has no type parameters
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    window: Window,
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
        if not future.done():
            since = time.monotonic()
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
