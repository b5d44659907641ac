"""Judge the observations of a deployed system: one result per check. Pure functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cronsim import CronSim

from cdk.settings import Settings
from operate.health.observation import DEAD_LETTERS, ROW_DAYS, Facts, Job, Landing, Run, Unavailable
from operate.jobs import ENABLED, PAUSED
from operate.target import Target

FAILED = "failed"
SWEEPS = 2  # a landed object may wait for this many sweeps, plus alerts.silent_minutes
BATCH_DAYS = timedelta(days=1)
GOAL = 0.99  # of the minutes of a day; cdk/operations/service_level.py has the same for the alert
# Into one table, failed ones included: https://cloud.google.com/bigquery/quotas#load_jobs
LOAD_JOBS_A_DAY = 1_500
LOAD_JOBS_WARNING = 0.98  # a tick each minute takes 0.96


@dataclass(frozen=True)
class CheckResult:
    """The result of one check: its name and what was found; if it failed, also what to do."""

    what: str
    found: str
    wrong: bool = False

    def __str__(self) -> str:
        return f"{'FAILED' if self.wrong else 'ok':6}  {self.what:12}  {self.found}"


def judge_environment(facts: Facts, settings: Settings, target: Target, now: datetime) -> list[CheckResult]:
    """Return a result for each check."""
    return [
        _judge_objects(facts, settings, target, now),
        *_judge_address(facts, settings, target),
        _judge_archive(facts, settings, target, now),
        _judge_rows(facts, settings, target, now),
        _judge_minutes(facts, target),
        _judge_load_jobs(facts, settings, target),
        _judge_dead_letters(facts, settings, target),
        *_judge_jobs(facts, target, now),
        _judge_batch(facts, settings, target, now),
    ]


def _judge_objects(facts: Facts, settings: Settings, target: Target, now: datetime) -> CheckResult:
    """Judge the age of the newest object, which may be archived already."""
    if isinstance(facts.landing, Unavailable):
        return CheckResult("objects", facts.landing.reason, wrong=True)
    archived = None if isinstance(facts.archived, Unavailable) else facts.archived
    ticks = [tick for tick in (facts.landing.newest, archived) if tick]
    return _judge_newest(
        "objects", max(ticks, default=None), settings, now=now, remedy=_advise_on_collection(facts, target)
    )


def _judge_address(facts: Facts, settings: Settings, target: Target) -> Iterator[CheckResult]:
    """Yield a failed result if the API redirects permanently, which may end at any time, or changed its version."""
    if not isinstance(facts.landing, Landing):
        return
    if address := facts.landing.moved_to:
        remedy = f"change url in sources/{settings.feed}, then {target.format_command('deploy')}"
        yield CheckResult("address", f"the API has moved to {address}: {remedy}", wrong=True)
    if version := facts.landing.gbfs_version:
        remedy = f"adapt sources/{settings.feed} with a new sample, then {target.format_command('deploy')}"
        yield CheckResult("version", f"the API has changed to {version}: {remedy}", wrong=True)


def _judge_rows(facts: Facts, settings: Settings, target: Target, now: datetime) -> CheckResult:
    if isinstance(facts.row, Unavailable):
        return CheckResult("rows", facts.row.reason, wrong=True)
    return _judge_newest("rows", facts.row, settings, now=now, remedy=_advise_on_collection(facts, target))


def _judge_minutes(facts: Facts, target: Target) -> CheckResult:
    found = facts.minutes
    if isinstance(found, Unavailable):
        return CheckResult("minutes", found.reason, wrong=True)
    if not found.expected:
        return CheckResult("minutes", f"none expected on {found.day}: collecting began after it")
    summary = f"{found.present:,} of {found.expected:,} on {found.day}"
    if found.present >= GOAL * found.expected:
        return CheckResult("minutes", summary)
    logs = target.format_command("logs", "collect")
    remedy = f"query the view minutes_present for the other days; {logs} says why minutes are missing"
    return CheckResult("minutes", f"{summary}, expected at least {GOAL:.0%}: {remedy}", wrong=True)


def _judge_load_jobs(facts: Facts, settings: Settings, target: Target) -> CheckResult:
    """Judge the load jobs of the collector's tables; the batch loads into new staging tables each night."""
    found = facts.load_jobs
    if isinstance(found, Unavailable):
        return CheckResult("load jobs", found.reason, wrong=True)
    tables = [settings.feed, "quarantine", *(("station_status", "polls") if settings.gbfs else ())]
    if "empty_responses" in found:  # only of feeds that accept responses without records
        tables.append("empty_responses")
    used = {table: found.get(table, 0) for table in tables}
    summary = ", ".join(f"{count:,} into {table}" for table, count in used.items())
    summary = f"{summary} in 24 hours, of {LOAD_JOBS_A_DAY:,} each"
    if max(used.values()) < LOAD_JOBS_WARNING * LOAD_JOBS_A_DAY:
        return CheckResult("load jobs", summary)
    remedy = (
        f"failed jobs count too; run {target.format_command('logs', 'collect')} and look for load_job_failed"
    )
    return CheckResult("load jobs", f"{summary}, close to the daily quota: {remedy}", wrong=True)


def _judge_newest(
    what: str, newest: datetime | None, settings: Settings, *, now: datetime, remedy: str
) -> CheckResult:
    if newest is None:
        return CheckResult(what, f"none in the last {ROW_DAYS} days: {remedy}", wrong=True)
    lag = _count_minutes(now - newest)
    summary = f"newest of {_format_utc(newest)}, {lag} min ago"
    if lag >= settings.alerts.silent_minutes:
        return CheckResult(
            what, f"{summary}, the limit is {settings.alerts.silent_minutes}: {remedy}", wrong=True
        )
    return CheckResult(what, summary)


def _advise_on_collection(facts: Facts, target: Target) -> str:
    collect = facts.jobs.get("collect")
    if isinstance(collect, Job) and collect.state == PAUSED:
        return f"collect is paused: run {target.format_command('resume', 'collect')}"
    return f"run {target.format_command('run', 'collect')}, then {target.format_command('logs', 'collect')} says why"


def _judge_archive(facts: Facts, settings: Settings, target: Target, now: datetime) -> CheckResult:
    if isinstance(facts.archived, Unavailable):
        return CheckResult("archive", facts.archived.reason, wrong=True)
    summary = f"newest of {_format_utc(facts.archived)}" if facts.archived else "nothing yet"
    oldest = None if isinstance(facts.landing, Unavailable) else facts.landing.oldest
    if oldest is None:
        return CheckResult("archive", f"{summary}; nothing is waiting")
    waits, allowed = _count_minutes(now - oldest), _allowed_wait_minutes(settings, now)
    summary = f"{summary}; the oldest landed object has waited {waits} min"
    if waits <= allowed:
        return CheckResult("archive", summary)
    remedy = (
        f"run {target.format_command('run', 'copy')}, then {target.format_command('logs', 'copy')} says why"
    )
    return CheckResult("archive", f"{summary}, the limit is {allowed}: {remedy}", wrong=True)


def _allowed_wait_minutes(settings: Settings, now: datetime) -> int:
    """Return how many minutes a landed object may wait to be archived."""
    fires = CronSim(settings.schedule.copy, now)
    first = next(fires)
    return SWEEPS * _count_minutes(next(fires) - first) + settings.alerts.silent_minutes


def _judge_dead_letters(facts: Facts, settings: Settings, target: Target) -> CheckResult:
    found = facts.dead_letters
    if isinstance(found, Unavailable):
        return CheckResult("dead letters", found.reason, wrong=True)
    if found is None:
        return CheckResult("dead letters", "Monitoring has no data point")
    if found == 0:
        return CheckResult("dead letters", "none")
    return CheckResult(
        "dead letters",
        f"{found} undelivered in the subscription {settings.name(DEAD_LETTERS)}: run "
        f"{target.format_command('logs', 'collect')} to find the cause, fix it, then acknowledge the messages; a "
        "message that is published again collects the current minute",
        wrong=True,
    )


def _judge_jobs(facts: Facts, target: Target, now: datetime) -> Iterator[CheckResult]:
    for name, job in facts.jobs.items():
        what = f"job {name}"
        if isinstance(job, Unavailable):
            yield CheckResult(what, job.reason, wrong=True)
            continue
        tried = (
            f"last tried {_count_minutes(now - job.attempted)} min ago" if job.attempted else "not tried yet"
        )
        summary = f"{job.state.lower()}, {tried}"
        if job.state == PAUSED:
            yield CheckResult(what, f"{summary}: run {target.format_command('resume', name)}", wrong=True)
        elif job.state != ENABLED:
            yield CheckResult(what, f"{summary}: run {target.format_command('deploy')} again", wrong=True)
        elif job.code:
            yield CheckResult(
                what,
                f"{summary}, with code {job.code}: {target.format_command('logs', name)} says why",
                wrong=True,
            )
        else:
            yield CheckResult(what, summary)


def _judge_batch(facts: Facts, settings: Settings, target: Target, now: datetime) -> CheckResult:
    if isinstance(facts.run, Unavailable):
        return CheckResult("last batch", facts.run.reason, wrong=True)
    job = facts.jobs.get("batch")
    tried = job.attempted if isinstance(job, Job) else None
    began = facts.run.started if facts.run else None
    limit = timedelta(minutes=settings.batch.timeout_minutes)
    remedy = f"{target.format_command('logs', 'batch')} says why, {target.format_command('run', 'batch')} tries again"
    if tried and (began is None or began < tried) and now - tried > limit:
        return CheckResult(
            "last batch", f"the run of {_format_utc(tried)} wrote no row to batch_runs: {remedy}", wrong=True
        )
    if facts.run is None:
        return CheckResult("last batch", "no run has ended yet")
    summary = _format_run(facts.run)
    if facts.run.status == FAILED:
        return CheckResult("last batch", f"{summary} ({facts.run.message}): {remedy}", wrong=True)
    if now - facts.run.started > _batch_interval(settings, now) + limit + BATCH_DAYS:
        return CheckResult("last batch", f"{summary}, and none since: {remedy}", wrong=True)
    return CheckResult("last batch", summary)


def _batch_interval(settings: Settings, now: datetime) -> timedelta:
    fires = CronSim(settings.schedule.batch, now)
    first = next(fires)
    return next(fires) - first


def _format_run(run: Run) -> str:
    days = run.first_day if run.first_day == run.last_day else f"{run.first_day} to {run.last_day}"
    return f"{run.status.replace('_', ' ')}, {_format_utc(run.started)}: {days}, {run.rows:,} rows"


def _count_minutes(lag: timedelta) -> int:
    """Return whole minutes, at least 0: the other host's clock may be ahead."""
    return max(0, int(lag.total_seconds() // 60))


def _format_utc(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
