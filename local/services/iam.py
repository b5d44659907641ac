"""IAM: service accounts, custom roles and allow policies.

Grants are stored as REST policies under the full name of their resource; `local.iam_proxy.access` decides what they
permit.
"""

from dataclasses import dataclass
from typing import Any

from local.environment.environment import LocalEnvironment
from local.stack.applying import Attributes, Handler
from local.stack.arguments import as_rest, derive_number, get_blocks, report_unsupported_arguments
from local.stack.loading import Resource

ENFORCED = (
    "roles are enforced as far as local/iam_proxy/roles.toml lists their permissions; tokens name the caller without "
    "a signature, a new grant takes effect at once, and there are no organization policies"
)


@dataclass(frozen=True)
class PolicyTarget:
    """The resource of a grant: the pattern of its full name, and the argument that names it."""

    pattern: str
    argument: str


# Resource type without its suffix (_iam_member, _iam_binding) → the grant's resource.
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
    """The allow policies, as REST resources by the full name of the resource they are attached to."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._policies = environment.collection("iam", "policies")

    def get(self, resource: str) -> dict[str, Any]:
        """Return a resource's policy: `{"bindings": [{"role", "members", "condition"?}]}`."""
        return self._policies.find(resource) or {"bindings": []}

    def replace(self, resource: str, bindings: list[dict[str, Any]]) -> None:
        """Set the bindings of a resource's policy."""
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
        """Delete a resource's policy, as with the resource."""
        if self._policies.find(resource) is not None:
            self._policies.delete(resource)

    def grant(
        self, resource: str, role: str, members: list[str], condition: dict[str, Any] | None = None
    ) -> None:
        """Add members to the binding of a role on a resource; repeating it changes nothing."""
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
    """google_service_account: the e-mail and member that Google derives, and a stable unique ID."""
    unsupported = {"disabled": "a disabled account still works"}
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
    """google_project_iam_custom_role: stored, so that grants of it can be evaluated."""
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
    conditions = [as_rest(condition) for condition in get_blocks(arguments, "condition")]
    environment.service(Policies).grant(
        name, arguments["role"], members, conditions[0] if conditions else None
    )
    titles = [condition["title"] for condition in conditions]
    parts = [arguments["role"], *(members if form == "member" else []), *titles]
    first, separator = (name.removeprefix("projects/"), " ") if kind == "google_project" else (name, "/")
    return {"project": environment.project} | arguments | {"id": separator.join([first, *parts])}


def resource_name(target: PolicyTarget, arguments: dict[str, Any], environment: LocalEnvironment) -> str:
    """Return the full name of a grant's resource; the argument may have it already, or the short name."""
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
