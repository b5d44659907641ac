"""The demo: some ticks, then archive and rebuild, in simulated time, and a report that must add up."""

import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta

from local.environment.clock import Clock, SimulatedClock
from local.errors import LocalError
from local.runs.page import page_url, write_page
from local.runs.pipeline import Landed, archive, drain, rebuild, tell
from local.runs.report import Report, begin, complete, count_rows, difference, explained
from local.runs.running_stack import Options, System, running
from local.runs.terminal import Terminal
from local.services.scheduler import cron_times_after
from local.workloads.spark import local_spark

MOST_TICKS = 1440  # ticks lie within one day, which is what the nightly batch rebuilds
DAY = timedelta(days=1)
NOON = timedelta(hours=12)
# How long a run may take from its begin to the batch, which asks the machine's clock for "yesterday".
MARGIN = timedelta(minutes=2)
PER_TICK = timedelta(seconds=0.5)
# Up to so many ticks, each so many of them are printed: counting rows costs more the more ticks there are.
PRINTED = ((30, 1), (300, 10), (MOST_TICKS, 60))


def run_demo(options: Options, terminal: Terminal) -> Report:
    """Run the demo and return its report, which is written too; `problem` says what does not add up.

    Raises LocalError where the environment cannot be brought up, or has no Java for its batch.
    """
    ticks = options.ticks or 1
    if ticks > MOST_TICKS:
        raise LocalError(
            f"TICKS={ticks} is too many: a demo's ticks lie within one day, at most {MOST_TICKS}"
        )
    local_spark()  # a demo ends with the batch: without Java, nothing is begun
    day = day_to_simulate(datetime.now(UTC), ticks)
    clock = SimulatedClock(day - timedelta(minutes=1))
    with running(options, terminal, clock) as system:
        report = begin(system)
        try:
            _pass_through(system, report, day, ticks)
        except LocalError as error:
            report.problem = str(error)
        if report.problem is None:
            _show_page(system, report)
        try:
            with terminal.stage("check", "counting"):
                complete(report, system)
        except LocalError as error:  # what went wrong first says more
            report.problem = report.problem or str(error)
        report.problem = explained(report, report.problem or difference(report))
        report.write(options.folder)
        if options.open and report.problem is None:
            _keep_open(system)
    return report


def _show_page(system: System, report: Report) -> None:
    """Write the copy of the dashboard's page; what stands in its way is the report's problem."""
    try:
        with system.terminal.stage("page", "writing a copy of the dashboard's page"):
            file = write_page(system)
    except LocalError as error:
        report.problem = f"the dashboard does not show the data: {error}"
        return
    report.page = None if file is None else str(file)


def _keep_open(system: System) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM."""
    url = page_url(system)
    if url is None:
        system.terminal.line(
            f"OPEN=1: environments/{system.options.environment}.toml has no [dashboard], so there is no page"
        )
        return
    system.terminal.line(f"the dashboard: {url}")
    system.terminal.line("Ctrl-C, or `make down` elsewhere, ends it")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def day_to_simulate(now: datetime, ticks: int) -> datetime:
    """Return the beginning (UTC) of the day to simulate.

    It is yesterday, which the batch rebuilds; shortly before midnight it is today, for which the batch
    then waits.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today if now + MARGIN + ticks * PER_TICK >= today + DAY else today - DAY


def first_moment(fires: list[datetime], day: datetime, ticks: int) -> datetime:
    """Return when simulated time begins: noon of the day, or as much earlier as the ticks need.

    `fires` are the day's fires of the job. Raises LocalError where the day has too few.
    """
    if len(fires) < ticks:
        raise LocalError(
            f"TICKS={ticks} is too many: the job that collects fires {len(fires):,} times on that day"
        )
    if sum(fire > day + NOON for fire in fires) >= ticks:
        return day + NOON
    return fires[-ticks] - timedelta(seconds=1)


def _pass_through(system: System, report: Report, day: datetime, ticks: int) -> None:
    """Let the ticks, the sweep and the batch happen, in this order. Raises LocalError."""
    scheduler, parts, terminal = system.scheduler, system.parts, system.terminal
    start = first_moment(_fires_of(system, parts.collect, day), day, ticks)
    _leap(system.clock, start)
    terminal.line(f"simulated time begins at {start:%Y-%m-%d %H:%M} UTC")
    tell(system)
    scheduler.start()
    with terminal.stage("collect", f"collecting {ticks} ticks"):
        for number in range(1, ticks + 1):
            _tick(system, report, number, ticks)
    scheduler.pause(parts.collect)
    terminal.line(f"{parts.collect} is paused after {ticks} ticks")
    drain(system)
    landed = Landed(system)
    report.objects_landed = landed.look()
    archive(system, lambda: None)
    report.objects_landed = landed.look()
    scheduler.pause(parts.copy)
    terminal.line(
        f"{parts.copy} is paused; time leaps to {scheduler.next_run_time(parts.batch):%Y-%m-%d %H:%M} UTC"
    )
    _await_end_of(day, system)
    rebuild(system, report, lambda: None)


def _tick(system: System, report: Report, number: int, ticks: int) -> None:
    system.clock.run(lambda: system.scheduler.fired[system.parts.collect] >= number)
    every = next(every for most, every in PRINTED if ticks <= most)
    is_printed = number % every == 0 or number == ticks
    if not is_printed and report.first_row_seconds is not None:
        return
    rows = count_rows(system.environment, system.parts.station_table)
    if rows and report.first_row_seconds is None:
        report.first_row_seconds = round(system.terminal.elapsed, 2)
    system.terminal.line(f"tick {number} of {ticks}, {system.clock.now():%H:%M} UTC: {rows:,} rows so far")


def _fires_of(system: System, job: str, day: datetime) -> list[datetime]:
    name = next(each for each in system.scheduler.jobs.list() if each["name"].endswith(f"/{job}"))
    following = cron_times_after(name, day - timedelta(seconds=1))
    fires = [following()]
    while fires[-1] < day + DAY:
        fires.append(following())
    # Of a recording, only the minutes that it has.
    return [fire for fire in fires[:-1] if not system.scheduler.is_skipped(job, fire)]


def _leap(clock: Clock, moment: datetime) -> None:
    clock.at(moment, lambda: None)
    clock.run(lambda: clock.now() >= moment)


def _await_end_of(day: datetime, system: System) -> None:
    """Wait until the simulated day is over in reality too: the batch asks for "yesterday"."""
    left = (day + DAY - datetime.now(UTC)).total_seconds()
    if left > 0:
        with system.terminal.stage("rebuild", f"waiting {left:.0f} s for midnight UTC"):
            time.sleep(left)
