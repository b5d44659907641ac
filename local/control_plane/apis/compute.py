"""Compute Engine: networks, subnetworks and firewalls. https://cloud.google.com/compute/docs/reference/rest/v1"""

from collections.abc import Iterator
from ipaddress import IPv4Network

from local.control_plane.operations import compute_operation
from local.control_plane.resource_types import Apply, ResourceType
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiError, ApiRequest, Route, RouteHandler
from local.stack.arguments import derive_number

ROOT = "/compute/v1/"
LINK = "https://www.googleapis.com/compute/v1/"


def derive_resource_number(name: str) -> str:
    """Return a number of 19 digits that fits in 63 bits, because the provider reads it as a signed integer."""
    number = int(derive_number(name, 19))
    return str(number if number < 2**63 else number - 10**18)


def _make_apply(collection: str, defaults: Json) -> Apply:
    def apply(environment: LocalEnvironment, resource: Json, _previous: Json | None) -> Json:
        known = {
            "kind": f"compute#{collection.removesuffix('s')}",
            "id": derive_resource_number(resource["name"]),
            "selfLink": LINK + resource["name"],
            "creationTimestamp": "2026-01-01T00:00:00.000-00:00",
        }
        given = {key: value for key, value in resource.items() if value is not None}
        full = defaults | given | known
        if collection == "subnetworks" and "ipCidrRange" in given:
            full["gatewayAddress"] = str(IPv4Network(given["ipCidrRange"])[1])
            full["region"] = LINK + resource["name"].rpartition("/subnetworks/")[0]
        environment.collection("compute", collection).put(resource["name"], full)
        return full

    return apply


def _resource_type(collection: str, scope: str, defaults: Json) -> ResourceType:
    def delete(environment: LocalEnvironment, resource: Json) -> None:
        users = [
            other["name"]
            for each in ("subnetworks", "firewalls")
            for other in environment.collection("compute", each).list()
            if str(other.get("network", "")).endswith(resource["name"])
        ]
        if collection == "networks" and users:
            raise ApiError(
                400, f"The network resource '{resource['name']}' is already being used by '{users[0]}'"
            )
        environment.collection("compute", collection).delete(resource["name"])

    return ResourceType(
        ROOT,
        f"projects/{{project}}/{scope}/{collection}/{{id}}",
        "compute",
        collection,
        _make_apply(collection, defaults),
        delete,
        as_response=lambda _environment, resource: resource | {"name": resource["name"].rpartition("/")[2]},
    )


KINDS = {
    "networks": _resource_type(
        "networks", "global", {"autoCreateSubnetworks": True, "routingConfig": {"routingMode": "REGIONAL"}}
    ),
    "subnetworks": _resource_type(
        "subnetworks",
        "regions/{region}",
        {"privateIpGoogleAccess": False, "purpose": "PRIVATE", "stackType": "IPV4_ONLY"},
    ),
    "firewalls": _resource_type(
        "firewalls", "global", {"direction": "INGRESS", "priority": 1000, "disabled": False}
    ),
}


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API. Every change returns an operation that is done."""
    for collection, kind in KINDS.items():
        scope = "regions/{region}" if collection == "subnetworks" else "global"
        for route in kind.routes(environment):
            yield (
                route
                if route.method == "GET"
                else Route(route.method, route.pattern, _as_operation(environment, route, scope))
            )
    # Only clusters have disks, and there are no clusters.
    yield Route("GET", ROOT + "projects/{project}/aggregated/disks", lambda *_: {"items": {}})
    for scope in ("global", "regions/{region}"):
        for method, end in (("GET", ""), ("POST", "/wait")):
            yield Route(
                method,
                f"{ROOT}projects/{{project}}/{scope}/operations/{{id}}{end}",
                lambda _, params, scope=scope: _operation(
                    environment, scope.format_map(params), params["id"]
                ),  # type: ignore[misc]
            )


def _as_operation(environment: LocalEnvironment, route: Route, scope: str) -> RouteHandler:
    def handle_as_operation(request: ApiRequest, params: dict[str, str]) -> Json:
        made = route.handle(request, params)
        target = made.get("selfLink", "") if isinstance(made, dict) else ""
        kind = {"POST": "insert", "DELETE": "delete"}.get(request.method, "patch")
        path = target.removeprefix(LINK) or request.path.removeprefix(ROOT)
        return compute_operation(environment, scope.format_map(params), path, kind)

    return handle_as_operation


def _operation(environment: LocalEnvironment, scope: str, name: str) -> Json:
    return compute_operation(environment, scope, "", "done") | {"name": name}
