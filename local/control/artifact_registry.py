"""Artifact Registry's repositories. https://cloud.google.com/artifact-registry/docs/reference/rest"""

from collections.abc import Iterator

from local.collection import Json
from local.control.http import Route
from local.control.kinds import Kind, by_query
from local.control.operations import Operations
from local.control.policies import policy_routes
from local.machine import Machine

ROOT = "/artifactregistry/v1/"


def _repository(machine: Machine, wanted: Json, _before: Json | None) -> Json:
    machine.collection("artifactregistry", "repositories").put(wanted["name"], wanted)
    project, _, location, _, name = wanted["name"].split("/")[1:]
    return (
        {"mode": "STANDARD_REPOSITORY"}
        | wanted
        | {
            "registryUri": f"{location}-docker.pkg.dev/{project}/{name}",
            "createTime": "2026-01-01T00:00:00Z",
            "updateTime": "2026-01-01T00:00:00Z",
        }
    )


def _forget(machine: Machine, held: Json) -> None:
    machine.collection("artifactregistry", "repositories").delete(held["name"])
    images = machine.collection("registry", "images")
    project, _, location, _, name = held["name"].split("/")[1:]
    for image in images.names():
        if image.startswith(f"{location}-docker.pkg.dev/{project}/{name}/"):
            images.delete(image)


REPOSITORY = Kind(
    ROOT,
    "projects/{project}/locations/{location}/repositories/{id}",
    "artifactregistry",
    "repositories",
    _repository,
    _forget,
    identify=by_query("repository_id"),
    operation="google.devtools.artifactregistry.v1.Repository",
)


def routes(machine: Machine) -> Iterator[Route]:
    """Yield what this service answers."""
    yield from policy_routes(
        machine,
        ROOT + REPOSITORY.item,
        "projects/{project}/locations/{location}/repositories/{id}",
        lambda places: REPOSITORY.read(machine, REPOSITORY.item.format_map(places)),
    )
    yield from REPOSITORY.routes(machine)
    yield machine.service(Operations).route(ROOT)
