"""`make up` and `make down`: run an environment in real time, and stop it."""

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
from local.processes.records import OWNER, end_orphaned_processes
from local.runs.local_run import LocalRun, start_run
from local.runs.options import Options
from local.runs.page import page_url
from local.runs.pipeline import (
    LandedTicks,
    archive,
    print_events,
    rebuild,
    wait_for_deliveries,
    wait_for_scheduled_batch,
)
from local.runs.report import (
    Report,
    add_first_denial,
    begin_report,
    complete_report,
    count_rows,
    counters,
    find_inconsistency,
)
from local.runs.run_folder import RECORD, find_kept_data, read_state, write_state
from local.runs.terminal import Terminal
from local.services.pubsub_messages import Message
from local.stack.synthesis import check_environment
from local.workloads.workloads import Workloads

DRAIN_S = 60.0
INITIAL_LAG = timedelta(days=7)
SPEED_DIFFERENCE = (
    "with SPEED=, only the schedule runs faster than real time: programs read the host's clock, and the batch gets "
    "the date of the simulated yesterday"
)
DOWN_GRACE_S = 30.0
TICK_S = 0.3  # the duration of a tick in real time
MINUTE_S = 60.0


def run_up(options: Options, terminal: Terminal) -> Report:
    """Run the environment until SIGINT or SIGTERM, or for a number of ticks; return the report.

    Another `up` continues with the same data, and with time where the previous one ended. Raises LocalError.
    """
    data = find_kept_data(options)
    before = read_state(data) if data else {}
    now = datetime.now(UTC)
    start = max(now - initial_lag(options.speed, options.ticks or 0), _resume_time(before.get("time")))
    with stop_on_signal() as stop, start_run(options, terminal, RealClock(options.speed, start)) as run:
        report = begin_report(run)
        if options.speed != 1:
            run.environment.report_unsupported(SPEED_DIFFERENCE)
        progress = _Progress(run, report, before.get(_counters_key(run), {}))
        progress.print_urls()
        for sentence in describe_time(start, now, options.speed):
            terminal.print_line(sentence)
        try:
            _run_jobs(run, stop, progress)
            if options.ticks and not stop.is_set():
                _archive_and_rebuild(run, report, progress)
        except LocalError as error:
            report.problem = str(error)
        try:
            with terminal.stage("check", "counting"):
                _fill_in_report(run, report, progress)
        except LocalError as error:  # the first failure has the cause
            report.problem = report.problem or str(error)
        if options.ticks and not stop.is_set():
            report.problem = add_first_denial(report, report.problem or find_inconsistency(report))
        report.write(options.folder)
    return report


def initial_lag(speed: float, ticks: int) -> timedelta:
    """Return how far time starts behind the host's clock, so that it stays behind for that many ticks.

    The batch refuses a day that has not begun by the host's clock.
    """
    return max(INITIAL_LAG, timedelta(minutes=ticks)) if speed > 1 else timedelta()


def run_down(options: Options, terminal: Terminal) -> None:
    """Stop an environment's processes, including those that a crash left. Raises LocalError for an unknown
    environment.
    """
    if not options.folder.is_dir():  # an environment whose file was removed may still run
        check_environment(options.environment)
    ended = end_orphaned_processes(options.folder / RECORD, DOWN_GRACE_S)
    terminal.print_line(
        format_shutdown_summary(options.environment, read_state(options.folder).get("mode", "up"), ended)
    )


def format_row_count(rows: int | None) -> str:
    """Format the number of rows for the line of a tick; None where it could not be queried."""
    return "the BigQuery emulator cannot count the rows now" if rows is None else f"{rows:,} rows"


def format_shutdown_summary(environment: str, mode: str, ended: list[str]) -> str:
    """Describe what `make down` stopped of an environment that ran in a mode."""
    if not ended:
        return f"{environment} was not running"
    left = [name for name in ended if name != OWNER]
    if OWNER not in ended:
        return f"stopped what a crash had left of {environment}: {', '.join(left)}"
    run = f"the local environment of {environment}" if mode == "cloud" else f"`make {mode}` of {environment}"
    return f"stopped {run}" + (f", and with it {', '.join(left)}" if left else "")


class _Progress:
    """Prints events as they happen, and saves the counters for the next run."""

    def __init__(self, run: LocalRun, report: Report, before: dict[str, int]) -> None:
        self._run, self._report, self.before = run, report, before
        self.landed = LandedTicks(run)
        run.pubsub.on_delivered.append(self._delivered)
        print_events(run)

    def print_urls(self) -> None:
        """Print the URLs of workloads, dashboard and emulators."""
        environment, terminal = self._run.environment, self._run.terminal
        for name, url in environment.service(Workloads).urls.items():
            terminal.print_line(f"{name}: {url}")
        if (page := page_url(self._run)) is not None:
            terminal.print_line(f"open the dashboard in a browser: {page}")
        terminal.print_line(f"storage: {environment.gcs_url}")
        terminal.print_line(f"BigQuery: {environment.bigquery_url}")
        terminal.print_line(f"it is {self._run.clock.now():%Y-%m-%d %H:%M} UTC")
        terminal.print_line("stop it with Ctrl-C, or with `make down` in another terminal")

    def save(self) -> None:
        """Save counters and time."""
        total = {k: v + self.before.get(k, 0) for k, v in counters(self._run).items()}
        now = self._run.clock.now().isoformat()
        folder = self._run.options.folder
        try:
            write_state(folder, **{_counters_key(self._run): total, "time": now})
        except OSError as error:  # such as a full disk: collection continues without the counters
            self._run.terminal.print_line(f"{folder}: the counters cannot be saved: {error.strerror}")

    def _delivered(self, message: Message) -> None:
        run = self._run
        rows = self._count_rows()
        if rows and self._report.first_row_seconds is None:
            self._report.first_row_seconds = round(run.terminal.elapsed, 2)
        again = f", attempt {message.attempts + 1}" if message.attempts else ""
        run.terminal.print_line(
            f"tick {message.publish_time:%Y-%m-%d %H:%M} UTC{again}: {format_row_count(rows)}"
        )
        self.save()

    def _count_rows(self) -> int | None:
        try:
            return count_rows(self._run.environment, self._run.names.station_table)
        except (
            ServiceError,
            requests.ConnectionError,
        ):  # the emulator has no disk space or was killed: the tick is not affected
            return None


def _counters_key(run: LocalRun) -> str:
    """Return the state's key of the counters; each feed has its own, as it has its own objects and rows."""
    return f"counters of {run.feed.name}"


def _run_jobs(run: LocalRun, stop: threading.Event, progress: _Progress) -> None:
    """Run jobs until a stop signal or the wanted number of ticks, then wait for the work in flight."""
    collect, wanted = run.names.collect_job, run.options.ticks
    left = run.pubsub.resume()
    if left:
        run.terminal.print_line(f"{left} undelivered messages of the previous run are being delivered")
    run.scheduler.start()
    run.clock.run(lambda: stop.is_set() or bool(wanted and run.scheduler.fired[collect] >= wanted))
    run.scheduler.stop()
    progress.save()
    end = time.monotonic() + DRAIN_S
    with run.terminal.stage("stop", "waiting for unfinished work"):
        run.clock.run(lambda: run.clock.in_flight == 0 or time.monotonic() > end)


def _archive_and_rebuild(run: LocalRun, report: Report, progress: _Progress) -> None:
    """Archive and rebuild what was collected, without waiting for the jobs' schedules."""
    wait_for_deliveries(run)
    archive(run, lambda: run.scheduler.run(run.names.copy_job))
    progress.landed.update()
    days = sorted(tick.date() for tick in progress.landed.ticks)
    if not days:
        raise LocalError("no object landed, so there is nothing to rebuild: see the function's log")
    wait_for_scheduled_batch(run)
    parameters = {"FROM": days[0].isoformat(), "TO": days[-1].isoformat()}
    rebuild(run, report, lambda: _start_batch(run, parameters))


def _start_batch(run: LocalRun, parameters: dict[str, str]) -> None:
    run.dataproc.instantiate(run.names.workflow_template, parameters)


def _fill_in_report(run: LocalRun, report: Report, progress: _Progress) -> None:
    complete_report(report, run, progress.before)
    report.objects_landed = progress.landed.update()
    if report.rows_rebuilt is None:
        report.rows_streamed = count_rows(run.environment, run.names.station_table)
    progress.save()


def describe_time(start: datetime, now: datetime, speed: float) -> list[str]:
    """Return notes for the user about a run that starts at `start` while the host's clock shows `now`."""
    sentences = []
    ahead = (start - now).total_seconds() / MINUTE_S
    if ahead >= 1:
        sentences.append(
            f"time continues where the previous run ended, {ahead:,.0f} minutes ahead of the host's clock"
        )
    if speed > (practical := MINUTE_S / TICK_S):
        sentences.append(
            f"SPEED={speed:g} is more than this host can keep up with: a tick takes about {TICK_S} s, so above "
            f"SPEED={practical:.0f} ticks are skipped, or expire undelivered"
        )
    return sentences


def _resume_time(text: str | None) -> datetime:
    """Return the second after a saved time, or the distant past where none was saved."""
    if text is None:
        return datetime.min.replace(tzinfo=UTC)
    return datetime.fromisoformat(text) + timedelta(seconds=1)


def interrupt_on_first_signal() -> Callable[[int, object], None]:
    """Return a signal handler that raises KeyboardInterrupt for the first signal and ignores later ones.

    A second Ctrl-C would otherwise leave the processes running that the first one stops.
    """
    interrupted = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        if interrupted.is_set():
            os.write(2, b"\nstopping the processes, which takes some seconds\n")
            return
        interrupted.set()
        raise KeyboardInterrupt

    return interrupt


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into an event; a second one raises KeyboardInterrupt."""
    stop = threading.Event()
    interrupt = interrupt_on_first_signal()

    def stop_or_interrupt(number: int, frame: object) -> None:
        if stop.is_set():
            interrupt(number, frame)
        stop.set()

    before = {number: signal.signal(number, stop_or_interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
