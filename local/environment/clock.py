"""The clock of a local environment: real time, faster than real time, or simulated.

Each clock has events that are due at a time, and counts the work in flight. The simulated one stands still while work
is in flight, then jumps to the next event: a simulated minute takes as long as its work.
"""

import heapq
import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from local.environment.environment import LocalEnvironment
from local.errors import LocalError

LANE_WORKERS = 16  # concurrent pieces of work of one lane; more than that are queued
JOBS = "jobs"
POLL_INTERVAL_S = 0.2  # between two evaluations of a condition that no event announces


class NoEventLeftError(LocalError):
    """Simulated time cannot advance: no event is scheduled."""


@dataclass(order=True)
class Event:
    """A scheduled action. Of two at the same time, the one that was scheduled first runs first."""

    when: datetime
    number: int
    action: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Do not run the action; has no effect once it has begun."""
        self.cancelled = True


class Clock(ABC):
    """A clock with events and work in flight; safe to use from any thread."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._numbers = itertools.count()
        self._in_flight = 0
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._closed = False

    @abstractmethod
    def now(self) -> datetime:
        """Return the time, in UTC."""

    @abstractmethod
    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until `until()` is true.

        Raises what an event or a piece of work raised, and NoEventLeftError where simulated time cannot advance.
        """

    @property
    def in_flight(self) -> int:
        """The number of pieces of work in flight."""
        with self._changed:
            return self._in_flight

    def schedule_at(self, when: datetime, action: Callable[[], None]) -> Event:
        """Schedule an action, which must be brief (see `start`). It runs at once where the time is past."""
        with self._changed:
            event = Event(when, next(self._numbers), action)
            heapq.heappush(self._events, event)
            self._changed.notify_all()
        return event

    def schedule_after(self, seconds: float, action: Callable[[], None]) -> Event:
        """Schedule an action after that many seconds of this clock."""
        return self.schedule_at(self.now() + timedelta(seconds=seconds), action)

    def start(self, work: Callable[[], None], lane: str = JOBS) -> None:
        """Start a piece of work on another thread; it is in flight until it returns.

        Work waits only for other work of the same lane, so a slow lane does not delay the others.
        """
        with self._changed:
            if self._closed:
                return
            if lane not in self._lanes:
                self._lanes[lane] = ThreadPoolExecutor(LANE_WORKERS, thread_name_prefix=lane)
            self._in_flight += 1
            self._lanes[lane].submit(self._run_work, work)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count the body of the `with` statement as work in flight."""
        with self._changed:
            self._in_flight += 1
        try:
            yield
        finally:
            self._finish_work(None)

    def close(self) -> None:
        """Drop all events and wait for the work in flight."""
        with self._changed:
            self._closed = True
            self._events.clear()
            self._changed.notify_all()
        for pool in self._lanes.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _run_work(self, work: Callable[[], None]) -> None:
        failure: BaseException | None = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (raised again by `run`, in the main thread)
            failure = error
        self._finish_work(failure)

    def _finish_work(self, failure: BaseException | None) -> None:
        with self._changed:
            self._in_flight -= 1
            self._failure = self._failure or failure
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _next_event(self) -> Event | None:
        """Return the next event that is not cancelled, without removing it. The caller holds the lock."""
        while self._events and self._events[0].cancelled:
            heapq.heappop(self._events)
        return self._events[0] if self._events else None


class SimulatedClock(Clock):
    """Starts at `start` and jumps from event to event whenever no work is in flight."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the time of the latest event."""
        with self._changed:
            return self._now

    def run(self, until: Callable[[], bool]) -> None:
        """Run one event after the other until no work is in flight and `until()` is true."""
        while True:
            with self._changed:
                while self._in_flight and self._failure is None:
                    self._changed.wait(POLL_INTERVAL_S)
                self._raise_failure()
                event = self._next_event()
            if until():
                return
            with self._changed:
                if event is None:
                    raise NoEventLeftError(
                        f"at {self._now:%Y-%m-%d %H:%M} UTC no event is scheduled any more"
                    )
                heapq.heappop(self._events)
                self._now = max(self._now, event.when)
            event.action()


class RealClock(Clock):
    """Starts at `start`, by default the host's time, and runs `speed` times as fast as real time."""

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        super().__init__()
        self.speed = speed
        self._start = (start or datetime.now(UTC)).astimezone(UTC)
        self._began = time.monotonic()

    def now(self) -> datetime:
        """Return the start time plus the real time that has passed since, times the speed."""
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self.speed)

    def run(self, until: Callable[[], bool]) -> None:
        """Run events when they are due until `until()` is true, whatever work is in flight."""
        while not until():
            with self._changed:
                self._raise_failure()
                event = self._next_event()
                wait = POLL_INTERVAL_S
                if event is not None:
                    wait = min(wait, (event.when - self.now()).total_seconds() / self.speed)
                if event is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                heapq.heappop(self._events)
            event.action()
        with self._changed:
            self._raise_failure()


def event_clock(environment: LocalEnvironment) -> Clock:
    """Return the environment's clock. Raises TypeError for one that has no events."""
    if not isinstance(environment.clock, Clock):
        raise TypeError(f"expected a clock with events, found {type(environment.clock).__name__}")
    return environment.clock


def parse_duration(duration: str) -> float:
    """Return the seconds of a duration as Google's APIs write it ("600s", "0.5s"). Raises LocalError."""
    try:
        return float(duration.removesuffix("s"))
    except ValueError:
        raise LocalError(f"expected a duration in seconds, such as '600s', found {duration!r}") from None
