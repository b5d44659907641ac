"""The project itself, its policy and its APIs, which are all enabled.

https://cloud.google.com/resource-manager/reference/rest/v1/projects,
https://cloud.google.com/service-usage/docs/reference/rest/v1/services
"""

from collections.abc import Iterator

from cdk.apis import needed_apis
from local.collection import Json
from local.control.http import Call, RefusedError, Route
from local.control.policies import policy_routes
from local.machine import Machine

ROOT = "/resourcemanager/v1/"
BILLING = "/cloudbilling/v1/"
SERVICE_USAGE = "/serviceusage/v1/"


def routes(machine: Machine) -> Iterator[Route]:
    """Yield what this service answers."""

    def known(places: dict[str, str]) -> str:
        if places["project"] not in (machine.project, machine.project_number):
            raise RefusedError(403, f"The caller does not have permission on project {places['project']}")
        return machine.project

    def project(_call: Call, places: dict[str, str]) -> Json:
        name = known(places)
        return {
            "projectId": name,
            "projectNumber": machine.project_number,
            "name": name,
            "lifecycleState": "ACTIVE",
        }

    def apis(_call: Call, places: dict[str, str]) -> Json:
        parent = f"projects/{known(places)}/services"
        return {"services": [{"name": f"{parent}/{api}", "state": "ENABLED"} for api in needed_apis(ci=True)]}

    path = ROOT + "projects/{project}"
    yield from policy_routes(machine, path, "projects/{project}", known)
    yield Route("GET", path, project)
    yield Route("GET", SERVICE_USAGE + "projects/{project}/services", apis)
    yield Route(
        "GET", BILLING + "projects/{project}/billingInfo", lambda _, places: {"projectId": known(places)}
    )
