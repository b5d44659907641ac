"""The environment kept running in real time, until it is told to stop."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import requests

from local.environment.clock import RealClock
from local.errors import LocalError, ServiceError
from local.processes.supervisor import OWNER, end_orphaned_processes
from local.runs.page import page_url
from local.runs.pipeline import Landed, archive, drain, rebuild, tell
from local.runs.report import Report, begin, complete, count_rows, counters, difference, explained
from local.runs.running_stack import RECORD, Options, System, data_of, read_state, running, write_state
from local.runs.terminal import Terminal
from local.services.pubsub import Message
from local.stack.synthesis import check_environment
from local.workloads.workloads import Workloads

DRAIN_S = 60.0
HEAD_START = timedelta(days=7)
OWN_CLOCK = (
    "with SPEED=, only the schedule runs faster than life: programs read this machine's clock, and the batch is given "
    "the date of the simulated yesterday"
)
DOWN_GRACE_S = 30.0
TICK_S = 0.3  # what a tick takes here, in real seconds
MINUTE_S = 60.0


def run_up(options: Options, terminal: Terminal) -> Report:
    """Keep the environment running until SIGINT or SIGTERM, or for a number of ticks; return the report.

    A second `up` goes on with the same data, and with time where the first one ended. Raises LocalError.
    """
    data = data_of(options)
    before = read_state(data) if data else {}
    now = datetime.now(UTC)
    start = max(now - head_start(options.speed, options.ticks or 0), _time_of(before.get("time")))
    with until_told() as told, running(options, terminal, RealClock(options.speed, start)) as system:
        report = begin(system)
        if options.speed != 1:
            system.environment.report_unsupported(OWN_CLOCK)
        keeper = _Keeper(system, report, before.get(_counters_of(system), {}))
        keeper.say_where()
        for sentence in about_time(start, now, options.speed):
            terminal.line(sentence)
        try:
            _work(system, told, keeper)
            if options.ticks and not told.is_set():
                _finish(system, report, keeper)
        except LocalError as error:
            report.problem = str(error)
        try:
            with terminal.stage("check", "counting"):
                _count(system, report, keeper)
        except LocalError as error:  # what went wrong first says more
            report.problem = report.problem or str(error)
        if options.ticks and not told.is_set():
            report.problem = explained(report, report.problem or difference(report))
        report.write(options.folder)
    return report


def head_start(speed: float, ticks: int) -> timedelta:
    """Return how long before the machine's clock time begins, so that it stays behind it for that many ticks.

    The batch refuses a day that has not begun by the machine's clock.
    """
    return max(HEAD_START, timedelta(minutes=ticks)) if speed > 1 else timedelta()


def run_down(options: Options, terminal: Terminal) -> None:
    """End what runs of an environment, also what a crashed `up` left. Raises LocalError for an unknown one."""
    if not options.folder.is_dir():  # one whose file is gone may still run
        check_environment(options.environment)
    ended = end_orphaned_processes(options.folder / RECORD, DOWN_GRACE_S)
    terminal.line(told_of_end(options.environment, read_state(options.folder).get("mode", "up"), ended))


def told_of_rows(rows: int | None) -> str:
    """Return how many rows the table has, for the line of a tick; None where it could not be asked."""
    return "the BigQuery emulator cannot count its rows now" if rows is None else f"{rows:,} rows"


def told_of_end(environment: str, mode: str, ended: list[str]) -> str:
    """Return what `make down` ended of an environment that ran in a mode, in plain words."""
    if not ended:
        return f"nothing of {environment} was running"
    left = [name for name in ended if name != OWNER]
    if OWNER not in ended:
        return f"ended what a crash had left of {environment}: {', '.join(left)}"
    run = f"this machine as {environment}'s project" if mode == "cloud" else f"`make {mode}` of {environment}"
    return f"ended {run}" + (f", and with it {', '.join(left)}" if left else "")


class _Keeper:
    """Tells what happens, as it happens, and keeps the counters for the next run."""

    def __init__(self, system: System, report: Report, before: dict[str, int]) -> None:
        self._system, self._report, self.before = system, report, before
        self.landed = Landed(system)
        system.broker.on_delivered.append(self._delivered)
        tell(system)

    def say_where(self) -> None:
        """Tell the URLs that can be looked at."""
        environment, terminal = self._system.environment, self._system.terminal
        for name, url in environment.service(Workloads).urls.items():
            terminal.line(f"{name}: {url}")
        if (page := page_url(self._system)) is not None:
            terminal.line(f"open the dashboard in a browser: {page}")
        terminal.line(f"storage: {environment.gcs_url}")
        terminal.line(f"BigQuery: {environment.bigquery_url}")
        terminal.line(f"it is {self._system.clock.now():%Y-%m-%d %H:%M} UTC")
        terminal.line("Ctrl-C, or `make down` elsewhere, ends it")

    def save(self) -> None:
        """Keep counters and time."""
        total = {k: v + self.before.get(k, 0) for k, v in counters(self._system).items()}
        now = self._system.clock.now().isoformat()
        folder = self._system.options.folder
        try:
            write_state(folder, **{_counters_of(self._system): total, "time": now})
        except OSError as error:  # such as a full disk: what is collected is worth more than these counters
            self._system.terminal.line(f"{folder}: the counters cannot be saved: {error.strerror}")

    def _delivered(self, message: Message) -> None:
        system = self._system
        rows = self._count_rows()
        if rows and self._report.first_row_seconds is None:
            self._report.first_row_seconds = round(system.terminal.elapsed, 2)
        again = f", attempt {message.attempts + 1}" if message.attempts else ""
        system.terminal.line(f"tick {message.publish_time:%Y-%m-%d %H:%M} UTC{again}: {told_of_rows(rows)}")
        self.save()

    def _count_rows(self) -> int | None:
        try:
            return count_rows(self._system.environment, self._system.parts.station_table)
        except (
            ServiceError,
            requests.ConnectionError,
        ):  # an emulator without disk space, or killed: rows can wait
            return None


def _counters_of(system: System) -> str:
    """Return where the state keeps the counters: each feed has its own, as it has its own objects and rows."""
    return f"counters of {system.feed.name}"


def _work(system: System, told: threading.Event, keeper: _Keeper) -> None:
    """Let jobs fire until told to stop or for the wanted ticks, then wait for what is under way."""
    collect, wanted = system.parts.collect, system.options.ticks
    left = system.broker.resume()
    if left:
        system.terminal.line(f"{left} messages of the run before are being delivered")
    system.scheduler.start()
    system.clock.run(lambda: told.is_set() or bool(wanted and system.scheduler.fired[collect] >= wanted))
    system.scheduler.stop()
    keeper.save()
    end = time.monotonic() + DRAIN_S
    with system.terminal.stage("stop", "waiting for what is under way"):
        system.clock.run(lambda: system.clock.in_flight == 0 or time.monotonic() > end)


def _finish(system: System, report: Report, keeper: _Keeper) -> None:
    """Archive and rebuild what was collected, now."""
    drain(system)
    archive(system, lambda: system.scheduler.run(system.parts.copy))
    keeper.landed.look()
    days = sorted(tick.date() for tick in keeper.landed.ticks)
    if not days:
        raise LocalError("no object landed, so there is nothing to rebuild: see the function's log")
    parameters = {"FROM": days[0].isoformat(), "TO": days[-1].isoformat()}
    rebuild(system, report, lambda: _instantiate(system, parameters))


def _instantiate(system: System, parameters: dict[str, str]) -> None:
    system.dataproc.instantiate(system.parts.template, parameters)


def _count(system: System, report: Report, keeper: _Keeper) -> None:
    complete(report, system, keeper.before)
    report.objects_landed = keeper.landed.look()
    if report.rows_rebuilt is None:
        report.rows_streamed = count_rows(system.environment, system.parts.station_table)
    keeper.save()


def about_time(time: datetime, environment: datetime, speed: float) -> list[str]:
    """Return what the user should know of a run that begins at a time, by the machine's clock at another."""
    sentences = []
    ahead = (time - environment).total_seconds() / MINUTE_S
    if ahead >= 1:
        sentences.append(
            f"time goes on where the run before ended, {ahead:,.0f} minutes ahead of this machine's clock"
        )
    if speed > (practical := MINUTE_S / TICK_S):
        sentences.append(
            f"SPEED={speed:g} is more than this machine keeps up with: a tick takes about {TICK_S} s, so above "
            f"SPEED={practical:.0f} ticks are left out, or expire undelivered"
        )
    return sentences


def _time_of(text: str | None) -> datetime:
    """Return the minute after a time that was kept, the distant past where none was."""
    if text is None:
        return datetime.min.replace(tzinfo=UTC)
    return datetime.fromisoformat(text) + timedelta(seconds=1)


def interrupt_once() -> Callable[[int, object], None]:
    """Return a handler of signals: the first raises KeyboardInterrupt, those after it wait for what ends then.

    A second Ctrl-C would leave behind the processes that the first one ends.
    """
    interrupted = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        if interrupted.is_set():
            os.write(2, b"\nthe processes are being ended: this takes some seconds\n")
            return
        interrupted.set()
        raise KeyboardInterrupt

    return interrupt


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into an event; a second one interrupts at once."""
    told = threading.Event()
    interrupt = interrupt_once()

    def tell(number: int, frame: object) -> None:
        if told.is_set():
            interrupt(number, frame)
        told.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
