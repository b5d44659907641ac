"""Check the rows of the last hour: how fresh they are, whether they change, which columns are empty."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from cdk.settings import Settings
from feed import Common, Condition, Feed, format_newest_report_sql
from feed.quality.freshness import list_changing_columns
from operate.cloud import ApiError, Cloud
from operate.health.observation import Unavailable, parse_time, query_rows
from operate.health.smoke import CheckResult
from operate.target import Target, explain_error

WINDOW = timedelta(hours=1)
FROZEN_SHARE = 0.9  # of the minutes in which nothing may rest, of which there must be rows to say so
UNUSABLE_RESPONSES = 3  # of an hour: one may be a restart of the API


@dataclass(frozen=True)
class Content:
    """What the tables contain of the last hour."""

    ticks: int  # minutes with rows
    newest_tick: datetime | None = None
    newest_report: datetime | None = None  # of any station; None: none, or the feed has no such column
    lost: tuple[str, ...] = ()  # common columns that no row has a value of
    # Stations of which anything changed, and the minutes in which; None: the feed does not name its stations.
    changed: int | None = None
    minutes: int = 0
    quarantined: Mapping[tuple[str, str], int] = field(default_factory=dict)  # scope and reason → occurrences


def observe_content(
    cloud: Cloud, settings: Settings, feed: Feed, target: Target, now: datetime
) -> Content | Unavailable:
    """Query the last hour. Raises CredentialsError."""
    try:
        return _query_content(cloud, settings, feed, now)
    except ApiError as error:
        return Unavailable(explain_error(error, target))


def _query_content(cloud: Cloud, settings: Settings, feed: Feed, now: datetime) -> Content:
    table, since = f"`{settings.dataset}.{feed.name}`", _format_time_filter(now)
    mapped = map_common_columns(feed)
    counts = "".join(f", COUNT(`{column}`)" for column in mapped.values())
    [[ticks, newest, report, *present]] = query_rows(
        cloud,
        settings,
        "SELECT COUNT(DISTINCT collected_at), UNIX_SECONDS(MAX(collected_at)), "  # noqa: S608 - ours
        f"UNIX_SECONDS({format_newest_report_sql(feed)}){counts} "
        f"FROM {table} WHERE {since}",
    )
    lost = tuple(name for name, count in zip(mapped, present, strict=True) if int(ticks) and not int(count))
    quarantine = query_rows(
        cloud,
        settings,
        f"SELECT scope, reason, SUM(occurrences) FROM `{settings.dataset}.quarantine` "  # noqa: S608 - ours
        f"WHERE feed = '{feed.name}' AND {since} GROUP BY scope, reason ORDER BY scope, reason",
    )
    changed, minutes = _query_changes(cloud, settings, feed, now)
    return Content(
        ticks=int(ticks),
        newest_tick=None if newest is None else parse_time(newest),
        newest_report=None if report is None else parse_time(report),
        lost=lost,
        changed=changed,
        minutes=minutes,
        quarantined={(scope or "response", reason): int(count or 1) for scope, reason, count in quarantine},
    )


def _query_changes(cloud: Cloud, settings: Settings, feed: Feed, now: datetime) -> tuple[int | None, int]:
    """Return how many stations changed, within the minutes of `frozen_minutes`, or within an hour."""
    station, moving = feed.common.station_id, list_changing_columns(feed)
    if station is None or not set(moving) - {station}:
        return None, 0
    window = timedelta(minutes=feed.frozen_minutes) if feed.frozen_minutes else WINDOW
    # NULL counts as a value of its own.
    differs = " OR ".join(
        f"COUNT(DISTINCT `{column}`) + MAX(IF(`{column}` IS NULL, 1, 0)) > 1"
        for column in moving
        if column != station
    )
    [[changed, minutes]] = query_rows(
        cloud,
        settings,
        "SELECT COUNTIF(differs), MAX(minutes) FROM (SELECT COUNT(DISTINCT collected_at) AS minutes, "  # noqa: S608
        f"{differs} AS differs FROM `{settings.dataset}.{feed.name}` "
        f"WHERE {_format_time_filter(now, window)} GROUP BY `{station}`) AS stations",
    )
    return int(changed), int(minutes or 0)


def map_common_columns(feed: Feed) -> dict[str, str]:
    """Return the feed's column of each common name that the feed maps."""
    mapped = {each.name: getattr(feed.common, each.name) for each in fields(Common)}
    return {
        name: value.column if isinstance(value, Condition) else value
        for name, value in mapped.items()
        if value is not None
    }


def judge_content(content: Content | Unavailable, feed: Feed, target: Target) -> Iterator[CheckResult]:
    """Yield a result for each check of the rows' content."""
    if isinstance(content, Unavailable):
        yield CheckResult("content", content.reason, wrong=True)
        return
    if content.ticks:
        yield from _judge_rows(content, feed, target)
    yield _judge_quarantine(content, target)


def _judge_rows(content: Content, feed: Feed, target: Target) -> Iterator[CheckResult]:
    if feed.common.last_reported and feed.stale_minutes:
        yield _judge_freshness(content, feed, target)
    if content.changed is not None:
        summary = f"{content.changed:,} stations changed within {content.minutes} minutes"
        limit = feed.frozen_minutes
        is_frozen = content.changed == 0 and 0 < FROZEN_SHARE * limit <= content.minutes
        remedy = f": the API repeats an old response; {target.format_command('logs', 'collect')} shows what it sends"
        yield CheckResult("changes", summary + (remedy if is_frozen else ""), wrong=is_frozen)
    if content.lost:
        columns = ", ".join(f"{name} ({map_common_columns(feed)[name]})" for name in content.lost)
        remedy = (
            f"the API's fields changed: adapt sources/{feed.name}, then {target.format_command('deploy')}"
        )
        yield CheckResult("columns", f"no value of {columns} in the last hour: {remedy}", wrong=True)
    else:
        yield CheckResult("columns", "every common column has values")


def _judge_freshness(content: Content, feed: Feed, target: Target) -> CheckResult:
    if content.newest_report is None or content.newest_tick is None:
        return CheckResult("freshness", "no station has a value of last_reported", wrong=True)
    minutes = max(0, (content.newest_tick - content.newest_report) // timedelta(minutes=1))
    summary = f"a station reported {minutes:,} min before the newest rows"
    if minutes < feed.stale_minutes:
        return CheckResult("freshness", summary)
    limit = f"the limit is {feed.stale_minutes}: the API repeats an old response"
    return CheckResult(
        "freshness", f"{summary}, {limit}; {target.format_command('logs', 'collect')} shows it", wrong=True
    )


def _judge_quarantine(content: Content, target: Target) -> CheckResult:
    if not content.quarantined:
        return CheckResult("quarantine", "nothing in the last hour")
    summary = ", ".join(
        f"{count:,} {scope}{'s' if count != 1 else ''} ({reason})"
        for (scope, reason), count in content.quarantined.items()
    )
    unusable = sum(count for (scope, _), count in content.quarantined.items() if scope == "response")
    if unusable < UNUSABLE_RESPONSES:
        return CheckResult("quarantine", f"{summary} in the last hour")
    remedy = f"the table quarantine has them, {target.format_command('logs', 'collect')} says more"
    return CheckResult("quarantine", f"{summary} in the last hour: {remedy}", wrong=True)


def _format_time_filter(now: datetime, window: timedelta = WINDOW) -> str:
    return f"collected_at >= TIMESTAMP '{now - window:%Y-%m-%d %H:%M:%S}+00'"
