"""IAM: service accounts and custom roles. https://cloud.google.com/iam/docs/reference/rest"""

from collections.abc import Iterator

from local.control_plane.policies import policy_routes
from local.control_plane.resource_types import ResourceType, compute_etag, id_from_field
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiError, ApiRequest, Route
from local.services.iam import Policies
from local.stack.arguments import derive_number

ROOT = "/iam/v1/"
ACCOUNT = "projects/{project}/serviceAccounts/{email}"


def _role(environment: LocalEnvironment, wanted: Json, before: Json | None) -> Json:
    body = wanted.get("role", wanted)
    complete = (before or {}) | {k: v for k, v in body.items() if v is not None}
    complete |= {"name": wanted["name"], "stage": complete.get("stage", "GA")}
    environment.collection("iam", "roles").put(
        wanted["name"],
        {
            "name": wanted["name"],
            "title": complete.get("title"),
            "includedPermissions": complete.get("includedPermissions", []),
        },
    )
    return complete | {"etag": compute_etag(complete)}


ROLE = ResourceType(
    ROOT,
    "projects/{project}/roles/{id}",
    "iam",
    "roles",
    _role,
    lambda environment, resource: environment.collection("iam", "roles").delete(resource["name"]),
    id_of=id_from_field("roleId"),
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API; in a path, `-` is the project of an account's e-mail."""
    accounts = environment.collection("iam", "serviceAccounts")

    def name_of(params: dict[str, str]) -> str:
        given = params["email"]
        if "@" in given:
            project = given.partition("@")[2].partition(".")[0]
            return ACCOUNT.format(project=project, email=given)
        return next((each["name"] for each in accounts.list() if each["uniqueId"] == given), given)

    def create(request: ApiRequest, params: dict[str, str]) -> Json:
        project, account = params["project"], request.json.get("accountId", "")
        email = f"{account}@{project}.iam.gserviceaccount.com"
        name = ACCOUNT.format(project=project, email=email)
        if accounts.find(name):
            raise ApiError(
                409, f"Service account {account} already exists within project projects/{project}."
            )
        unique = derive_number(email, 21)
        known = {
            "name": name,
            "email": email,
            "projectId": project,
            "uniqueId": unique,
            "oauth2ClientId": unique,
        }
        return accounts.create(
            name, request.json.get("serviceAccount", {}) | known | {"etag": compute_etag(name)}
        )

    def update(request: ApiRequest, params: dict[str, str]) -> Json:
        sent = request.json.get("serviceAccount", request.json)
        changes = {key: sent.get(key, "") for key in ("displayName", "description") if key in sent}
        return accounts.update(name_of(params), changes)

    def delete(_request: ApiRequest, params: dict[str, str]) -> Json:
        accounts.delete(name_of(params))
        environment.service(Policies).delete(name_of(params))
        return {}

    path = ROOT + ACCOUNT
    # A policy's name has the account's project, even where the path has `-`.
    for route in policy_routes(environment, path, ACCOUNT, lambda params: accounts.get(name_of(params))):
        yield Route(
            route.method,
            route.pattern,
            lambda request, params, route=route: route.handle(  # type: ignore[misc]
                request, params | {"project": name_of(params).split("/")[1]}
            ),
        )
    yield Route("POST", ROOT + "projects/{project}/serviceAccounts", create)
    yield Route("GET", ROOT + "projects/{project}/serviceAccounts", lambda *_: {"accounts": accounts.list()})
    yield Route("GET", path, lambda _, params: accounts.get(name_of(params)))
    yield Route("PATCH", path, update)
    yield Route("DELETE", path, delete)
    yield from ROLE.routes(environment)
