"""Cloud Functions (2nd gen). https://cloud.google.com/functions/docs/reference/rest/v2"""

import shutil
from collections.abc import Iterator

from local.control_plane.operations import Operations
from local.control_plane.policies import routes_of_policies
from local.control_plane.resource_types import ResourceType, id_from_query
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Route
from local.services.functions import function
from local.stack.arguments import as_arguments
from local.stack.loading import Resource
from local.workloads.workloads import Workloads

ROOT = "/cloudfunctions2/v2/"
TYPE = "google_cloudfunctions2_function"


def _deploy_function(environment: LocalEnvironment, wanted: Json, previous: Json | None) -> Json:
    project, _, location, _, name = wanted["name"].split("/")[1:]
    arguments = as_arguments(wanted) | {"name": name, "project": project, "location": location}
    workloads = environment.service(Workloads)
    if previous is not None:
        workloads.stop(f"function {name}")
        workloads.keep_port(f"function {name}", previous["url"])
    made = function(Resource(f"{TYPE}.{name}", TYPE, name, {}), arguments, environment)
    workloads.wait_until_ready()
    uri = made["url"]
    service = f"projects/{project}/locations/{location}/services/{name}"
    computed = {"uri": uri, "service": service, "revision": f"{name}-00001"}
    defaults = {
        "availableCpu": "0.3333",
        "maxInstanceRequestConcurrency": 1,
        "ingressSettings": "ALLOW_ALL",
        "allTrafficOnLatestRevision": True,
    }
    given = {key: value for key, value in wanted.get("serviceConfig", {}).items() if value is not None}
    environment.collection("run", "services").put(service, {"name": service, "uri": uri})
    return wanted | {
        "serviceConfig": defaults | given | computed,
        "buildConfig": {"build": f"projects/{project}/locations/{location}/builds/1"} | wanted["buildConfig"],
        "url": uri,
        "state": "ACTIVE",
        "environment": "GEN_2",
        "updateTime": "2026-01-01T00:00:00Z",
    }


def _delete(environment: LocalEnvironment, resource: Json) -> None:
    name = resource["name"].rpartition("/")[2]
    environment.service(Workloads).stop(f"function {name}")
    shutil.rmtree(environment.folder / "functions" / name, ignore_errors=True)
    environment.collection("run", "services").delete(resource["serviceConfig"]["service"])


FUNCTION = ResourceType(
    ROOT,
    "projects/{project}/locations/{location}/functions/{id}",
    "cloudfunctions2",
    "functions",
    _deploy_function,
    _delete,
    id_of=id_from_query("functionId"),
    operation="google.cloud.functions.v2.Function",
)


def resume(environment: LocalEnvironment) -> None:
    """Start the functions that an earlier run deployed, at the same URLs."""
    for resource in FUNCTION.stored(environment).list():
        environment.service(Workloads).keep_port(
            f"function {resource['name'].rpartition('/')[2]}", resource["url"]
        )
        _deploy_function(environment, resource, None)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    yield from routes_of_policies(environment, FUNCTION)
    yield from FUNCTION.routes(environment)
    yield environment.service(Operations).route(ROOT)
