"""Observe a deployed system: objects, rows, minutes, dead letters, jobs, the last batch run."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cdk.settings import Settings
from feed import archive_prefix, parse_object_name, select_minutes
from operate.cloud import ApiError, Cloud, CredentialsError, iterate_pages
from operate.jobs import format_job_url, list_jobs
from operate.target import Target, explain_error

DEAD_LETTERS = "collect-dead"
UNDELIVERED = "pubsub.googleapis.com/subscription/num_undelivered_messages"
METRIC_WINDOW = timedelta(minutes=15)  # Monitoring shows a point up to some minutes late
ROW_DAYS = 2
MINUTES_PER_DAY = 1_440
QUERY_MILLISECONDS = 20_000  # less than a request may last


@dataclass(frozen=True)
class Unavailable:
    """An observation that failed: why, and what to do next."""

    reason: str


@dataclass(frozen=True)
class Landing:
    """Ticks in the landing bucket: the oldest one that is not archived yet, and the newest of all.

    Archived objects are retained there too, as long as their messages can be redelivered.
    """

    oldest: datetime | None = None
    newest: datetime | None = None
    # Of the newest response: the address that the API redirects to permanently, and a GBFS version unlike the sample's.
    moved_to: str | None = None
    gbfs_version: str | None = None


@dataclass(frozen=True)
class Job:
    """A Cloud Scheduler job: its state, its last attempt and the status code of that (0 is OK)."""

    state: str
    attempted: datetime | None = None
    code: int = 0


@dataclass(frozen=True)
class Run:
    """The last row of batch_runs."""

    started: datetime
    first_day: str
    last_day: str
    status: str
    message: str
    rows: int


@dataclass(frozen=True)
class Minutes:
    """Minutes of yesterday (UTC) with rows or a valid response without records, and how many are expected."""

    day: date
    present: int
    expected: int  # 1,440, or fewer where collecting began yesterday; 0 where it began today


@dataclass(frozen=True)
class Facts:
    """The observations of an environment; None means that there is nothing, Unavailable that a request failed."""

    landing: Landing | Unavailable
    archived: datetime | Unavailable | None
    row: datetime | Unavailable | None
    dead_letters: int | Unavailable | None  # None: Monitoring has no point
    jobs: dict[str, Job | Unavailable]
    run: Run | Unavailable | None
    minutes: Minutes | Unavailable
    load_jobs: dict[str, int] | Unavailable  # of the last 24 hours, by table


def observe_environment(cloud: Cloud, settings: Settings, target: Target, now: datetime) -> Facts:
    """Observe the environment at `now`. Raises CredentialsError."""

    def try_query[T](query: Callable[..., T], *more: Any) -> T | Unavailable:
        try:
            return query(cloud, settings, *more)
        except CredentialsError:
            raise
        except ApiError as error:
            return Unavailable(explain_error(error, target))

    archived = try_query(_list_archived_ticks, now)
    known = frozenset[datetime]() if isinstance(archived, Unavailable) else archived
    return Facts(
        landing=try_query(_observe_landing, known),
        archived=archived if isinstance(archived, Unavailable) else max(archived, default=None),
        row=try_query(_query_newest_row, now),
        dead_letters=try_query(_count_dead_letters, now),
        jobs={job: try_query(_fetch_job, job) for job in list_jobs(settings)},
        run=try_query(_query_last_run),
        minutes=try_query(_query_minutes, now),
        load_jobs=try_query(_count_load_jobs, now),
    )


def _observe_landing(cloud: Cloud, settings: Settings, archived: frozenset[datetime]) -> Landing:
    landed = _list_ticks(cloud, settings.bucket("landing"), f"{settings.feed}/")
    if not landed:
        return Landing()
    newest = max(landed)
    metadata = landed[newest]
    oldest = min(landed.keys() - archived, default=None)
    return Landing(oldest, newest, metadata.get("moved_to"), metadata.get("gbfs_version"))


def _list_archived_ticks(cloud: Cloud, settings: Settings, now: datetime) -> frozenset[datetime]:
    """Return the archived ticks of yesterday and today (UTC)."""
    days = (now.date() - timedelta(days=1), now.date())
    bucket = settings.bucket("archive")
    return frozenset(
        tick for day in days for tick in _list_ticks(cloud, bucket, archive_prefix(settings.feed, day))
    )


def _list_ticks(cloud: Cloud, bucket: str, prefix: str) -> dict[datetime, dict[str, str]]:
    """Return the ticks of the stored responses, each with what the collector has noted about its API."""
    url = f"{cloud.endpoints.storage}b/{bucket}/o"
    found: dict[datetime, dict[str, str]] = {}
    fields = "items(name,metadata/moved_to,metadata/gbfs_version),nextPageToken"
    for item in iterate_pages(cloud, url, "items", prefix=prefix, fields=fields):
        with suppress(ValueError):  # not an object of the collector
            found[parse_object_name(item["name"])[1]] = item.get("metadata") or {}
    return found


def _query_newest_row(cloud: Cloud, settings: Settings, now: datetime) -> datetime | None:
    since = (now - timedelta(days=ROW_DAYS)).strftime("%Y-%m-%d %H:%M:%S+00")
    [row] = query_rows(
        cloud,
        settings,
        f"SELECT UNIX_SECONDS(MAX(collected_at)) FROM ({_select_minutes(settings)}) AS minutes "  # noqa: S608 - ours
        f"WHERE collected_at >= TIMESTAMP '{since}'",
    )
    return None if row[0] is None else parse_time(row[0])


def _select_minutes(settings: Settings) -> str:
    """A valid response without records, as at night, is no gap."""
    return select_minutes(settings.feed, settings.dataset)


def _query_minutes(cloud: Cloud, settings: Settings, now: datetime) -> Minutes:
    day = now.date() - timedelta(days=1)
    [[present, first]] = query_rows(
        cloud,
        settings,
        f"SELECT COUNT(DISTINCT IF(DATE(collected_at) = DATE '{day}', collected_at, NULL)), "  # noqa: S608 - ours
        f"UNIX_SECONDS(MIN(collected_at)) FROM ({_select_minutes(settings)}) AS minutes "
        f"WHERE collected_at >= TIMESTAMP '{day - timedelta(days=1)} 00:00:00+00'",
    )
    midnight = datetime.combine(day, time(), UTC)
    missed = MINUTES_PER_DAY if first is None else (parse_time(first) - midnight) // timedelta(minutes=1)
    expected = MINUTES_PER_DAY - min(max(missed, 0), MINUTES_PER_DAY)
    return Minutes(day, int(present), expected)


def _count_load_jobs(cloud: Cloud, settings: Settings, now: datetime) -> dict[str, int]:
    """Return the number of load jobs by table, of all users; failed jobs count against the quota too."""
    since = int((now - timedelta(days=1)).timestamp() * 1000)
    jobs = iterate_pages(
        cloud,
        f"{cloud.endpoints.big_query}projects/{settings.project}/jobs",
        "jobs",
        allUsers="true",
        projection="full",
        minCreationTime=str(since),
        maxResults="1000",
        fields="nextPageToken,jobs(configuration/load/destinationTable)",
    )
    dataset = settings.dataset.rpartition(".")[2]
    tables = (job.get("configuration", {}).get("load", {}).get("destinationTable", {}) for job in jobs)
    return dict(Counter(table["tableId"] for table in tables if table.get("datasetId") == dataset))


def _query_last_run(cloud: Cloud, settings: Settings) -> Run | None:
    rows = query_rows(
        cloud,
        settings,
        "SELECT UNIX_SECONDS(started_at), CAST(first_day AS STRING), CAST(last_day AS STRING), status, "  # noqa: S608
        f"message, rows_loaded FROM `{settings.dataset}.batch_runs` ORDER BY started_at DESC LIMIT 1",
    )
    if not rows:
        return None
    [[started, first, last, status, message, loaded]] = rows
    return Run(parse_time(started), first, last, status, message or "", int(loaded or 0))


def query_rows(cloud: Cloud, settings: Settings, sql: str) -> list[list[Any]]:
    """Run a query and return its rows of texts and None, as the REST API has them. Raises ApiError."""
    response = cloud.call(
        "POST",
        f"{cloud.endpoints.big_query}projects/{settings.project}/queries",
        json={
            "query": sql,
            "useLegacySql": False,
            "location": settings.region,
            "timeoutMs": QUERY_MILLISECONDS,
        },
    )
    if not response.get("jobComplete", False):
        raise ApiError(0, "", f"the query is not done after {QUERY_MILLISECONDS // 1000} s")
    return [[cell.get("v") for cell in row["f"]] for row in response.get("rows", [])]


def _count_dead_letters(cloud: Cloud, settings: Settings, now: datetime) -> int | None:
    """Return the undelivered messages from Monitoring's newest point: a pull would lease them."""
    dead_letters = settings.name(DEAD_LETTERS)
    subscription = f"projects/{settings.project}/subscriptions/{dead_letters}"
    cloud.call("GET", f"{cloud.endpoints.pubsub}{subscription}")  # of one that is gone there are points still
    try_query = {
        "filter": f'metric.type="{UNDELIVERED}" AND resource.labels.subscription_id="{dead_letters}"',
        "interval.startTime": (now - METRIC_WINDOW).isoformat(),
        "interval.endTime": now.isoformat(),
    }
    url = f"{cloud.endpoints.monitoring}v3/projects/{settings.project}/timeSeries"
    for series in iterate_pages(cloud, url, "timeSeries", **try_query):
        if points := series.get("points"):
            return int(points[0]["value"]["int64Value"])  # the newest comes first
    return None


def _fetch_job(cloud: Cloud, settings: Settings, job: str) -> Job:
    found = cloud.call("GET", format_job_url(cloud, settings, job))
    attempted = found.get("lastAttemptTime")
    return Job(
        str(found.get("state", "ENABLED")),
        datetime.fromisoformat(attempted) if attempted else None,
        int(found.get("status", {}).get("code", 0)),
    )


def parse_time(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(float(seconds)), UTC)
