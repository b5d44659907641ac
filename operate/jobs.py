"""Start, pause and resume the jobs of Cloud Scheduler.

https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs
"""

from typing import Any

from cdk.settings import Settings
from operate.cloud import ApiError, Cloud
from operate.errors import OperateError
from operate.target import Target, explain_error

JOBS = ("collect", "copy", "batch")
GBFS_JOBS = ("gbfs-collect", "gbfs-discover")  # of an environment with [gbfs]
ENABLED, PAUSED = "ENABLED", "PAUSED"
STATE_AFTER = {"pause": PAUSED, "resume": ENABLED}


def list_jobs(settings: Settings) -> tuple[str, ...]:
    """Return the names of an environment's jobs."""
    return JOBS if settings.gbfs is None else (*JOBS, *GBFS_JOBS)


def format_job_url(cloud: Cloud, settings: Settings, job: str) -> str:
    """Return the URL of a job."""
    return (
        f"{cloud.endpoints.cloud_scheduler}projects/{settings.project}/locations/{settings.region}/jobs/{job}"
    )


def start_job(cloud: Cloud, settings: Settings, target: Target, job: str) -> str:
    """Start a job now, paused or not; return what was done. Raises OperateError."""
    _call_scheduler(cloud, "POST", f"{format_job_url(cloud, settings, job)}:run", job, target)
    return f"{job} is started: {target.format_command('logs', job)} shows what comes of it"


def set_job_state(cloud: Cloud, settings: Settings, target: Target, verb: str, job: str) -> str:
    """Pause or resume a job; return what was done. Raises OperateError.

    Cloud Scheduler refuses to pause a paused job and to resume an enabled one, so the state is read first.
    """
    url, wanted = format_job_url(cloud, settings, job), STATE_AFTER[verb]
    state = _call_scheduler(cloud, "GET", url, job, target).get("state", ENABLED)
    if state == wanted:
        return f"{job} is {wanted.lower()} already"
    _call_scheduler(cloud, "POST", f"{url}:{verb}", job, target)
    again = f"; {target.format_command('resume', job)} lets it fire again" if wanted == PAUSED else ""
    return f"{job} is {wanted.lower()}{again}"


def _call_scheduler(cloud: Cloud, method: str, url: str, job: str, target: Target) -> dict[str, Any]:
    try:
        return cloud.call(method, url, **({"json": {}} if method == "POST" else {}))
    except ApiError as error:
        raise OperateError(f"the job {job}: {explain_error(error, target)}") from None
