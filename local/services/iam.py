"""IAM: service accounts, custom roles, and who was granted which role on what.

Grants are kept under the full name of what they are on, in the form of the REST API's policies; what they permit
is decided in `local.iam_proxy.access`.
"""

from dataclasses import dataclass
from typing import Any

from local.environment.environment import LocalEnvironment
from local.stack.applying import Attributes, Handler
from local.stack.arguments import as_rest, blocks, derive_number, report_unsupported_arguments
from local.stack.loading import Resource

ENFORCED = (
    "roles are enforced as far as local/iam_proxy/roles.toml and local/iam_proxy know Google's permissions; tokens "
    "name the caller and prove nothing, a new grant counts at once, and there are no policies of an organization"
)


@dataclass(frozen=True)
class PolicyTarget:
    """What a type of grant is on: the pattern of its full name, and the argument that names it."""

    pattern: str
    argument: str


# Type without its ending (_iam_member, _iam_binding) → what the grant is on.
TARGETS = {
    "google_project": PolicyTarget("projects/{project}", "project"),
    "google_storage_bucket": PolicyTarget("b/{bucket}", "bucket"),
    "google_bigquery_dataset": PolicyTarget("projects/{project}/datasets/{dataset_id}", "dataset_id"),
    "google_bigquery_table": PolicyTarget(
        "projects/{project}/datasets/{dataset_id}/tables/{table_id}", "table_id"
    ),
    "google_pubsub_topic": PolicyTarget("projects/{project}/topics/{topic}", "topic"),
    "google_pubsub_subscription": PolicyTarget(
        "projects/{project}/subscriptions/{subscription}", "subscription"
    ),
    "google_cloudfunctions2_function": PolicyTarget(
        "projects/{project}/locations/{location}/functions/{cloud_function}", "cloud_function"
    ),
    "google_cloud_run_v2_service": PolicyTarget(
        "projects/{project}/locations/{location}/services/{name}", "name"
    ),
    "google_cloud_run_service": PolicyTarget(
        "projects/{project}/locations/{location}/services/{service}", "service"
    ),
    "google_service_account": PolicyTarget(
        "projects/{project}/serviceAccounts/{service_account_id}", "service_account_id"
    ),
    "google_artifact_registry_repository": PolicyTarget(
        "projects/{project}/locations/{location}/repositories/{repository}", "repository"
    ),
}


class Policies:
    """Who has which role on what, as REST policies by the full name of the resource."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._policies = environment.collection("iam", "policies")

    def get(self, resource: str) -> dict[str, Any]:
        """Return a resource's policy: `{"bindings": [{"role", "members", "condition"?}]}`."""
        return self._policies.find(resource) or {"bindings": []}

    def replace(self, resource: str, bindings: list[dict[str, Any]]) -> None:
        """Let a resource have exactly these bindings."""
        kept = [
            binding | {"members": sorted(binding["members"])}
            for binding in bindings
            if binding.get("members")
        ]
        if kept:
            self._policies.put(resource, {"bindings": kept})
        else:
            self.delete(resource)

    def delete(self, resource: str) -> None:
        """Let a resource have no grant, as one that was deleted."""
        if self._policies.find(resource) is not None:
            self._policies.delete(resource)

    def grant(
        self, resource: str, role: str, members: list[str], condition: dict[str, Any] | None = None
    ) -> None:
        """Add members to a role on a resource; twice is as once."""
        bindings: list[dict[str, Any]] = self.get(resource)["bindings"]
        for binding in bindings:
            if binding["role"] == role and binding.get("condition") == condition:
                binding["members"] = sorted({*binding["members"], *members})
                break
        else:
            added = {"role": role, "members": sorted(set(members))}
            bindings.append(added | ({"condition": condition} if condition else {}))
        self._policies.put(resource, {"bindings": bindings})


def service_account(
    _resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment
) -> Attributes:
    """google_service_account: the e-mail, member and name that Google derives, and a stable unique id."""
    unsupported = {"disabled": "a disabled account still works here"}
    report_unsupported_arguments(
        environment,
        "google_service_account",
        arguments,
        {"account_id", "create_ignore_already_exists"},
        unsupported,
    )
    project = arguments.get("project", environment.project)
    email = f"{arguments['account_id']}@{project}.iam.gserviceaccount.com"
    name = f"projects/{project}/serviceAccounts/{email}"
    unique_id = derive_number(email, 21)
    kept = {"name": name, "email": email, "uniqueId": unique_id, "projectId": project}
    environment.collection("iam", "serviceAccounts").put(name, as_rest(arguments) | kept)
    computed = {
        "id": name,
        "name": name,
        "email": email,
        "member": f"serviceAccount:{email}",
        "unique_id": unique_id,
    }
    return {"project": project, "disabled": False} | arguments | computed


def custom_role(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_project_iam_custom_role: kept, so that a grant of it can be understood later."""
    name = f"projects/{arguments.get('project', environment.project)}/roles/{arguments['role_id']}"
    kept = {
        "name": name,
        "title": arguments.get("title"),
        "includedPermissions": arguments.get("permissions", []),
    }
    environment.collection("iam", "roles").put(name, kept)
    return arguments | {"id": name, "name": name}


def grant(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """Every google_…_iam_member and google_…_iam_binding."""
    environment.report_unsupported(ENFORCED)
    kind, _, form = resource.type.rpartition("_iam_")
    name = resource_name(TARGETS[kind], arguments, environment)
    members = [arguments["member"]] if form == "member" else list(arguments["members"])
    conditions = [as_rest(condition) for condition in blocks(arguments, "condition")]
    environment.service(Policies).grant(
        name, arguments["role"], members, conditions[0] if conditions else None
    )
    titles = [condition["title"] for condition in conditions]
    parts = [arguments["role"], *(members if form == "member" else []), *titles]
    first, separator = (name.removeprefix("projects/"), " ") if kind == "google_project" else (name, "/")
    return {"project": environment.project} | arguments | {"id": separator.join([first, *parts])}


def resource_name(target: PolicyTarget, arguments: dict[str, Any], environment: LocalEnvironment) -> str:
    """Return the full name of what a grant is on; the argument may hold it already, or the short name."""
    given = str(arguments.get(target.argument, environment.project))
    if "/" in given:
        return given
    return target.pattern.format_map(
        {"project": environment.project, "location": environment.region} | arguments
    )


HANDLERS: dict[str, Handler] = {
    "google_service_account": service_account,
    "google_project_iam_custom_role": custom_role,
    **{f"{kind}_iam_{form}": grant for kind in TARGETS for form in ("member", "binding")},
}
