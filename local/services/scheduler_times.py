"""The times of a Cloud Scheduler job: its cron, and the delay before a retry."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from local.environment.clock import parse_duration
from local.environment.resources import Json
from local.errors import LocalError

DEFAULT_RETRY_CONFIG = {
    "retryCount": 0,
    "maxRetryDuration": "0s",
    "minBackoffDuration": "5s",
    "maxBackoffDuration": "3600s",
    "maxDoublings": 5,
}


def short_name(job: Json) -> str:
    """Return a job's name without its project and location."""
    return str(job["name"]).rpartition("/")[2]


def cron_times_after(job: Json, start: datetime) -> Callable[[], datetime]:
    """Return a function that returns, call after call, the next time (UTC) at which a job is due.

    Raises LocalError where the schedule is not unix-cron or the time zone is unknown.
    """
    schedule, zone = job["schedule"], job.get("timeZone", "Etc/UTC")
    try:
        times = CronSim(schedule, start.astimezone(ZoneInfo(zone)))
    except (CronSimError, ZoneInfoNotFoundError, ValueError) as error:
        raise LocalError(
            f"scheduler job {short_name(job)}: schedule {schedule!r} in time zone {zone!r} is invalid "
            f"({type(error).__name__}): expected five fields of unix-cron and an IANA time zone"
        ) from error
    return lambda: next(times).astimezone(UTC)


def compute_backoff_seconds(job: Json, attempt: int, elapsed_s: float) -> float | None:
    """Return the seconds until the next attempt, or None where there is none.

    The wait doubles `maxDoublings` times, then grows linearly, up to the maximum:
    https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#retryconfig
    """
    policy = DEFAULT_RETRY_CONFIG | job.get("retryConfig", {})
    max_retry_duration_s = parse_duration(policy["maxRetryDuration"])
    count = int(policy["retryCount"])
    if attempt > count and not (max_retry_duration_s and count == 0):
        return None
    if max_retry_duration_s and elapsed_s >= max_retry_duration_s:
        return None
    doublings = int(policy["maxDoublings"])
    least = parse_duration(policy["minBackoffDuration"])
    wait = least * 2.0 ** min(attempt - 1, doublings)
    wait += max(0, attempt - 1 - doublings) * least * 2.0**doublings
    return min(wait, parse_duration(policy["maxBackoffDuration"]))
