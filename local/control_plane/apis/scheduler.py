"""Cloud Scheduler: jobs. https://cloud.google.com/scheduler/docs/reference/rest"""

from collections.abc import Iterator

from local.control_plane.resource_types import ResourceType
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiRequest, Route
from local.services.scheduler import ATTEMPT_DEADLINE, Scheduler
from local.services.scheduler_times import DEFAULT_RETRY_CONFIG

ROOT = "/cloudscheduler/v1/"


def _job(environment: LocalEnvironment, wanted: Json, before: Json | None) -> Json:
    retry = {key: value for key, value in (wanted.get("retryConfig") or {}).items() if value is not None}
    complete = wanted | {"timeZone": wanted.get("timeZone") or "Etc/UTC"}
    if retry:  # a default that was not set is not returned, or each plan would remove it
        complete["retryConfig"] = DEFAULT_RETRY_CONFIG | retry
    if "httpTarget" in wanted:
        complete["attemptDeadline"] = wanted.get("attemptDeadline") or ATTEMPT_DEADLINE
    state = {"state": _state(environment, before["name"])} if before else {}
    environment.service(Scheduler).put(complete | state)
    return complete


def _state(environment: LocalEnvironment, name: str) -> str:
    found = environment.service(Scheduler).jobs.find(name)
    return str((found or {}).get("state", "ENABLED"))


JOB = ResourceType(
    ROOT,
    "projects/{project}/locations/{location}/jobs/{id}",
    "cloudscheduler",
    "jobs",
    _job,
    lambda environment, resource: environment.service(Scheduler).delete(resource["name"]),
    as_response=lambda environment, resource: (
        resource
        | {"state": _state(environment, resource["name"])}
        | environment.service(Scheduler).last_attempt(resource["name"])
    ),
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    scheduler = environment.service(Scheduler)

    def act(request: ApiRequest, params: dict[str, str]) -> Json:
        name = JOB.item.format_map(params)
        JOB.read(environment, name)
        {"pause": scheduler.pause, "resume": scheduler.resume, "run": scheduler.run}[params["verb"]](name)
        return JOB.read(environment, name)

    for verb in ("pause", "resume", "run"):
        yield Route(
            "POST",
            f"{ROOT}{JOB.item}:{verb}",
            lambda request, params, verb=verb: act(request, params | {"verb": verb}),  # type: ignore[misc]
        )
    yield from JOB.routes(environment)
