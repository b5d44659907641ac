"""getIamPolicy and setIamPolicy, for every resource type that has a policy.

https://cloud.google.com/iam/docs/allow-policies#etag
"""

from collections.abc import Callable, Iterator

from local.control_plane.resource_types import ResourceType, compute_etag
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiError, ApiRequest, Route
from local.services.iam import Policies


def policy_routes(
    environment: LocalEnvironment, path: str, name: str, exists: Callable[[dict[str, str]], object]
) -> Iterator[Route]:
    """Yield the routes of a resource type's policies.

    `path` is the pattern of the request's path, `name` that of the full name under which policies are stored;
    `exists` raises NotFoundError where the resource does not exist.
    """

    def get(_request: ApiRequest, params: dict[str, str]) -> Json:
        exists(params)
        return policy(environment, name.format_map(params))

    def put(request: ApiRequest, params: dict[str, str]) -> Json:
        exists(params)
        return write_policy(environment, name.format_map(params), request.json.get("policy", {}))

    yield Route("*", f"{path}:getIamPolicy", get)
    yield Route("POST", f"{path}:setIamPolicy", put)


def routes_of_policies(environment: LocalEnvironment, kind: ResourceType) -> Iterator[Route]:
    """Yield the routes of a resource type's policies, which are stored under the resources' names."""
    yield from policy_routes(
        environment,
        kind.root + kind.item,
        kind.item,
        lambda params: kind.read(environment, kind.item.format_map(params)),
    )


def policy(environment: LocalEnvironment, name: str) -> Json:
    """Return a resource's policy with its etag."""
    held = environment.service(Policies).get(name)
    return {"version": 1, "bindings": held["bindings"], "etag": compute_etag(held["bindings"])}


def write_policy(environment: LocalEnvironment, name: str, wanted: Json) -> Json:
    """Replace a resource's policy. Raises ApiError where it changed after it was read."""
    if wanted.get("etag") not in (None, "", policy(environment, name)["etag"]):
        raise ApiError(409, f"There were concurrent policy changes of {name}: read it again")
    environment.service(Policies).replace(name, wanted.get("bindings", []))
    return policy(environment, name)
