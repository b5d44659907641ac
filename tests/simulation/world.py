"""A deterministic world: simulated time, processes that run one at a time, and faults at every call of a client.

The product's functions run unchanged, each in a greenlet. A call of a service becomes two events: its effect on the
service, and its return. Other processes run in between. A seed determines every delay and every fault, so that one seed
is one history.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from google.api_core.exceptions import ServiceUnavailable
from greenlet import getcurrent, greenlet

NORMAL_S = 0.02, 0.6
SLOW_S = 5.0, 55.0


class ProcessDied(BaseException):
    """The process of the current greenlet was killed. Not an Exception, so that the product does not catch it."""


class Outcome(StrEnum):
    """The outcome of a call."""

    SUCCEEDS = "succeeds"
    FAILS = "fails before its effect"
    LOST = "its response is lost after the effect"
    DIES_BEFORE = "the process is killed before the effect"
    DIES_AFTER = "the process is killed after the effect"
    SLOW = "is slow"


FAULTS = tuple(outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDS)


@dataclass(frozen=True)
class Entry:
    """A line of a history."""

    time: datetime
    process: str
    text: str

    def __str__(self) -> str:
        return f"{self.time:%H:%M:%S}.{self.time.microsecond // 1000:03d}  {self.process:<16} {self.text}"


@dataclass
class Process:
    """An instance of a workload; once it is killed, its calls have no effects."""

    name: str
    is_dead: bool = False
    greenlets: list[greenlet] = field(default_factory=list)


@dataclass
class World:
    """Simulated time, events in order, and the random numbers."""

    seed: int
    start: datetime
    fault_rate: float = 0.0
    slow_rate: float = 0.0
    faults_end: datetime | None = None  # every call succeeds from this time on
    suppressed: frozenset[int] = frozenset()  # numbers of faults that shrinking has removed

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - not for secrets
        self.now = self.start
        self.history: list[Entry] = []
        self.faults = 0  # number of faults so far
        self.failure_count = 0  # number of failures of any kind, including failed jobs and outages
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0
        self._names = 0
        self._current: Process | None = None
        self._main = getcurrent()

    # --- time ---------------------------------------------------------------------------------------

    def at(self, when: datetime, action: Callable[[], None]) -> None:
        """Schedule `action` for a time, after those already scheduled for it."""
        self._count += 1
        heapq.heappush(self._events, (max(when, self.now), self._count, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule `action` in some seconds."""
        self.at(self.now + timedelta(seconds=seconds), action)

    def run(self, until: datetime | None = None) -> None:
        """Run events until none is left, or none before `until`."""
        while self._events and (until is None or self._events[0][0] <= until):
            self.now, _, action = heapq.heappop(self._events)
            action()
        if until is not None:
            self.now = max(self.now, until)

    def log(self, process: str, text: str) -> None:
        """Add a line to the history."""
        self.history.append(Entry(self.now, process, text))

    # --- processes ----------------------------------------------------------------------------------

    def make_name(self, kind: str) -> str:
        """Return a distinct name for a process."""
        self._names += 1
        return f"{kind} #{self._names}"

    def start_process(
        self, name: str, work: Callable[[], Any], on_end: Callable[[BaseException | None], None]
    ) -> Process:
        """Start `work` as a process; `on_end` is called with the error that it raised, unless it was killed."""
        process = Process(name)

        def body(_: Any = None) -> None:
            raised: BaseException | None = None
            try:
                work()
            except ProcessDied:
                return
            except Exception as error:  # noqa: BLE001 - passed to on_end
                raised = error
            if not process.is_dead:
                on_end(raised)

        process_greenlet = greenlet(body, parent=self._main)
        process.greenlets.append(process_greenlet)
        self.after(0, lambda: self._resume(process, process_greenlet))
        return process

    def kill(self, process: Process, why: str) -> None:
        """Kill a process; requests that it has sent may still arrive."""
        if not process.is_dead:
            process.is_dead = True
            self.log(process.name, f"KILLED {why}")

    def _resume(self, process: Process, process_greenlet: greenlet, value: Any = None) -> None:
        if process_greenlet.dead:
            return
        before, self._current = self._current, process
        try:
            if process.is_dead:
                process_greenlet.throw(ProcessDied())
            else:
                process_greenlet.switch(value)
        finally:
            self._current = before

    def sleep(self, seconds: float) -> None:
        """Suspend the current process for some seconds."""
        process, process_greenlet = self._get_current()
        self.after(seconds, lambda: self._resume(process, process_greenlet))
        self._main.switch()
        if process.is_dead:
            raise ProcessDied

    # --- calls --------------------------------------------------------------------------------------

    def call[T](self, what: str, effect: Callable[[], T], *, retries: int = 0) -> T:
        """Make a call of the current process; `effect` runs in the service, and may raise its error.

        A failed call is retried `retries` times, as the real clients do for idempotent calls.
        """
        for attempt in range(retries + 1):
            try:
                return self._attempt(what, effect)
            except ServiceUnavailable:
                if attempt == retries:
                    raise
        raise AssertionError("unreachable")

    def _attempt[T](self, what: str, effect: Callable[[], T]) -> T:
        process, process_greenlet = self._get_current()
        if process.is_dead:
            raise ProcessDied
        outcome = self._choose_outcome(process, what)
        low, high = SLOW_S if outcome is Outcome.SLOW else NORMAL_S
        request_s, response_s = self.rng.uniform(low, high), self.rng.uniform(*NORMAL_S)
        result: list[T] = []
        error: list[Exception] = []

        def arrive() -> None:
            if outcome not in (Outcome.FAILS, Outcome.DIES_BEFORE):
                try:
                    result.append(effect())
                    text = what
                except Exception as service_error:  # noqa: BLE001 - returned to the caller
                    error.append(service_error)
                    text = f"{what}: {type(service_error).__name__}"
                self.log(
                    process.name,
                    text if outcome in (Outcome.SUCCEEDS, Outcome.SLOW) else f"{text}; {outcome}",
                )
            else:
                self.log(process.name, f"{what}: {outcome}")
            if outcome in (Outcome.DIES_BEFORE, Outcome.DIES_AFTER):
                self.kill(process, f"at {what}")
            self.after(response_s, lambda: self._resume(process, process_greenlet))

        self.after(request_s, arrive)
        self._main.switch()
        if process.is_dead:
            raise ProcessDied
        if outcome in (Outcome.FAILS, Outcome.LOST):
            raise ServiceUnavailable(f"{what}: simulated")  # type: ignore[no-untyped-call]
        if error:
            raise error[0]
        return result[0]

    def _choose_outcome(self, process: Process, what: str) -> Outcome:
        if self.faults_end is not None and self.now >= self.faults_end:
            return Outcome.SUCCEEDS
        rolled = self.rng.random()
        kind = self.rng.choice(FAULTS)
        if rolled >= self.fault_rate:
            return Outcome.SLOW if rolled >= 1 - self.slow_rate else Outcome.SUCCEEDS
        self.faults += 1
        self.failure_count += 1
        return Outcome.SUCCEEDS if self.faults in self.suppressed else kind

    def _get_current(self) -> tuple[Process, greenlet]:
        process, process_greenlet = self._current, getcurrent()
        if process is None or process_greenlet is self._main:
            raise RuntimeError("a client was called outside of a simulated process")
        return process, process_greenlet
