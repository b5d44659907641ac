"""Find resources that exist in the project and are in no state, because an apply was killed or a state was lost.

Terraform writes its state at intervals, so the state lacks what a killed apply created last. The next apply would fail
with 409 or create it twice. Names are deterministic, so each resource can be looked up by name and imported.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from operate.cloud import NO_RESPONSE, ApiError, Cloud, CredentialsError, iterate_pages
from operate.errors import OperateError

VARIABLE = "VLILLE_ADOPT"
AT_ONCE = 8
ABSENT = frozenset({403, 404})  # also where the service is not enabled yet
REFERENCE = re.compile(r"\$\{(\w+)\.(\w+)\.(\w+)\}")
AUTHORIZATION = "google_bigquery_dataset_access"
DELETED, FAILED = "DELETED", "FAILED"

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Lookup:
    """How a resource type is looked up: the API, the path below its base URL, and the import ID.

    Both are patterns of the resource's arguments; an empty `id` is the path.
    """

    service: str
    path: str
    id: str = ""


# Other types can be created again without harm (grants, objects), exist in the state alone
# (terraform_data), or cannot be imported (AUTHORIZATION).
LOOKUPS = {
    "google_artifact_registry_repository": Lookup(
        "artifact_registry", "projects/{project}/locations/{location}/repositories/{repository_id}"
    ),
    "google_bigquery_dataset": Lookup("big_query", "projects/{project}/datasets/{dataset_id}"),
    "google_bigquery_table": Lookup(
        "big_query", "projects/{project}/datasets/{dataset_id}/tables/{table_id}"
    ),
    "google_cloud_run_v2_service": Lookup(
        "cloud_run_v2", "projects/{project}/locations/{location}/services/{name}"
    ),
    "google_cloud_scheduler_job": Lookup(
        "cloud_scheduler", "projects/{project}/locations/{region}/jobs/{name}"
    ),
    "google_cloudfunctions2_function": Lookup(
        "cloudfunctions2", "projects/{project}/locations/{location}/functions/{name}"
    ),
    "google_compute_firewall": Lookup("compute", "projects/{project}/global/firewalls/{name}"),
    "google_compute_network": Lookup("compute", "projects/{project}/global/networks/{name}"),
    "google_compute_subnetwork": Lookup("compute", "projects/{project}/regions/{region}/subnetworks/{name}"),
    "google_dataproc_workflow_template": Lookup(
        "dataproc",
        "projects/{project}/regions/{location}/workflowTemplates/{name}",
        "projects/{project}/locations/{location}/workflowTemplates/{name}",
    ),
    "google_iam_workload_identity_pool": Lookup(
        "iam_beta", "projects/{project}/locations/global/workloadIdentityPools/{workload_identity_pool_id}"
    ),
    "google_iam_workload_identity_pool_provider": Lookup(
        "iam_beta",
        "projects/{project}/locations/global/workloadIdentityPools/{workload_identity_pool_id}/providers/"
        "{workload_identity_pool_provider_id}",
    ),
    "google_monitoring_custom_service": Lookup(
        "monitoring",
        "v3/projects/{project}/services/{service_id}",
        "projects/{project}/services/{service_id}",
    ),
    "google_monitoring_slo": Lookup(
        "monitoring",
        "v3/projects/{project}/services/{service}/serviceLevelObjectives/{slo_id}",
        "projects/{project}/services/{service}/serviceLevelObjectives/{slo_id}",
    ),
    "google_project_iam_custom_role": Lookup("iam", "projects/{project}/roles/{role_id}"),
    "google_pubsub_subscription": Lookup("pubsub", "projects/{project}/subscriptions/{name}"),
    "google_pubsub_topic": Lookup("pubsub", "projects/{project}/topics/{name}"),
    "google_service_account": Lookup(
        "iam", "projects/{project}/serviceAccounts/{account_id}@{project}.iam.gserviceaccount.com"
    ),
    "google_storage_bucket": Lookup("storage", "b/{name}", "{name}"),
}
# The server generates the names of these, so they are found by their display name in the list.
LISTED = {
    "google_monitoring_alert_policy": "alertPolicies",
    "google_monitoring_notification_channel": "notificationChannels",
}


@dataclass(frozen=True)
class Existing:
    """A declared resource that exists: its type, its arguments and its import ID."""

    kind: str
    arguments: Arguments
    id: str
    is_failed: bool = False


def find_existing(
    cloud: Cloud, project: str, stack: Mapping[str, Any], known: Collection[str] = ()
) -> dict[str, Existing]:
    """Return, by address, the resources that a stack declares, that exist in the project and that no state holds.

    `stack` is the synthesized JSON, `known` the addresses in the state. Raises OperateError if a lookup fails,
    CredentialsError.
    """
    lookups = {
        address: (kind, arguments)
        for kind, address, arguments in _iterate_resources(stack, project)
        if address not in known and (kind in LOOKUPS or kind in LISTED)
    }
    with ThreadPoolExecutor(AT_ONCE, "adoption") as pool:
        found = pool.map(lambda each: _find_resource(cloud, project, *each), lookups.values())
        return {address: each for address, each in zip(lookups, found, strict=True) if each}


def find_adoptable(
    cloud: Cloud, project: str, stack: Mapping[str, Any], known: Collection[str]
) -> dict[str, str]:
    """Return the import IDs, by address, of the resources that `find_existing` returns.

    Also raises OperateError for a resource that exists and cannot be imported.
    """
    _check_authorizations(cloud, project, stack, known)
    found = find_existing(cloud, project, stack, known)
    for each in found.values():
        if each.is_failed:
            raise OperateError(
                f"{each.id} exists, but its creation failed, so it cannot be imported: delete it in the console, then "
                "run this again"
            )
    return {address: each.id for address, each in found.items()}


def format_adopt_variable(stack: str, ids: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variable that makes the synthesis import these IDs; empty without IDs."""
    return {VARIABLE: json.dumps({stack: dict(ids)})} if ids else {}


def _check_authorizations(
    cloud: Cloud, project: str, stack: Mapping[str, Any], known: Collection[str]
) -> None:
    """Raise OperateError if a dataset already authorizes another: the provider can neither import nor create that."""
    resources = stack.get("resource", {})
    for name, arguments in resources.get(AUTHORIZATION, {}).items():
        if f"{AUTHORIZATION}.{name}" in known:
            continue
        tables = _resolve_references(arguments["dataset_id"], resources)
        views = _resolve_references(arguments["dataset"]["dataset"]["dataset_id"], resources)
        url = f"{cloud.endpoints.big_query}projects/{project}/datasets/{tables}"
        there = _look_up(AUTHORIZATION, {"name": tables}, partial(cloud.call, "GET", url)) or {}
        for entry in there.get("access", []):
            if entry.get("dataset", {}).get("dataset", {}).get("datasetId") == views:
                raise OperateError(
                    f"dataset {tables} authorizes {views} already, which no state knows and Terraform cannot import: "
                    f"remove it in the console ({tables} > Sharing > Authorize datasets), then run this again"
                )


def _iterate_resources(stack: Mapping[str, Any], project: str) -> Iterator[tuple[str, str, Arguments]]:
    """Yield type, address and arguments of each resource, with references to other resources resolved."""
    resources = stack.get("resource", {})
    for kind, named in resources.items():
        for name, arguments in named.items():
            texts = {
                key: _resolve_references(value, resources)
                for key, value in arguments.items()
                if isinstance(value, str)
            }
            yield kind, f"{kind}.{name}", {"project": project} | texts


def _resolve_references(text: str, resources: Mapping[str, Any]) -> str:
    def argument(match: re.Match[str]) -> str:
        kind, name, key = match.groups()
        value = resources.get(kind, {}).get(name, {}).get(key, match[0])
        return value if isinstance(value, str) else match[0]

    return REFERENCE.sub(argument, text)


def _find_resource(cloud: Cloud, project: str, kind: str, arguments: Arguments) -> Existing | None:
    if kind in LISTED:
        name = str(arguments["display_name"])
        id_ = _look_up(kind, arguments, lambda: _find_by_display_name(cloud, project, LISTED[kind], name))
        return Existing(kind, arguments, id_) if id_ else None
    way = LOOKUPS[kind]
    path = way.path.format_map(arguments)
    there = _look_up(
        kind, arguments, lambda: cloud.call("GET", f"{getattr(cloud.endpoints, way.service)}{path}")
    )
    # Terraform itself restores a deleted custom role.
    if there is None or there.get("deleted") or there.get("state") == DELETED:
        return None
    id_ = (way.id or way.path).format_map(arguments)
    return Existing(kind, arguments, id_, is_failed=there.get("state") == FAILED)


def _look_up[T](kind: str, arguments: Arguments, request: Callable[[], T]) -> T | None:
    """Return what the lookup returns, None if there is nothing. Raises OperateError if it fails, CredentialsError."""
    try:
        return request()
    except CredentialsError:
        raise
    except ApiError as error:
        if error.status in ABSENT:
            return None
        what = "does not respond" if error.status == NO_RESPONSE else "cannot be looked up"
        raise OperateError(f"{kind} {arguments.get('name', '')} {what} ({error}): run this again") from None


def _find_by_display_name(cloud: Cloud, project: str, collection: str, display_name: str) -> str | None:
    url = f"{cloud.endpoints.monitoring}v3/projects/{project}/{collection}"
    names = [
        each["name"]
        for each in iterate_pages(cloud, url, collection)
        if each.get("displayName") == display_name
    ]
    return str(names[0]) if names else None
