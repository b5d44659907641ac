"""Name resources: by the path of their construct if the stack has it, else by their address."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from review.findings.text import span
from review.plan.model import Change, strip_indexes

HASH = re.compile(r"_[0-9A-F]{8}(?=$|[\[.\"])")  # what CDKTF appends to a construct's name

# Types whose usual noun is not their name without the provider's prefix.
NOUNS = {
    "google_artifact_registry_repository": "repository",
    "google_bigquery_dataset": "dataset",
    "google_bigquery_table": "table",
    "google_bigquery_routine": "routine",
    "google_cloud_run_service": "service",
    "google_cloud_run_v2_service": "service",
    "google_cloud_run_v2_job": "job",
    "google_cloud_scheduler_job": "schedule",
    "google_cloudfunctions_function": "function",
    "google_cloudfunctions2_function": "function",
    "google_compute_firewall": "firewall rule",
    "google_compute_network": "network",
    "google_compute_subnetwork": "subnetwork",
    "google_dataproc_workflow_template": "workflow template",
    "google_project_iam_custom_role": "custom role",
    "google_project_service": "API",
    "google_pubsub_schema": "message schema",
    "google_pubsub_subscription": "subscription",
    "google_pubsub_topic": "topic",
    "google_secret_manager_secret": "secret",
    "google_secret_manager_secret_version": "version of a secret",
    "google_service_account": "service account",
    "google_storage_bucket": "bucket",
    "google_storage_bucket_object": "object",
}


def type_noun(type_: str) -> str:
    """Return the noun of a type: `bucket`, `compute router nat`."""
    known = NOUNS.get(type_)
    if known:
        return known
    rest = type_.removeprefix("google_")
    return rest.replace("_", " ") if re.fullmatch(r"[a-z0-9_]{1,80}", rest) else "resource"


class Names:
    """Names of addresses. `constructs` maps `type.name` to the construct's path, as CDKTF writes it."""

    def __init__(self, addresses: Iterable[str], constructs: Mapping[str, str] | None = None) -> None:
        self._constructs = constructs or {}
        self._short: dict[str, str] = {}
        taken: dict[str, set[str]] = {}
        for address in addresses:
            taken.setdefault(HASH.sub("", address), set()).add(address)
        for short, same in taken.items():
            for address in same:  # addresses that differ only by their hash keep it
                self._short[address] = short if len(same) == 1 else address

    def of(self, address: str) -> str:
        """Return the name of an address, as plain text."""
        bare = strip_indexes(address)
        path = self._constructs.get(bare)
        if path:
            return path + address[len(bare) :] if address.startswith(bare) else path
        return self._short.get(address) or HASH.sub("", address)

    def where(self, change: Change) -> str:
        """Return the noun and the name of a change's resource, the name as a span."""
        return f"{type_noun(change.type)} {span(self.of(change.address))}"


def read_construct_paths(document: Mapping[str, Any]) -> dict[str, str]:
    """Return `type.name` → path below the stack for each resource of a synthesized stack (`cdk.tf.json`)."""
    found: dict[str, str] = {}
    for section, prefix in (("resource", ""), ("data", "data.")):
        for type_, resources in _mapping(document.get(section)).items():
            for name, values in _mapping(resources).items():
                path = _mapping(_mapping(_mapping(values).get("//")).get("metadata")).get("path")
                if isinstance(path, str) and "/" in path:
                    found[f"{prefix}{type_}.{name}"] = path.partition("/")[2]
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
