"""Which GBFS systems are silent, late or broken, and since when: the tables' newest rows in, sentences out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cdk.settings import Settings
from operate.cloud import Cloud, RefusedError
from operate.health.observation import ROW_DAYS, Unanswered, query_rows, to_time
from operate.health.smoke import Line
from operate.target import Target, why

LATE_AFTER = timedelta(hours=1)  # a status may be five minutes old by the standard
MOST_NAMED = 8  # systems in a line
WRONG_SHARE = 0.25  # of the systems: at any time some of the public ones are out of order
JOB = "gbfs-collect"


@dataclass(frozen=True)
class Polled:
    """What the newest requests of a system's station_status gave."""

    newest: datetime  # tick of the newest request
    answered: datetime | None  # of the newest one that did not fail
    last_updated: datetime | None  # what the newest file says of its age
    error: str | None  # of the newest request
    ttl: timedelta = timedelta(0)  # the longest: it may not be requested more often


@dataclass(frozen=True)
class Known:
    """The newest row of `systems`: since when it holds, and why there is nothing to request."""

    since: datetime
    error: str | None
    has_status: bool


@dataclass(frozen=True)
class GbfsFacts:
    """By system_id."""

    polled: Mapping[str, Polled]
    known: Mapping[str, Known]


def observe_gbfs(cloud: Cloud, settings: Settings, target: Target, now: datetime) -> GbfsFacts | Unanswered:
    """Query the newest requests of two days, and what is known of the systems. Raises CredentialsError."""
    try:
        polled = query_rows(cloud, settings, polls_sql(settings.dataset, now))
        known = query_rows(cloud, settings, systems_sql(settings.dataset))
    except RefusedError as error:
        return Unanswered(why(error, target))
    return GbfsFacts(
        {
            system_id: Polled(
                to_time(newest), _time(answered), _time(updated), error or None, timedelta(seconds=int(ttl))
            )
            for system_id, newest, answered, updated, ttl, error in polled
        },
        {
            system_id: Known(to_time(valid_from), error or None, int(files) > 0)
            for system_id, valid_from, error, files in known
        },
    )


def polls_sql(dataset: str, now: datetime) -> str:
    """Return the query of what the newest requests gave, by system; it reads three partitions."""
    since = (now - timedelta(days=ROW_DAYS)).strftime("%Y-%m-%d %H:%M:%S+00")
    return (
        "SELECT system_id, UNIX_SECONDS(MAX(collected_at)), "  # noqa: S608 - ours
        "UNIX_SECONDS(MAX(IF(outcome = 'failed', NULL, collected_at))), UNIX_SECONDS(MAX(last_updated)), "
        f"COALESCE(MAX(ttl_seconds), 0), MAX_BY(COALESCE(error, ''), collected_at) FROM `{dataset}.polls` "
        f"WHERE collected_at >= TIMESTAMP '{since}' AND file = 'station_status' GROUP BY system_id"
    )


def systems_sql(dataset: str) -> str:
    """Return the query of the newest row of each system, and whether it publishes station_status."""
    return (
        "SELECT system_id, UNIX_SECONDS(valid_from), COALESCE(error, ''), "  # noqa: S608 - ours
        "(SELECT COUNT(*) FROM UNNEST(files) AS file WHERE file.name = 'station_status') "
        f"FROM `{dataset}.systems` WHERE TRUE QUALIFY ROW_NUMBER() OVER "
        "(PARTITION BY system_id ORDER BY valid_from DESC) = 1"
    )


def judge_gbfs(
    facts: GbfsFacts | Unanswered, settings: Settings, target: Target, now: datetime
) -> Iterator[Line]:
    """Yield a line for the ticks, and one for each way in which systems are not well; none without [gbfs]."""
    if settings.gbfs is None:
        return
    if isinstance(facts, Unanswered):
        yield Line("GBFS", facts.why, wrong=True)
        return
    yield _ticks(facts, settings, target, now)
    systems = {system.system_id: system for system in settings.gbfs_systems}
    silent, broken, late = {}, {}, {}
    for system_id, system in systems.items():
        polled = facts.polled.get(system_id)
        patience = max(
            timedelta(minutes=settings.alerts.silent_minutes),
            timedelta(minutes=2 * system.interval_minutes),
            2 * polled.ttl if polled else timedelta(0),
        )
        if polled is None:
            silent[system_id] = _why_silent(facts.known.get(system_id))
        elif polled.answered is None:
            broken[system_id] = f"for {ROW_DAYS} days or more{_of(polled.error)}"
        elif now - polled.answered > patience:
            broken[system_id] = f"since {_utc(polled.answered)}{_of(polled.error)}"
        elif polled.last_updated is not None and now - polled.last_updated > LATE_AFTER + patience:
            late[system_id] = f"since {_utc(polled.last_updated)}"
    unwell = {"silent": silent, "broken": broken, "late": late}
    well = len(systems) - sum(map(len, unwell.values()))
    told = ", ".join(f"{len(found)} {word}" for word, found in unwell.items() if found)
    yield Line(
        "GBFS systems",
        f"{well:,} of {len(systems):,} are well" + (f"; {told}" if told else ""),
        wrong=len(systems) - well > WRONG_SHARE * len(systems),
    )
    for word, found in unwell.items():
        if found:
            yield Line(f"GBFS {word}", _named(found), wrong=len(found) > WRONG_SHARE * len(systems))


def _ticks(facts: GbfsFacts, settings: Settings, target: Target, now: datetime) -> Line:
    newest = max((polled.newest for polled in facts.polled.values()), default=None)
    remedy = f"run {target.make('run', JOB)}, then {target.make('logs', JOB)} says why"
    if newest is None:
        return Line("GBFS ticks", f"none of the last {ROW_DAYS} days: {remedy}", wrong=True)
    lag = max(0, int((now - newest).total_seconds() // 60))
    told = f"newest of {_utc(newest)}, {lag} min ago"
    allowed = settings.alerts.silent_minutes
    if lag < allowed:
        return Line("GBFS ticks", told)
    return Line("GBFS ticks", f"{told}, at most {allowed} are well: {remedy}", wrong=True)


def _why_silent(known: Known | None) -> str:
    if known is None:
        return "not discovered yet"
    if known.error:
        return f"since {_utc(known.since)}{_of(known.error)}"
    if not known.has_status:
        return f"since {_utc(known.since)} (it publishes no station_status)"
    return f"for {ROW_DAYS} days or more (not requested)"


def _named(found: Mapping[str, str]) -> str:
    """Name the first systems, by their id."""
    shown: Iterable[str] = [f"{system_id} {why}" for system_id, why in sorted(found.items())[:MOST_NAMED]]
    more = f", and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return ", ".join(shown) + more


def _of(error: str | None) -> str:
    return f" ({error})" if error else ""


def _time(seconds: str | None) -> datetime | None:
    return None if seconds is None else to_time(seconds)


def _utc(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
