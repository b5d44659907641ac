"""Dataproc: workflow templates and their runs. https://cloud.google.com/dataproc/docs/reference/rest"""

from collections.abc import Iterator
from dataclasses import replace

from local.control_plane.resource_types import ResourceType, id_from_field
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiRequest, ApiResponse, Route
from local.iam_proxy.access import AccessControl
from local.services.dataproc import Dataproc, workflow_template
from local.services.dataproc_templates import TYPE, as_terraform_arguments
from local.stack.loading import Resource

ROOT = "/dataproc/v1/"
REGION = f"{ROOT}projects/{{project}}/regions/{{location}}"


def _store_template(environment: LocalEnvironment, wanted: Json, _previous: Json | None) -> Json:
    project, _, location, _, name = wanted["name"].split("/")[1:]
    arguments = as_terraform_arguments(wanted) | {"name": name, "project": project, "location": location}
    workflow_template(Resource(f"{TYPE}.{name}", TYPE, name, {}), arguments, environment)
    return wanted | {
        "id": name,
        "version": 1,
        "createTime": "2026-01-01T00:00:00Z",
        "updateTime": "2026-01-01T00:00:00Z",
    }


TEMPLATE = ResourceType(
    ROOT,
    "projects/{project}/locations/{location}/workflowTemplates/{id}",
    "dataproc",
    "workflowTemplates",
    _store_template,
    lambda environment, resource: environment.service(Dataproc).templates.delete(
        resource["name"].replace("/locations/", "/regions/")
    ),
    id_of=id_from_field("id"),
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API; a template has a path below `locations` and one below `regions`."""

    def run(request: ApiRequest, _params: dict[str, str]) -> ApiResponse:
        dataproc, owner = environment.service(Dataproc), environment.service(AccessControl).deployer
        path, request_id = request.path.removeprefix("/dataproc"), request.query.get("requestId", "")
        response = dataproc.handle(request.method, path, request.body, owner, request_id)
        return ApiResponse(response.status, response.body)

    yield Route("GET", f"{REGION}/clusters", lambda *_: {})
    yield Route("POST", f"{REGION}/workflowTemplates:instantiateInline", run)
    yield Route("POST", f"{REGION}/workflowTemplates/{{id}}:instantiate", run)
    yield Route("GET", f"{REGION}/operations/{{id}}", run)
    for route in TEMPLATE.routes(environment):
        yield route
        yield replace(route, pattern=route.pattern.replace("/locations/", "/regions/"))
