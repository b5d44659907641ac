"""Start, pause and resume the jobs of Cloud Scheduler.

https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs
"""

from typing import Any

from cdk.settings import Settings
from operate.cloud import ApiError, Cloud
from operate.errors import OperateError
from operate.target import NOT_FOUND, Target, explain_error

JOBS = ("collect", "copy", "batch")
GBFS_JOBS = ("gbfs-collect", "gbfs-discover")  # of an environment with [gbfs]
ENABLED, PAUSED = "ENABLED", "PAUSED"
STATE_AFTER = {"pause": PAUSED, "resume": ENABLED}


def describe_missing_gbfs(settings: Settings, target: Target, job: str) -> str | None:
    """Return why an environment without [gbfs] does not have this job, and what to do; None of any other job."""
    if job not in GBFS_JOBS or settings.gbfs is not None:
        return None
    return (
        f"environments/{settings.environment}.toml has no [gbfs] section: add one (docs/gbfs.md has an example), then "
        f"run {target.format_command('deploy')}"
    )


def list_jobs(settings: Settings) -> tuple[str, ...]:
    """Return the names of an environment's jobs."""
    return JOBS if settings.gbfs is None else (*JOBS, *GBFS_JOBS)


def format_job_url(cloud: Cloud, settings: Settings, job: str) -> str:
    """Return the URL of a job, by its name in an environment that has its project to itself."""
    return (
        f"{cloud.endpoints.cloud_scheduler}projects/{settings.project}/locations/{settings.region}/jobs/"
        f"{settings.name(job)}"
    )


def start_job(cloud: Cloud, settings: Settings, target: Target, job: str) -> str:
    """Start a job now, paused or not; return what was done. Raises OperateError."""
    _call_scheduler(cloud, settings, target, job, "run")
    return f"{job} is started: {target.format_command('logs', job)} shows what comes of it"


def set_job_state(cloud: Cloud, settings: Settings, target: Target, verb: str, job: str) -> str:
    """Pause or resume a job; return what was done. Raises OperateError.

    Cloud Scheduler refuses to pause a paused job and to resume an enabled one, so the state is read first.
    """
    wanted = STATE_AFTER[verb]
    state = _call_scheduler(cloud, settings, target, job).get("state", ENABLED)
    if state == wanted:
        return f"{job} is {wanted.lower()} already"
    _call_scheduler(cloud, settings, target, job, verb)
    again = f"; {target.format_command('resume', job)} lets it fire again" if wanted == PAUSED else ""
    return f"{job} is {wanted.lower()}{again}"


def _call_scheduler(
    cloud: Cloud, settings: Settings, target: Target, job: str, verb: str = ""
) -> dict[str, Any]:
    """Call a custom method of a job, or get the job without a verb. Raises OperateError."""
    url = format_job_url(cloud, settings, job)
    try:
        return cloud.call("POST", f"{url}:{verb}", json={}) if verb else cloud.call("GET", url)
    except ApiError as error:
        missing = describe_missing_gbfs(settings, target, job) if error.status == NOT_FOUND else None
        raise OperateError(f"the job {job}: {missing or explain_error(error, target)}") from None
