"""Cloud Run: services, including those of functions. https://cloud.google.com/run/docs/reference/rest"""

import shutil
from collections.abc import Iterator

from local.control_plane.operations import Operations
from local.control_plane.policies import policy_routes
from local.control_plane.resource_types import ResourceType, compute_etag, id_from_query
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Route
from local.services.run import service
from local.stack.arguments import as_arguments
from local.stack.loading import Resource
from local.workloads.workloads import Workloads

ROOT = "/run/v2/"
TYPE = "google_cloud_run_v2_service"


def _deploy_service(environment: LocalEnvironment, wanted: Json, previous: Json | None) -> Json:
    project, _, location, _, name = wanted["name"].split("/")[1:]
    arguments = as_arguments(wanted) | {"name": name, "project": project, "location": location}
    workloads = environment.service(Workloads)
    if previous is not None:
        workloads.stop(f"service {name}")
        workloads.keep_port(f"service {name}", previous["uri"])
    made = service(Resource(f"{TYPE}.{name}", TYPE, name, {}), arguments, environment)
    workloads.wait_until_ready()
    environment.collection("run", "services").put(
        wanted["name"], {"name": wanted["name"], "uri": made["uri"]}
    )
    generation = int((previous or {}).get("generation", 0)) + 1
    revision = f"{wanted['name']}/revisions/{name}-{generation:05d}"
    traffic = wanted.get("traffic") or [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    return wanted | {
        "uid": f"{name}-uid",
        "generation": str(generation),
        "observedGeneration": str(generation),
        "uri": made["uri"],
        "urls": [made["uri"]],
        "latestReadyRevision": revision,
        "latestCreatedRevision": revision,
        "traffic": traffic,
        "trafficStatuses": traffic,
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        "launchStage": wanted.get("launchStage") or "GA",
        "etag": compute_etag(wanted),
    }


def _delete(environment: LocalEnvironment, resource: Json) -> None:
    name = resource["name"].rpartition("/")[2]
    environment.service(Workloads).stop(f"service {name}")
    shutil.rmtree(environment.folder / "services" / name, ignore_errors=True)
    environment.collection("run", "services").delete(resource["name"])


SERVICE = ResourceType(
    ROOT,
    "projects/{project}/locations/{location}/services/{id}",
    "run",
    "services",
    _deploy_service,
    _delete,
    id_of=id_from_query("serviceId"),
    operation="google.cloud.run.v2.Service",
)


def resume(environment: LocalEnvironment) -> None:
    """Start the services that an earlier run deployed, at the same URLs."""
    for resource in SERVICE.stored(environment).list():
        environment.service(Workloads).keep_port(
            f"service {resource['name'].rpartition('/')[2]}", resource["uri"]
        )
        _deploy_service(environment, resource, None)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    services = environment.collection("run", "services")
    yield from policy_routes(
        environment,
        ROOT + SERVICE.item,
        SERVICE.item,
        lambda params: services.get(SERVICE.item.format_map(params)),
    )
    yield from SERVICE.routes(environment)
    yield environment.service(Operations).route(ROOT)
