"""Check which GBFS systems are silent, late or broken, and since when, from the newest rows of the tables."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cdk.settings import Settings
from operate.cloud import ApiError, Cloud
from operate.health.observation import ROW_DAYS, Unavailable, parse_time, query_rows
from operate.health.smoke import CheckResult
from operate.target import Target, explain_error

LATE_AFTER = timedelta(hours=1)  # a status may be five minutes old by the standard
MOST_NAMED = 8  # systems in a line
WRONG_SHARE = 0.25  # of the systems: at any time some of the public ones are out of order
JOB = "gbfs-collect"


@dataclass(frozen=True)
class Polled:
    """The outcome of the newest requests of a system's station_status."""

    newest: datetime  # tick of the newest request
    last_success: datetime | None  # of the newest one that did not fail
    last_updated: datetime | None  # what the newest file says of its age
    error: str | None  # of the newest request
    ttl: timedelta = timedelta(0)  # the longest: it may not be requested more often


@dataclass(frozen=True)
class Known:
    """The newest row of `systems`: since when it is valid, and why there is nothing to request."""

    since: datetime
    error: str | None
    has_status: bool


@dataclass(frozen=True)
class GbfsFacts:
    """Observations of GBFS systems, by system_id."""

    polled: Mapping[str, Polled]
    known: Mapping[str, Known]


def observe_gbfs(cloud: Cloud, settings: Settings, target: Target, now: datetime) -> GbfsFacts | Unavailable:
    """Query the newest requests of two days and the newest rows of the systems. Raises CredentialsError."""
    try:
        polled = query_rows(cloud, settings, build_polls_query(settings.dataset, now))
        known = query_rows(cloud, settings, build_systems_query(settings.dataset))
    except ApiError as error:
        return Unavailable(explain_error(error, target))
    return GbfsFacts(
        {
            system_id: Polled(
                parse_time(newest),
                _parse_optional_time(last_success),
                _parse_optional_time(updated),
                error or None,
                timedelta(seconds=int(ttl)),
            )
            for system_id, newest, last_success, updated, ttl, error in polled
        },
        {
            system_id: Known(parse_time(valid_from), error or None, int(files) > 0)
            for system_id, valid_from, error, files in known
        },
    )


def build_polls_query(dataset: str, now: datetime) -> str:
    """Return the query for the outcome of each system's newest requests; it reads three partitions."""
    since = (now - timedelta(days=ROW_DAYS)).strftime("%Y-%m-%d %H:%M:%S+00")
    return (
        "SELECT system_id, UNIX_SECONDS(MAX(collected_at)), "  # noqa: S608 - ours
        "UNIX_SECONDS(MAX(IF(outcome = 'failed', NULL, collected_at))), UNIX_SECONDS(MAX(last_updated)), "
        f"COALESCE(MAX(ttl_seconds), 0), MAX_BY(COALESCE(error, ''), collected_at) FROM `{dataset}.polls` "
        f"WHERE collected_at >= TIMESTAMP '{since}' AND file = 'station_status' GROUP BY system_id"
    )


def build_systems_query(dataset: str) -> str:
    """Return the query for the newest row of each system, and whether it publishes station_status."""
    return (
        "SELECT system_id, UNIX_SECONDS(valid_from), COALESCE(error, ''), "  # noqa: S608 - ours
        "(SELECT COUNT(*) FROM UNNEST(files) AS file WHERE file.name = 'station_status') "
        f"FROM `{dataset}.systems` WHERE TRUE QUALIFY ROW_NUMBER() OVER "
        "(PARTITION BY system_id ORDER BY valid_from DESC) = 1"
    )


def judge_gbfs(
    facts: GbfsFacts | Unavailable, settings: Settings, target: Target, now: datetime
) -> Iterator[CheckResult]:
    """Yield a result for the ticks, one for all systems and one per kind of failure; none without [gbfs]."""
    if settings.gbfs is None:
        return
    if isinstance(facts, Unavailable):
        yield CheckResult("GBFS", facts.reason, wrong=True)
        return
    yield _judge_ticks(facts, settings, target, now)
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
            silent[system_id] = _explain_silence(facts.known.get(system_id))
        elif polled.last_success is None:
            broken[system_id] = f"for {ROW_DAYS} days or more{_format_error(polled.error)}"
        elif now - polled.last_success > patience:
            broken[system_id] = f"since {_format_utc(polled.last_success)}{_format_error(polled.error)}"
        elif polled.last_updated is not None and now - polled.last_updated > LATE_AFTER + patience:
            late[system_id] = f"since {_format_utc(polled.last_updated)}"
    unwell = {"silent": silent, "broken": broken, "late": late}
    well = len(systems) - sum(map(len, unwell.values()))
    summary = ", ".join(f"{len(found)} {word}" for word, found in unwell.items() if found)
    yield CheckResult(
        "GBFS systems",
        f"{well:,} of {len(systems):,} are healthy" + (f"; {summary}" if summary else ""),
        wrong=len(systems) - well > WRONG_SHARE * len(systems),
    )
    for word, found in unwell.items():
        if found:
            yield CheckResult(
                f"GBFS {word}", _format_systems(found), wrong=len(found) > WRONG_SHARE * len(systems)
            )


def _judge_ticks(facts: GbfsFacts, settings: Settings, target: Target, now: datetime) -> CheckResult:
    newest = max((polled.newest for polled in facts.polled.values()), default=None)
    remedy = f"run {target.format_command('run', JOB)}, then {target.format_command('logs', JOB)} says why"
    if (
        newest is None
        and facts.known
        and all(each.error or not each.has_status for each in facts.known.values())
    ):
        reason = (
            f"nothing to request in {ROW_DAYS} days: no system publishes a station_status that a discovery could "
            "read; the line of silent systems has the reasons"
        )
        return CheckResult("GBFS ticks", reason, wrong=True)
    if newest is None:
        return CheckResult("GBFS ticks", f"none in the last {ROW_DAYS} days: {remedy}", wrong=True)
    lag = max(0, int((now - newest).total_seconds() // 60))
    summary = f"newest of {_format_utc(newest)}, {lag} min ago"
    allowed = settings.alerts.silent_minutes
    if lag < allowed:
        return CheckResult("GBFS ticks", summary)
    return CheckResult("GBFS ticks", f"{summary}, the limit is {allowed}: {remedy}", wrong=True)


def _explain_silence(known: Known | None) -> str:
    if known is None:
        return "not discovered yet"
    if known.error:
        return f"since {_format_utc(known.since)}{_format_error(known.error)}"
    if not known.has_status:
        return f"since {_format_utc(known.since)} (it publishes no station_status)"
    return f"for {ROW_DAYS} days or more (not requested)"


def _format_systems(found: Mapping[str, str]) -> str:
    """Return the first systems by ID, each with its reason."""
    shown: Iterable[str] = [
        f"{system_id} {reason}" for system_id, reason in sorted(found.items())[:MOST_NAMED]
    ]
    more = f", and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return ", ".join(shown) + more


def _format_error(error: str | None) -> str:
    return f" ({error})" if error else ""


def _parse_optional_time(seconds: str | None) -> datetime | None:
    return None if seconds is None else parse_time(seconds)


def _format_utc(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
