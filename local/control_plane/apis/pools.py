"""Workload identity pools and their providers, whose ids stay taken for 30 days after they were deleted.

https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools
"""

from collections.abc import Iterator
from dataclasses import replace

from local.control_plane.kinds import Kind, by_query
from local.control_plane.operations import Operations
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Call, Route

ROOT = "/iambeta/v1/"
POOLS = "projects/{project}/locations/{location}/workloadIdentityPools"
DELETED = "DELETED"


def _active(_environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    return wanted | {"state": "ACTIVE"}


POOL = Kind(
    ROOT,
    POOLS + "/{id}",
    "iam",
    "workloadIdentityPools",
    _active,
    lambda _environment, _held: None,
    identify=by_query("workloadIdentityPoolId"),
    operation="google.iam.v1.WorkloadIdentityPool",
)
PROVIDER = replace(
    POOL,
    item=POOLS + "/{pool}/providers/{id}",
    collection="workloadIdentityPoolProviders",
    identify=by_query("workloadIdentityPoolProviderId"),
    operation="google.iam.v1.WorkloadIdentityPoolProvider",
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield what this service answers."""
    for kind in (POOL, PROVIDER):
        yield from _kept_after_deletion(environment, kind)
        yield from kind.routes(environment)
    yield environment.service(Operations).route(ROOT)


def _kept_after_deletion(environment: LocalEnvironment, kind: Kind) -> Iterator[Route]:
    held = kind.held(environment)

    def into(state: str, places: dict[str, str]) -> Json:
        parent = f"projects/{places['project']}/locations/{places['location']}"
        name = kind.item.format_map(places)
        resource = held.get(name)  # refused at once where there is none
        return environment.service(Operations).begin(
            parent, kind.operation, lambda: held.put(name, resource | {"state": state})
        )

    def delete(_call: Call, places: dict[str, str]) -> Json:
        return into(DELETED, places)

    def undelete(_call: Call, places: dict[str, str]) -> Json:
        return into("ACTIVE", places)

    yield Route("DELETE", ROOT + kind.item, delete)
    yield Route("POST", f"{ROOT}{kind.item}:undelete", undelete)
