"""The project itself, its policy and its APIs: all that the stacks need are enabled from the beginning.

https://cloud.google.com/resource-manager/reference/rest/v1/projects,
https://cloud.google.com/service-usage/docs/reference/rest/v1/services
"""

from collections.abc import Iterator

from cdk.apis import needed_apis
from local.control_plane.policies import policy_routes
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Call, RefusedError, Route

ROOT = "/resourcemanager/v1/"
BILLING = "/cloudbilling/v1/"
SERVICE_USAGE = "/serviceusage/v1/"


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield what this service answers."""

    def known(places: dict[str, str]) -> str:
        if places["project"] not in (environment.project, environment.project_number):
            raise RefusedError(403, f"The caller does not have permission on project {places['project']}")
        return environment.project

    def project(_call: Call, places: dict[str, str]) -> Json:
        name = known(places)
        return {
            "projectId": name,
            "projectNumber": environment.project_number,
            "name": name,
            "lifecycleState": "ACTIVE",
        }

    enabled = environment.collection("serviceusage", "services")

    def shown(places: dict[str, str], api: str) -> Json:
        return {"name": f"projects/{known(places)}/services/{api}", "state": "ENABLED"}

    def apis(_call: Call, places: dict[str, str]) -> Json:
        names = sorted({*needed_apis(ci=True, secrets=True), *enabled.names()})
        return {"services": [shown(places, api) for api in names]}

    def enable(call: Call, places: dict[str, str]) -> Json:
        names = [places["api"]] if "api" in places else call.json.get("serviceIds", [])
        for api in names:
            enabled.put(api, shown(places, api))
        services = [shown(places, api) for api in names]
        return {"name": "operations/acat.1", "done": True, "response": {"services": services}}

    path = ROOT + "projects/{project}"
    yield from policy_routes(environment, path, "projects/{project}", known)
    yield Route("GET", path, project)
    services = SERVICE_USAGE + "projects/{project}/services"
    yield Route("GET", services, apis)
    yield Route("POST", f"{services}:batchEnable", enable)
    yield Route("POST", f"{services}/{{api}}:enable", enable)
    yield Route(
        "GET", BILLING + "projects/{project}/billingInfo", lambda _, places: {"projectId": known(places)}
    )
