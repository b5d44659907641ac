"""Artifact Registry: repositories. https://cloud.google.com/artifact-registry/docs/reference/rest"""

from collections.abc import Iterator

from local.control_plane.operations import Operations
from local.control_plane.policies import routes_of_policies
from local.control_plane.resource_types import ResourceType, id_from_query
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Route

ROOT = "/artifactregistry/v1/"


def _repository(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    environment.collection("artifactregistry", "repositories").put(wanted["name"], wanted)
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


def _delete(environment: LocalEnvironment, resource: Json) -> None:
    environment.collection("artifactregistry", "repositories").delete(resource["name"])
    for image in _stored_images(environment, resource["name"]):
        environment.collection("registry", "images").delete(image)


def _stored_images(environment: LocalEnvironment, repository: str) -> list[str]:
    project, _, location, _, name = repository.split("/")[1:]
    begin = f"{location}-docker.pkg.dev/{project}/{name}/"
    return [
        image for image in environment.collection("registry", "images").names() if image.startswith(begin)
    ]


def _images(environment: LocalEnvironment, params: dict[str, str]) -> Json:
    name = REPOSITORY.item.format_map(params)
    REPOSITORY.read(environment, name)
    return {"dockerImages": [{"uri": image} for image in _stored_images(environment, name)]}


REPOSITORY = ResourceType(
    ROOT,
    "projects/{project}/locations/{location}/repositories/{id}",
    "artifactregistry",
    "repositories",
    _repository,
    _delete,
    id_of=id_from_query("repository_id"),
    operation="google.devtools.artifactregistry.v1.Repository",
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    yield from routes_of_policies(environment, REPOSITORY)
    yield Route(
        "GET", ROOT + REPOSITORY.item + "/dockerImages", lambda _, params: _images(environment, params)
    )
    yield from REPOSITORY.routes(environment)
    yield environment.service(Operations).route(ROOT)
