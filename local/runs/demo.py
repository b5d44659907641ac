"""The demo: some ticks in simulated time, then archive and rebuild, and a report whose figures must agree."""

import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from local.environment.clock import Clock, SimulatedClock
from local.errors import LocalError
from local.feeds.replay import Replay
from local.runs.local_run import LocalRun, start_run
from local.runs.options import Options
from local.runs.page import page_url, write_page
from local.runs.pipeline import LandedTicks, archive, print_events, rebuild, wait_for_deliveries
from local.runs.report import (
    Report,
    add_first_denial,
    begin_report,
    complete_report,
    count_rows,
    find_inconsistency,
)
from local.runs.terminal import Terminal
from local.services.scheduler_times import cron_times_after
from local.stack.synthesis import check_environment
from local.workloads.spark import local_spark

MAX_TICKS = 1440  # all ticks are within one day, because the nightly batch rebuilds one
DAY = timedelta(days=1)
HALF_DAY = timedelta(hours=12)
# How long a run may take until its batch, which reads "yesterday" from the host's clock.
MARGIN = timedelta(minutes=2)
TIME_PER_TICK = timedelta(seconds=0.5)
# Maximum of ticks, and how many of them make one printed line: counting rows takes longer with more ticks.
PRINT_INTERVALS = ((30, 1), (300, 10), (MAX_TICKS, 60))


def run_demo(options: Options, terminal: Terminal) -> Report:
    """Run the demo, write its report and return it; `problem` names a figure that does not agree.

    Raises LocalError where the environment cannot be started, or has no Java for its batch.
    """
    ticks = options.ticks or 1
    if ticks > MAX_TICKS:
        raise LocalError(f"TICKS={ticks} is too many: a demo's ticks lie within one day, at most {MAX_TICKS}")
    local_spark()  # fail early without Java, which the batch at the end needs
    day = day_to_simulate(datetime.now(UTC), ticks)
    start = simulation_start(list_collect_times(options, day), day, ticks)
    clock = SimulatedClock(day - timedelta(minutes=1))
    with start_run(options, terminal, clock) as run:
        report = begin_report(run)
        try:
            _run_pipeline(run, report, day, start, ticks)
        except LocalError as error:
            report.problem = str(error)
        if report.problem is None:
            _write_page(run, report)
        try:
            with terminal.stage("check", "counting"):
                complete_report(report, run)
        except LocalError as error:  # the first failure has the cause
            report.problem = report.problem or str(error)
        report.problem = add_first_denial(report, report.problem or find_inconsistency(report))
        report.write(options.folder)
        if options.open and report.problem is None:
            _serve_until_interrupted(run)
    return report


def _write_page(run: LocalRun, report: Report) -> None:
    """Write a copy of the dashboard's page; a failure becomes the report's problem."""
    try:
        with run.terminal.stage("page", "writing a copy of the dashboard's page"):
            file = write_page(run)
    except LocalError as error:
        report.problem = f"the dashboard cannot show the data: {error}"
        return
    report.page = None if file is None else str(file)


def _serve_until_interrupted(run: LocalRun) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM."""
    url = page_url(run)
    if url is None:
        run.terminal.print_line(
            f"OPEN=1: environments/{run.options.environment}.toml has no [dashboard], so there is no dashboard"
        )
        return
    run.terminal.print_line(f"the dashboard: {url}")
    run.terminal.print_line("stop it with Ctrl-C, or with `make down` in another terminal")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def day_to_simulate(now: datetime, ticks: int) -> datetime:
    """Return the start (UTC) of the day to simulate.

    It is yesterday, which the batch rebuilds; shortly before midnight it is today, and the batch waits for midnight.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today if now + MARGIN + ticks * TIME_PER_TICK >= today + DAY else today - DAY


def list_collect_times(options: Options, day: datetime) -> list[datetime]:
    """Return the times of a day (UTC) at which the job that collects is due; of a recording, only the minutes it has.

    Nothing is started for it, so a demo with too many ticks leaves the data of the previous one. Raises LocalError.
    """
    schedule = check_environment(options.environment, options.feed).schedule
    job = {"name": "collect", "schedule": schedule.collect, "timeZone": schedule.time_zone}
    following = cron_times_after(job, day - timedelta(seconds=1))
    fires = [following()]
    while fires[-1] < day + DAY:
        fires.append(following())
    replay = Replay(options.replay, ZoneInfo(schedule.time_zone)) if options.replay else None
    return [fire for fire in fires[:-1] if replay is None or replay.has_minute(fire)]


def simulation_start(fires: list[datetime], day: datetime, ticks: int) -> datetime:
    """Return the start of simulated time: noon of the day, or earlier where the ticks do not fit after noon.

    `fires` are the times of the day at which the job is due. Raises LocalError where these are too few.
    """
    if len(fires) < ticks:
        raise LocalError(
            f"TICKS={ticks} is too many: the job that collects runs {len(fires):,} times on that day; set TICKS to "
            "that or less"
        )
    if sum(fire > day + HALF_DAY for fire in fires) >= ticks:
        return day + HALF_DAY
    return fires[-ticks] - timedelta(seconds=1)


def _run_pipeline(run: LocalRun, report: Report, day: datetime, start: datetime, ticks: int) -> None:
    """Run the ticks, the sweep and the batch, in this order. Raises LocalError."""
    scheduler, names, terminal = run.scheduler, run.names, run.terminal
    _advance_to(run.clock, start)
    terminal.print_line(f"simulated time begins at {start:%Y-%m-%d %H:%M} UTC")
    print_events(run)
    scheduler.start()
    with terminal.stage("collect", f"collecting {ticks} ticks"):
        for number in range(1, ticks + 1):
            _run_tick(run, report, number, ticks)
    scheduler.pause(names.collect_job)
    _pause_gbfs_jobs(run, ticks)
    terminal.print_line(f"{names.collect_job} is paused after {ticks} ticks")
    wait_for_deliveries(run)
    landed = LandedTicks(run)
    report.objects_landed = landed.update()
    archive(run, lambda: None)
    report.objects_landed = landed.update()
    scheduler.pause(names.copy_job)
    terminal.print_line(
        f"{names.copy_job} is paused; time jumps to {scheduler.next_run_time(names.batch_job):%Y-%m-%d %H:%M} UTC"
    )
    _wait_for_end_of(day, run)
    rebuild(run, report, lambda: None)


def _pause_gbfs_jobs(run: LocalRun, ticks: int) -> None:
    """Pause the jobs of GBFS systems once they have had as many ticks; else they would collect until the night."""
    scheduler, names = run.scheduler, run.names
    schedules = {job["name"].rpartition("/")[2]: job["schedule"] for job in scheduler.jobs.list()}
    each_tick = [job for job in names.gbfs_jobs if schedules[job] == schedules[names.collect_job]]
    run.clock.run(lambda: all(scheduler.fired[job] >= ticks for job in each_tick))
    for job in names.gbfs_jobs:
        scheduler.pause(job)


def _run_tick(run: LocalRun, report: Report, number: int, ticks: int) -> None:
    run.clock.run(lambda: run.scheduler.fired[run.names.collect_job] >= number)
    every = next(every for most, every in PRINT_INTERVALS if ticks <= most)
    is_printed = number % every == 0 or number == ticks
    if not is_printed and report.first_row_seconds is not None:
        return
    rows = count_rows(run.environment, run.names.station_table)
    if rows and report.first_row_seconds is None:
        report.first_row_seconds = round(run.terminal.elapsed, 2)
    run.terminal.print_line(f"tick {number} of {ticks}, {run.clock.now():%H:%M} UTC: {rows:,} rows so far")


def _advance_to(clock: Clock, moment: datetime) -> None:
    clock.schedule_at(moment, lambda: None)
    clock.run(lambda: clock.now() >= moment)


def _wait_for_end_of(day: datetime, run: LocalRun) -> None:
    """Wait until the simulated day has ended in real time as well, because the batch rebuilds the real yesterday."""
    left = (day + DAY - datetime.now(UTC)).total_seconds()
    if left > 0:
        with run.terminal.stage("rebuild", f"waiting {left:.0f} s for midnight UTC"):
            time.sleep(left)
