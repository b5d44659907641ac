"""A deterministic world: virtual time, processes that run one at a time, and faults at every call of a client.

The product's functions run unchanged, each in a greenlet. Where they call a service, the call becomes two events of the
world: its effect on the service, and its return. Between them other processes run. A seed decides every delay and every
fault, so one seed is one history.
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
    """The process of the current greenlet was killed: no handler of the product may catch it."""


class Outcome(StrEnum):
    """What becomes of one call."""

    SUCCEEDS = "succeeds"
    FAILS = "fails before its effect"
    LOST = "its response is lost after the effect"
    DIES_BEFORE = "the process is killed before the effect"
    DIES_AFTER = "the process is killed after the effect"
    SLOW = "is slow"


FAULTS = tuple(outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDS)


@dataclass(frozen=True)
class Entry:
    """One line of a history."""

    time: datetime
    process: str
    text: str

    def __str__(self) -> str:
        return f"{self.time:%H:%M:%S}.{self.time.microsecond // 1000:03d}  {self.process:<16} {self.text}"


@dataclass
class Process:
    """An instance of a workload: it can be killed, and then none of its calls has an effect any more."""

    name: str
    is_dead: bool = False
    greenlets: list[greenlet] = field(default_factory=list)


@dataclass
class World:
    """Time, events in order, and the dice."""

    seed: int
    start: datetime
    fault_rate: float = 0.0
    slow_rate: float = 0.0
    faults_end: datetime | None = None  # from then on every call succeeds
    suppressed: frozenset[int] = frozenset()  # numbers of faults that shrinking leaves out

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - not for secrets
        self.now = self.start
        self.history: list[Entry] = []
        self.faults = 0  # rolled
        self.troubles = 0  # whatever went wrong, failed jobs and outages too
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0
        self._current: Process | None = None
        self._main = getcurrent()

    # --- time ---------------------------------------------------------------------------------------

    def at(self, when: datetime, action: Callable[[], None]) -> None:
        """Run `action` at a time, after what was planned for that time before."""
        self._count += 1
        heapq.heappush(self._events, (max(when, self.now), self._count, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` so many seconds from now."""
        self.at(self.now + timedelta(seconds=seconds), action)

    def run(self, until: datetime | None = None) -> None:
        """Let events happen until none is left, or none before `until`."""
        while self._events and (until is None or self._events[0][0] <= until):
            self.now, _, action = heapq.heappop(self._events)
            action()
        if until is not None:
            self.now = max(self.now, until)

    def log(self, process: str, text: str) -> None:
        """Add a line to the history."""
        self.history.append(Entry(self.now, process, text))

    # --- processes ----------------------------------------------------------------------------------

    def start_process(
        self, name: str, work: Callable[[], Any], on_end: Callable[[BaseException | None], None]
    ) -> Process:
        """Run `work` as a process from now on; `on_end` is called with what it raised, unless it was killed."""
        process = Process(name)

        def body(_: Any = None) -> None:
            raised: BaseException | None = None
            try:
                work()
            except ProcessDied:
                return
            except Exception as error:  # noqa: BLE001 - whatever the product raises is its answer
                raised = error
            if not process.is_dead:
                on_end(raised)

        green = greenlet(body, parent=self._main)
        process.greenlets.append(green)
        self.after(0, lambda: self._resume(process, green))
        return process

    def kill(self, process: Process, why: str) -> None:
        """End a process at once; what it had sent may still arrive."""
        if not process.is_dead:
            process.is_dead = True
            self.log(process.name, f"KILLED {why}")

    def _resume(self, process: Process, green: greenlet, value: Any = None) -> None:
        if green.dead:
            return
        before, self._current = self._current, process
        try:
            if process.is_dead:
                green.throw(ProcessDied())
            else:
                green.switch(value)
        finally:
            self._current = before

    def sleep(self, seconds: float) -> None:
        """Suspend the current process."""
        process, green = self._here()
        self.after(seconds, lambda: self._resume(process, green))
        self._main.switch()
        if process.is_dead:
            raise ProcessDied

    # --- calls --------------------------------------------------------------------------------------

    def call[T](self, what: str, effect: Callable[[], T], *, retries: int = 0) -> T:
        """Make a call of the current process; what `effect` raises is the service's error.

        A call that fails is made again `retries` times, as the real clients do for what is idempotent.
        """
        for attempt in range(retries + 1):
            try:
                return self._attempt(what, effect)
            except ServiceUnavailable:
                if attempt == retries:
                    raise
        raise AssertionError("unreachable")

    def _attempt[T](self, what: str, effect: Callable[[], T]) -> T:
        process, green = self._here()
        if process.is_dead:
            raise ProcessDied
        outcome = self._roll(process, what)
        low, high = SLOW_S if outcome is Outcome.SLOW else NORMAL_S
        there, back = self.dice.uniform(low, high), self.dice.uniform(*NORMAL_S)
        result: list[T] = []
        error: list[Exception] = []

        def arrive() -> None:
            if outcome not in (Outcome.FAILS, Outcome.DIES_BEFORE):
                try:
                    result.append(effect())
                    text = what
                except Exception as refusal:  # noqa: BLE001 - the service's answer, for the caller
                    error.append(refusal)
                    text = f"{what}: {type(refusal).__name__}"
                self.log(
                    process.name,
                    text if outcome in (Outcome.SUCCEEDS, Outcome.SLOW) else f"{text}; {outcome}",
                )
            else:
                self.log(process.name, f"{what}: {outcome}")
            if outcome in (Outcome.DIES_BEFORE, Outcome.DIES_AFTER):
                self.kill(process, f"at {what}")
            self.after(back, lambda: self._resume(process, green))

        self.after(there, arrive)
        self._main.switch()
        if process.is_dead:
            raise ProcessDied
        if outcome in (Outcome.FAILS, Outcome.LOST):
            raise ServiceUnavailable(f"{what}: simulated")  # type: ignore[no-untyped-call]
        if error:
            raise error[0]
        return result[0]

    def _roll(self, process: Process, what: str) -> Outcome:
        if self.faults_end is not None and self.now >= self.faults_end:
            return Outcome.SUCCEEDS
        rolled = self.dice.random()
        kind = self.dice.choice(FAULTS)
        if rolled >= self.fault_rate:
            return Outcome.SLOW if rolled >= 1 - self.slow_rate else Outcome.SUCCEEDS
        self.faults += 1
        self.troubles += 1
        return Outcome.SUCCEEDS if self.faults in self.suppressed else kind

    def _here(self) -> tuple[Process, greenlet]:
        process, green = self._current, getcurrent()
        if process is None or green is self._main:
            raise RuntimeError("a client was called outside of a process of the simulation")
        return process, green
