"""List the resources of an environment that exist in a project; after a destroy, these are orphaned.

Each resource that the stack declares is looked up by its name, without a state. So are resources that Google Cloud
creates for them (buckets of Cloud Functions, clusters, disks) and grants to their service accounts. The state bucket
and CI's two service accounts are left out: `make unbootstrap` deletes them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk.settings import WORKLOADS, Settings
from operate.cloud import ApiError, Cloud, CredentialsError, iterate_pages
from operate.deployment.adoption import Existing, find_existing
from operate.errors import OperateError
from operate.target import Target

OF_FUNCTIONS = re.compile(r"gcf-v2-(sources|uploads)-")  # Cloud Functions' own, made at the first build
IMAGES_OF_FUNCTIONS = "gcf-artifacts"
OWN_REPOSITORY = "vlille"
CLUSTER = "vlille-batch"


@dataclass(frozen=True)
class OrphanedResource:
    """A resource that exists: its kind, name, location (a region or a zone) and a note on its content.

    `is_declared` is False for a resource that Google Cloud created in addition to the stack.
    """

    kind: str
    name: str
    location: str = ""
    more: str = ""
    is_declared: bool = True


@dataclass(frozen=True)
class ResourceKind:
    """The display name of a resource type, and the command that deletes one.

    `name` and `location` are patterns of the arguments of a declared resource.
    """

    word: str
    command: str
    name: str = "{name}"
    location: str = ""


# gcloud has no command for these.
DELETE_BY_REST = (
    'curl -X DELETE -H "Authorization: Bearer $(gcloud auth print-access-token)" '
    "https://monitoring.googleapis.com/v3/{name}"
)
# By type, in the order in which they can be deleted. Missing types are deleted with their parent, or are in no project.
KINDS: dict[str, ResourceKind] = {
    "google_cloud_scheduler_job": ResourceKind(
        "scheduler job", "gcloud scheduler jobs delete {name} --location={location}", location="{region}"
    ),
    "google_dataproc_workflow_template": ResourceKind(
        "workflow template",
        "gcloud dataproc workflow-templates delete {name} --region={location}",
        location="{location}",
    ),
    "cluster": ResourceKind("cluster", "gcloud dataproc clusters delete {name} --region={location}"),
    "disk": ResourceKind("disk", "gcloud compute disks delete {name} --zone={location}"),
    "google_pubsub_subscription": ResourceKind("subscription", "gcloud pubsub subscriptions delete {name}"),
    "google_pubsub_topic": ResourceKind("topic", "gcloud pubsub topics delete {name}"),
    "google_cloudfunctions2_function": ResourceKind(
        "function", "gcloud functions delete {name} --gen2 --region={location}", location="{location}"
    ),
    "google_cloud_run_v2_service": ResourceKind(
        "service", "gcloud run services delete {name} --region={location}", location="{location}"
    ),
    "google_artifact_registry_repository": ResourceKind(
        "repository",
        "gcloud artifacts repositories delete {name} --location={location}",
        "{repository_id}",
        "{location}",
    ),
    "google_monitoring_alert_policy": ResourceKind(
        "alert policy", "gcloud monitoring policies delete {name}", "{id}"
    ),
    "google_monitoring_slo": ResourceKind("service level objective", DELETE_BY_REST, "{id}"),
    "google_monitoring_custom_service": ResourceKind("monitored service", DELETE_BY_REST, "{id}"),
    "google_monitoring_notification_channel": ResourceKind(
        "notification channel", "gcloud beta monitoring channels delete {name}", "{id}"
    ),
    "google_bigquery_dataset": ResourceKind(
        "dataset", "bq rm --recursive --force --dataset {project}:{name}", "{dataset_id}"
    ),
    "google_bigquery_table": ResourceKind(
        "table", "bq rm --force --table {project}:{name}", "{dataset_id}.{table_id}"
    ),
    "google_storage_bucket": ResourceKind("bucket", "gcloud storage rm --recursive gs://{name}"),
    "google_compute_firewall": ResourceKind("firewall rule", "gcloud compute firewall-rules delete {name}"),
    "google_compute_subnetwork": ResourceKind(
        "subnetwork", "gcloud compute networks subnets delete {name} --region={location}", location="{region}"
    ),
    "google_compute_network": ResourceKind("network", "gcloud compute networks delete {name}"),
    "google_project_iam_member": ResourceKind(
        "grant", "gcloud projects remove-iam-policy-binding {project} {name} --all"
    ),
    "google_project_iam_custom_role": ResourceKind(
        "custom role", "gcloud iam roles delete {name}", "{role_id}"
    ),
    "google_service_account": ResourceKind(
        "service account",
        "gcloud iam service-accounts delete {name}",
        "{account_id}@{project}.iam.gserviceaccount.com",
    ),
}
OWN_PROJECT = frozenset(
    {
        *("google_bigquery_dataset", "google_bigquery_table", "google_project_iam_member"),
        *("google_monitoring_custom_service", "google_monitoring_slo"),
    }
)
BY_WORD = {kind.word: type_ for type_, kind in KINDS.items()}


def find_orphaned_resources(
    cloud: Cloud, settings: Settings, stack: Mapping[str, Any]
) -> list[OrphanedResource]:
    """Return the resources of a synthesized stack that exist, in the order in which they can be deleted.

    Raises OperateError if a list fails; an API that is not enabled has no resources.
    """
    searches: dict[str, Callable[[Cloud, Settings], Iterable[OrphanedResource]]] = {
        "clusters": _list_clusters,
        "disks": _list_disks,
        "repositories": _list_repositories,
        "buckets": _list_buckets,
        "grants": _list_grants,
        "service accounts": _list_service_accounts,
    }
    existing = find_existing(cloud, settings.project, stack)
    found = {
        (resource.kind, resource.name): resource
        for resource in _iterate_declared(existing.values(), settings)
    }
    for what, search in searches.items():
        try:
            for resource in search(cloud, settings):
                key = resource.kind, resource.name
                found[key] = resource if key not in found else _merge(found[key], resource)
        except CredentialsError:
            raise
        except ApiError as error:
            if not error.is_api_disabled:
                raise OperateError(
                    f"the {what} of {settings.project} cannot be listed ({error}): fix the cause, then run this again"
                ) from None
    order = list(KINDS)
    return sorted(found.values(), key=lambda resource: (order.index(BY_WORD[resource.kind]), resource.name))


def format_orphaned_resources(found: list[OrphanedResource], settings: Settings, target: Target) -> list[str]:
    """Return one line per orphaned resource, with the command that deletes it."""
    if not found:
        return [f"{settings.project} has no orphaned resources of vlille"]
    lines = [f"{settings.project} still has {len(found)} resources of vlille:"]
    for resource in found:
        line = f"  {resource.kind} {resource.name}{f' ({resource.more})' if resource.more else ''}"
        lines.append(
            line if target.local_folder else f"{line}: {_format_removal_command(resource, settings)}"
        )
    deploy, destroy = target.format_command("deploy"), target.format_command("destroy")
    lines.append(f"{deploy} imports the resources that no state holds; then run {destroy}")
    if target.local_folder:
        lines.append(
            f"or, with all its data: `make down ENV={target.environment} && rm -r {target.local_folder}`"
        )
    return lines


def _iterate_declared(existing: Iterable[Existing], settings: Settings) -> Iterator[OrphanedResource]:
    resource = list(existing)
    datasets = {each.arguments["dataset_id"] for each in resource if each.kind == "google_bigquery_dataset"}
    for each in resource:
        # A dataset is removed with its tables.
        if each.kind == "google_bigquery_table" and each.arguments["dataset_id"] in datasets:
            continue
        kind, arguments = KINDS[each.kind], {**each.arguments, "id": each.id}
        yield OrphanedResource(
            kind.word,
            kind.name.format_map(arguments),
            kind.location.format_map(arguments),
            "it failed to be created" if each.is_failed else "",
        )


def _merge(declared: OrphanedResource, listed: OrphanedResource) -> OrphanedResource:
    """Add location and note from a list to a declared resource."""
    return OrphanedResource(declared.kind, declared.name, declared.location or listed.location, listed.more)


def _format_removal_command(resource: OrphanedResource, settings: Settings) -> str:
    type_ = BY_WORD[resource.kind]
    words = KINDS[type_].command.format(
        name=resource.name, location=resource.location, project=settings.project
    )
    return f"`{words}`" if type_ in OWN_PROJECT else f"`{words} --project={settings.project}`"


def _list_buckets(cloud: Cloud, settings: Settings) -> Iterator[OrphanedResource]:
    for each in iterate_pages(cloud, f"{cloud.endpoints.storage}b", "items", project=settings.project):
        if OF_FUNCTIONS.match(each["name"]):
            yield OrphanedResource("bucket", each["name"], is_declared=False)


def is_own_account(email: str, settings: Settings) -> bool:
    """Return whether a service account is the environment's, or of a workload that it had in a former version.

    CI's accounts, and those of other environments in the project, have more words behind a workload's name.
    """
    name, _, domain = email.partition("@")
    if domain != f"{settings.project}.iam.gserviceaccount.com":
        return False
    if name in {settings.name(f"vlille-{workload}") for workload in WORKLOADS}:
        return True
    others = tuple(f"vlille-{word}-" for word in (*WORKLOADS, "ci"))
    return not settings.shared_project and name.startswith("vlille-") and not name.startswith(others)


def is_of_cluster(name: str, settings: Settings) -> bool:
    """Return whether a cluster, or a disk of one, is the environment's: Dataproc adds letters, and `-m` or `-w-0`."""
    cluster = re.escape(settings.name(CLUSTER))
    return re.fullmatch(rf"{cluster}(-[a-z0-9]+)?(-(m|s?w)(-[a-z0-9]+)?)?", name) is not None


def _list_service_accounts(cloud: Cloud, settings: Settings) -> Iterator[OrphanedResource]:
    url = f"{cloud.endpoints.iam}projects/{settings.project}/serviceAccounts"
    for each in iterate_pages(cloud, url, "accounts"):
        if is_own_account(each["email"], settings):
            yield OrphanedResource("service account", each["email"])


def _list_grants(cloud: Cloud, settings: Settings) -> Iterator[OrphanedResource]:
    """Yield project roles of the environment's service accounts, deleted accounts included."""
    url = f"{cloud.endpoints.resource_manager}projects/{settings.project}:getIamPolicy"
    policy = cloud.call("POST", url, json={"options": {"requestedPolicyVersion": 3}})
    for binding in policy.get("bindings", []):
        for member in binding.get("members", []):
            email = re.match(r"(?:deleted:)?serviceAccount:([^?]+)", member)
            if email and is_own_account(email[1], settings):
                yield OrphanedResource("grant", f"--role={binding['role']} --member='{member}'")


def _list_repositories(cloud: Cloud, settings: Settings) -> Iterator[OrphanedResource]:
    parent, own = (
        f"projects/{settings.project}/locations/{settings.region}/repositories",
        settings.name(OWN_REPOSITORY),
    )
    for each in iterate_pages(cloud, f"{cloud.endpoints.artifact_registry}{parent}", "repositories"):
        name = _last_segment(each["name"])
        if name in (own, IMAGES_OF_FUNCTIONS):
            url = f"{cloud.endpoints.artifact_registry}{parent}/{name}/dockerImages"
            count = sum(1 for _ in iterate_pages(cloud, url, "dockerImages"))
            yield OrphanedResource(
                "repository", name, settings.region, f"{count} images", is_declared=name == own
            )


def _list_disks(cloud: Cloud, settings: Settings) -> Iterator[OrphanedResource]:
    """Yield the cluster's disks; Compute Engine lists them by zone."""
    url = f"{cloud.endpoints.compute}projects/{settings.project}/aggregated/disks"
    parameters: dict[str, str] = {}
    while True:
        page = cloud.call("GET", url, params=parameters)
        for zone, inside in page.get("items", {}).items():
            for disk in inside.get("disks", []):
                if is_of_cluster(disk["name"], settings):
                    size = f"{disk.get('sizeGb', '?')} GB"
                    yield OrphanedResource("disk", disk["name"], _last_segment(zone), size, is_declared=False)
        if not (token := page.get("nextPageToken")):
            return
        parameters["pageToken"] = str(token)


def _list_clusters(cloud: Cloud, settings: Settings) -> Iterator[OrphanedResource]:
    url = f"{cloud.endpoints.dataproc}projects/{settings.project}/regions/{settings.region}/clusters"
    for each in iterate_pages(cloud, url, "clusters"):
        if is_of_cluster(each["clusterName"], settings):
            yield OrphanedResource("cluster", each["clusterName"], settings.region, is_declared=False)


def _last_segment(name: str) -> str:
    return name.rpartition("/")[2]
