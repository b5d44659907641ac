"""Workload identity pools and providers. Their IDs cannot be reused for 30 days after a deletion.

https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools
"""

from collections.abc import Iterator
from dataclasses import replace

from local.control_plane.operations import Operations
from local.control_plane.resource_types import ResourceType, id_from_query
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiRequest, Route

ROOT = "/iambeta/v1/"
POOLS = "projects/{project}/locations/{location}/workloadIdentityPools"
DELETED = "DELETED"


def _set_active(_environment: LocalEnvironment, wanted: Json, _previous: Json | None) -> Json:
    return wanted | {"state": "ACTIVE"}


POOL = ResourceType(
    ROOT,
    POOLS + "/{id}",
    "iam",
    "workloadIdentityPools",
    _set_active,
    lambda _environment, _held: None,
    id_of=id_from_query("workloadIdentityPoolId"),
    operation="google.iam.v1.WorkloadIdentityPool",
)
PROVIDER = replace(
    POOL,
    item=POOLS + "/{pool}/providers/{id}",
    collection="workloadIdentityPoolProviders",
    id_of=id_from_query("workloadIdentityPoolProviderId"),
    operation="google.iam.v1.WorkloadIdentityPoolProvider",
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    for kind in (POOL, PROVIDER):
        yield from _soft_delete_routes(environment, kind)
        yield from kind.routes(environment)
    yield environment.service(Operations).route(ROOT)


def _soft_delete_routes(environment: LocalEnvironment, kind: ResourceType) -> Iterator[Route]:
    held = kind.stored(environment)

    def set_state(state: str, params: dict[str, str]) -> Json:
        parent = f"projects/{params['project']}/locations/{params['location']}"
        name = kind.item.format_map(params)
        resource = held.get(name)  # raises at once where it does not exist
        return environment.service(Operations).start(
            parent, kind.operation, lambda: held.put(name, resource | {"state": state})
        )

    def delete(_request: ApiRequest, params: dict[str, str]) -> Json:
        return set_state(DELETED, params)

    def undelete(_request: ApiRequest, params: dict[str, str]) -> Json:
        return set_state("ACTIVE", params)

    yield Route("DELETE", ROOT + kind.item, delete)
    yield Route("POST", f"{ROOT}{kind.item}:undelete", undelete)
