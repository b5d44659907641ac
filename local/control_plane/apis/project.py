"""The project, its policy and its APIs, all of which are enabled from the start.

https://cloud.google.com/resource-manager/reference/rest/v1/projects,
https://cloud.google.com/service-usage/docs/reference/rest/v1/services
"""

from collections.abc import Iterator

from cdk.apis import list_needed_apis
from local.control_plane.policies import policy_routes
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiError, ApiRequest, Route

ROOT = "/resourcemanager/v1/"
BILLING = "/cloudbilling/v1/"
SERVICE_USAGE = "/serviceusage/v1/"


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of these APIs."""

    def check_project(params: dict[str, str]) -> str:
        if params["project"] not in (environment.project, environment.project_number):
            raise ApiError(403, f"The caller does not have permission on project {params['project']}")
        return environment.project

    def project(_request: ApiRequest, params: dict[str, str]) -> Json:
        name = check_project(params)
        return {
            "projectId": name,
            "projectNumber": environment.project_number,
            "name": name,
            "lifecycleState": "ACTIVE",
        }

    enabled = environment.collection("serviceusage", "services")

    def as_resource(params: dict[str, str], api: str) -> Json:
        return {"name": f"projects/{check_project(params)}/services/{api}", "state": "ENABLED"}

    def apis(_request: ApiRequest, params: dict[str, str]) -> Json:
        names = sorted({*list_needed_apis(ci=True, secrets=True), *enabled.names()})
        return {"services": [as_resource(params, api) for api in names]}

    def enable(request: ApiRequest, params: dict[str, str]) -> Json:
        names = [params["api"]] if "api" in params else request.json.get("serviceIds", [])
        for api in names:
            enabled.put(api, as_resource(params, api))
        services = [as_resource(params, api) for api in names]
        return {"name": "operations/acat.1", "done": True, "response": {"services": services}}

    path = ROOT + "projects/{project}"
    yield from policy_routes(environment, path, "projects/{project}", check_project)
    yield Route("GET", path, project)
    services = SERVICE_USAGE + "projects/{project}/services"
    yield Route("GET", services, apis)
    yield Route("POST", f"{services}:batchEnable", enable)
    yield Route("POST", f"{services}/{{api}}:enable", enable)
    yield Route(
        "GET",
        BILLING + "projects/{project}/billingInfo",
        lambda _, params: {"projectId": check_project(params)},
    )
