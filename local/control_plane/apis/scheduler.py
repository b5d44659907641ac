"""Cloud Scheduler's jobs. https://cloud.google.com/scheduler/docs/reference/rest"""

from collections.abc import Iterator

from local.control_plane.kinds import Kind
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Call, Route
from local.services.scheduler import ATTEMPT_DEADLINE, RETRY, Scheduler

ROOT = "/cloudscheduler/v1/"


def _job(environment: LocalEnvironment, wanted: Json, before: Json | None) -> Json:
    retry = {key: value for key, value in (wanted.get("retryConfig") or {}).items() if value is not None}
    complete = wanted | {"timeZone": wanted.get("timeZone") or "Etc/UTC"}
    if retry:  # what was not asked for is not shown, or each plan would want to remove it
        complete["retryConfig"] = RETRY | retry
    if "httpTarget" in wanted:
        complete["attemptDeadline"] = wanted.get("attemptDeadline") or ATTEMPT_DEADLINE
    state = {"state": _state(environment, before["name"])} if before else {}
    environment.service(Scheduler).put(complete | state)
    return complete


def _state(environment: LocalEnvironment, name: str) -> str:
    found = environment.service(Scheduler).jobs.find(name)
    return str((found or {}).get("state", "ENABLED"))


JOB = Kind(
    ROOT,
    "projects/{project}/locations/{location}/jobs/{id}",
    "cloudscheduler",
    "jobs",
    _job,
    lambda environment, held: environment.service(Scheduler).delete(held["name"]),
    shown=lambda environment, held: (
        held
        | {"state": _state(environment, held["name"])}
        | environment.service(Scheduler).attempted(held["name"])
    ),
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield what this service answers."""
    scheduler = environment.service(Scheduler)

    def act(call: Call, places: dict[str, str]) -> Json:
        name = JOB.item.format_map(places)
        JOB.read(environment, name)
        {"pause": scheduler.pause, "resume": scheduler.resume, "run": scheduler.run}[places["verb"]](name)
        return JOB.read(environment, name)

    for verb in ("pause", "resume", "run"):
        yield Route(
            "POST",
            f"{ROOT}{JOB.item}:{verb}",
            lambda call, places, verb=verb: act(call, places | {"verb": verb}),  # type: ignore[misc]
        )
    yield from JOB.routes(environment)
