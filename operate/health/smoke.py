"""Whether what a deployed system tells of itself is well: facts in, sentences out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cronsim import CronSim

from cdk.settings import Settings
from operate.health.observation import DEAD_LETTERS, ROW_DAYS, Facts, Job, Landing, Run, Unanswered
from operate.jobs import ENABLED, PAUSED
from operate.target import Target

FAILED = "failed"
SWEEPS = 2  # what landed may wait for so many sweeps, and for the minutes that are no alert
BATCH_DAYS = timedelta(days=1)
GOAL = 0.99  # of the minutes of a day; cdk/operations/service_level.py has the same for the alert
# Into one table, failed ones included: https://cloud.google.com/bigquery/quotas#load_jobs
LOAD_JOBS_A_DAY = 1_500
LOAD_JOBS_WARNING = 0.98  # a tick each minute takes 0.96


@dataclass(frozen=True)
class Line:
    """What was looked at, and what was found there; where it is wrong, what to do."""

    what: str
    found: str
    wrong: bool = False

    def __str__(self) -> str:
        return f"{'WRONG' if self.wrong else 'ok':5}  {self.what:12}  {self.found}"


def judge(facts: Facts, settings: Settings, target: Target, now: datetime) -> list[Line]:
    """Return a line for each thing that was asked."""
    return [
        _objects(facts, settings, target, now),
        *_address(facts, settings, target),
        _archive(facts, settings, target, now),
        _rows(facts, settings, target, now),
        _minutes_present(facts, target),
        _load_jobs(facts, settings, target),
        _dead_letters(facts, target),
        *_jobs(facts, target, now),
        _batch(facts, settings, target, now),
    ]


def _objects(facts: Facts, settings: Settings, target: Target, now: datetime) -> Line:
    """The newest object may have been archived already."""
    if isinstance(facts.landing, Unanswered):
        return Line("objects", facts.landing.why, wrong=True)
    archived = None if isinstance(facts.archived, Unanswered) else facts.archived
    ticks = [tick for tick in (facts.landing.newest, archived) if tick]
    return _newest("objects", max(ticks, default=None), settings, now=now, remedy=_look(facts, target))


def _address(facts: Facts, settings: Settings, target: Target) -> Iterator[Line]:
    """Only where the API redirects for good: requests still arrive, until somebody ends that."""
    if isinstance(facts.landing, Landing) and (address := facts.landing.moved_to):
        remedy = f"change url in sources/{settings.feed}, then {target.make('deploy')}"
        yield Line("address", f"the API has moved to {address}: {remedy}", wrong=True)


def _rows(facts: Facts, settings: Settings, target: Target, now: datetime) -> Line:
    if isinstance(facts.row, Unanswered):
        return Line("rows", facts.row.why, wrong=True)
    return _newest("rows", facts.row, settings, now=now, remedy=_look(facts, target))


def _minutes_present(facts: Facts, target: Target) -> Line:
    found = facts.minutes
    if isinstance(found, Unanswered):
        return Line("minutes", found.why, wrong=True)
    if not found.expected:
        return Line("minutes", f"none expected on {found.day}: collecting began after it")
    told = f"{found.present:,} of {found.expected:,} on {found.day}"
    if found.present >= GOAL * found.expected:
        return Line("minutes", told)
    remedy = f"the view minutes_present has every day, and {target.make('logs', 'collect')} says why some are missing"
    return Line("minutes", f"{told}, at least {GOAL:.0%} are well: {remedy}", wrong=True)


def _load_jobs(facts: Facts, settings: Settings, target: Target) -> Line:
    """Of the tables that the collector loads into; the batch's staging tables are others each night."""
    found = facts.load_jobs
    if isinstance(found, Unanswered):
        return Line("load jobs", found.why, wrong=True)
    tables = (settings.feed, "quarantine", *(("station_status", "polls") if settings.gbfs else ()))
    used = {table: found.get(table, 0) for table in tables}
    told = ", ".join(f"{count:,} into {table}" for table, count in used.items())
    told = f"{told} in 24 hours, of {LOAD_JOBS_A_DAY:,} each"
    if max(used.values()) < LOAD_JOBS_WARNING * LOAD_JOBS_A_DAY:
        return Line("load jobs", told)
    remedy = f"{target.make('logs', 'collect')} shows load_job_failed; failed jobs count too"
    return Line("load jobs", f"{told}, soon used up: {remedy}", wrong=True)


def _newest(what: str, newest: datetime | None, settings: Settings, *, now: datetime, remedy: str) -> Line:
    if newest is None:
        return Line(what, f"none of the last {ROW_DAYS} days: {remedy}", wrong=True)
    lag = _minutes(now - newest)
    told = f"newest of {_utc(newest)}, {lag} min ago"
    if lag >= settings.alerts.silent_minutes:
        return Line(what, f"{told}, at most {settings.alerts.silent_minutes} are well: {remedy}", wrong=True)
    return Line(what, told)


def _look(facts: Facts, target: Target) -> str:
    collect = facts.jobs.get("collect")
    if isinstance(collect, Job) and collect.state == PAUSED:
        return f"collect is paused: run {target.make('resume', 'collect')}"
    return f"run {target.make('run', 'collect')}, then {target.make('logs', 'collect')} says why"


def _archive(facts: Facts, settings: Settings, target: Target, now: datetime) -> Line:
    if isinstance(facts.archived, Unanswered):
        return Line("archive", facts.archived.why, wrong=True)
    told = f"newest of {_utc(facts.archived)}" if facts.archived else "nothing yet"
    oldest = None if isinstance(facts.landing, Unanswered) else facts.landing.oldest
    if oldest is None:
        return Line("archive", f"{told}; nothing waits")
    waits, allowed = _minutes(now - oldest), _patience(settings, now)
    told = f"{told}; the oldest to be moved waits for {waits} min"
    if waits <= allowed:
        return Line("archive", told)
    remedy = f"run {target.make('run', 'copy')}, then {target.make('logs', 'copy')} says why"
    return Line("archive", f"{told}, at most {allowed} are well: {remedy}", wrong=True)


def _patience(settings: Settings, now: datetime) -> int:
    """Minutes for which what landed may wait."""
    fires = CronSim(settings.schedule.copy, now)
    first = next(fires)
    return SWEEPS * _minutes(next(fires) - first) + settings.alerts.silent_minutes


def _dead_letters(facts: Facts, target: Target) -> Line:
    found = facts.dead_letters
    if isinstance(found, Unanswered):
        return Line("dead letters", found.why, wrong=True)
    if found is None:
        return Line("dead letters", "Monitoring tells of none")
    if found == 0:
        return Line("dead letters", "none")
    return Line(
        "dead letters",
        f"{found} wait in {DEAD_LETTERS}: {target.make('logs', 'collect')} says why; once it is mended, "
        "publish them to the topic collect again",
        wrong=True,
    )


def _jobs(facts: Facts, target: Target, now: datetime) -> Iterator[Line]:
    for name, job in facts.jobs.items():
        what = f"job {name}"
        if isinstance(job, Unanswered):
            yield Line(what, job.why, wrong=True)
            continue
        tried = f"last tried {_minutes(now - job.attempted)} min ago" if job.attempted else "not tried yet"
        told = f"{job.state.lower()}, {tried}"
        if job.state == PAUSED:
            yield Line(what, f"{told}: run {target.make('resume', name)}", wrong=True)
        elif job.state != ENABLED:
            yield Line(what, f"{told}: run {target.make('deploy')} again", wrong=True)
        elif job.code:
            yield Line(
                what, f"{told}, with code {job.code}: {target.make('logs', name)} says why", wrong=True
            )
        else:
            yield Line(what, told)


def _batch(facts: Facts, settings: Settings, target: Target, now: datetime) -> Line:
    if isinstance(facts.run, Unanswered):
        return Line("last batch", facts.run.why, wrong=True)
    job = facts.jobs.get("batch")
    tried = job.attempted if isinstance(job, Job) else None
    began = facts.run.started if facts.run else None
    limit = timedelta(minutes=settings.batch.timeout_minutes)
    remedy = f"{target.make('logs', 'batch')} says why, {target.make('run', 'batch')} tries again"
    if tried and (began is None or began < tried) and now - tried > limit:
        return Line("last batch", f"the one of {_utc(tried)} left no row in batch_runs: {remedy}", wrong=True)
    if facts.run is None:
        return Line("last batch", "none has ended yet")
    told = _told(facts.run)
    if facts.run.status == FAILED:
        return Line("last batch", f"{told} ({facts.run.message}): {remedy}", wrong=True)
    if now - facts.run.started > _between(settings, now) + limit + BATCH_DAYS:
        return Line("last batch", f"{told}, and none since: {remedy}", wrong=True)
    return Line("last batch", told)


def _between(settings: Settings, now: datetime) -> timedelta:
    fires = CronSim(settings.schedule.batch, now)
    first = next(fires)
    return next(fires) - first


def _told(run: Run) -> str:
    days = run.first_day if run.first_day == run.last_day else f"{run.first_day} to {run.last_day}"
    return f"{run.status.replace('_', ' ')}, {_utc(run.started)}: {days}, {run.rows:,} rows"


def _minutes(lag: timedelta) -> int:
    """Whole minutes, none below 0: a machine's clock may be ahead of ours."""
    return max(0, int(lag.total_seconds() // 60))


def _utc(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
