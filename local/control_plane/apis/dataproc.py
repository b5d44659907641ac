"""Dataproc's workflow templates and their runs. https://cloud.google.com/dataproc/docs/reference/rest"""

from collections.abc import Iterator
from dataclasses import replace

from local.control_plane.kinds import Kind, by_field
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Call, Reply, Route
from local.iam_proxy.access import Access
from local.services.dataproc import TYPE, Dataproc, as_declared, workflow_template
from local.stack.loading import Resource

ROOT = "/dataproc/v1/"
REGION = f"{ROOT}projects/{{project}}/regions/{{location}}"


def _template(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    project, _, location, _, name = wanted["name"].split("/")[1:]
    arguments = as_declared(wanted) | {"name": name, "project": project, "location": location}
    workflow_template(Resource(f"{TYPE}.{name}", TYPE, name, {}), arguments, environment)
    return wanted | {
        "id": name,
        "version": 1,
        "createTime": "2026-01-01T00:00:00Z",
        "updateTime": "2026-01-01T00:00:00Z",
    }


TEMPLATE = Kind(
    ROOT,
    "projects/{project}/locations/{location}/workflowTemplates/{id}",
    "dataproc",
    "workflowTemplates",
    _template,
    lambda environment, held: environment.service(Dataproc).templates.delete(
        held["name"].replace("/locations/", "/regions/")
    ),
    identify=by_field("id"),
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield what this service answers; a template is the same one below `locations` and below `regions`."""

    def run(call: Call, _places: dict[str, str]) -> Reply:
        dataproc, owner = environment.service(Dataproc), environment.service(Access).owner
        path, request_id = call.path.removeprefix("/dataproc"), call.query.get("requestId", "")
        answer = dataproc.answer(call.method, path, call.body, owner, request_id)
        return Reply(answer.status, answer.body)

    yield Route("GET", f"{REGION}/clusters", lambda *_: {})
    yield Route("POST", f"{REGION}/workflowTemplates:instantiateInline", run)
    yield Route("POST", f"{REGION}/workflowTemplates/{{id}}:instantiate", run)
    yield Route("GET", f"{REGION}/operations/{{id}}", run)
    for route in TEMPLATE.routes(environment):
        yield route
        yield replace(route, pattern=route.pattern.replace("/locations/", "/regions/"))
