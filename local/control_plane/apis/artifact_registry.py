"""Artifact Registry's repositories. https://cloud.google.com/artifact-registry/docs/reference/rest"""

from collections.abc import Iterator

from local.control_plane.kinds import Kind, by_query
from local.control_plane.operations import Operations
from local.control_plane.policies import policies_of
from local.environment.environment import Machine
from local.environment.resources import Json
from local.http.rest import Route

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
    for image in _held_images(machine, held["name"]):
        machine.collection("registry", "images").delete(image)


def _held_images(machine: Machine, repository: str) -> list[str]:
    project, _, location, _, name = repository.split("/")[1:]
    begin = f"{location}-docker.pkg.dev/{project}/{name}/"
    return [image for image in machine.collection("registry", "images").names() if image.startswith(begin)]


def _images(machine: Machine, places: dict[str, str]) -> Json:
    name = REPOSITORY.item.format_map(places)
    REPOSITORY.read(machine, name)
    return {"dockerImages": [{"uri": image} for image in _held_images(machine, name)]}


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
    yield from policies_of(machine, REPOSITORY)
    yield Route("GET", ROOT + REPOSITORY.item + "/dockerImages", lambda _, places: _images(machine, places))
    yield from REPOSITORY.routes(machine)
    yield machine.service(Operations).route(ROOT)
