"""An argument whose name indicates access is evaluated, or listed as not examined; "nobody" is no default."""

import inspect
import json
import re
from typing import Any

import pytest

from review.access.exposure import ACCESS_ARGUMENTS, TABLE, UNRELATED_NAMES
from review.google_cloud.resource_types import read_types
from review.report.answers import Verdict, answer_questions
from review.types.registry import find_renderers
from tests.review.conftest import change, review_changes

pytestmark = pytest.mark.unit

EXPOSURE = json.loads(TABLE.read_text("utf-8"))
# Names that indicate access, of arguments that give none in these types.
NO_ACCESS = {
    "google_cloud_scheduler_job": {"audience"},
    "google_compute_instance": {"alias_ip_range", "external_ipv6", "external_ipv6_prefix_length", "nat_ip",
                                "public_ptr_domain_name"},
    "google_compute_subnetwork": {"external_ipv6_prefix", "role", "secondary_ip_range"},
    "google_container_node_pool": {"pod_ipv4_cidr_block"},
    "google_pubsub_subscription": {"audience"},
    "google_pubsub_topic": {"allowed_persistence_regions", "consumer_arn"},
    "google_service_account_key": {"public_key", "public_key_data", "public_key_type"},
    "google_sql_database_instance": {"allocated_ip_range", "consumer_network", "deny_maintenance_period", "password",
                                     "password_change_interval", "public_ip_address"},
    "google_artifact_registry_repository": {"public_repository"},
}  # fmt: skip
SECTIONS = ("grants", "restricts", "watches", "hides", "redirects")


def list_names(type_: str) -> set[str]:
    row = read_types()[type_]
    inside = {each.rstrip("+*") for each in row.get("inside", "").split()}
    return set(row.get("attributes", "").split()) | inside


def is_in_a_section(type_: str) -> bool:
    return any(
        re.fullmatch(key.replace("*", ".*"), type_) for section in SECTIONS for key in EXPOSURE[section]
    )


def test_the_renderer_of_a_type_evaluates_each_argument_about_access() -> None:
    """Each one occurs in the renderer's code, in a rule of the table, or among those that are not evaluated."""
    for type_ in read_types():
        renderers = find_renderers(type_)
        if not renderers or "_iam_" in type_ or is_in_a_section(type_):
            continue
        listed = [
            path
            for part in ("arguments", "not_evaluated")
            for key, paths in EXPOSURE[part].items()
            if re.fullmatch(key.replace("*", ".*"), type_)
            for path in paths
        ]
        known = " ".join([*map(inspect.getsource, renderers), *listed])
        names = {each for each in list_names(type_) if ACCESS_ARGUMENTS.fullmatch(each)}
        missing = {
            each
            for each in names - NO_ACCESS.get(type_, set())
            if not UNRELATED_NAMES.fullmatch(each)
            and not re.search(rf"\b{each}\b", known)
            and each != "firewall_policy"
        }
        assert not missing, (type_, missing)


def nest(path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    return {first: [nest(rest, value)] if rest else value}


@pytest.mark.parametrize(
    ("type_", "path", "before", "after", "examined"),
    [
        ("google_container_cluster", "node_config.kubelet_config.insecure_kubelet_readonly_port_enabled", "FALSE",
         "TRUE", False),
        ("google_storage_bucket", "cors.origin", ["https://a"], ["*"], False),
        ("google_compute_network_firewall_policy_rule", "match.dest_ip_ranges", ["10.0.0.0/8"], ["0.0.0.0/0"], False),
        ("google_network_security_server_tls_policy", "allow_open", False, True, False),
        ("google_certificate_manager_trust_config", "trust_stores.trust_anchors.pem_certificate", "a", "b", False),
        ("google_vmwareengine_network_policy", "internet_access.enabled", False, True, False),
        ("google_compute_disk", "users", ["a"], ["b"], True),
        ("google_compute_disk", "labels", {"role": "a"}, {"role": "b"}, True),
        ("google_filestore_instance", "description", "a", "b", True),
    ],
)  # fmt: skip
def test_nobody_is_the_answer_only_about_what_was_examined(
    type_: str, path: str, before: Any, after: Any, *, examined: bool
) -> None:
    found = review_changes(
        change(f"{type_}.x", {"name": "x", **nest(path, before)}, {"name": "x", **nest(path, after)})
    )
    verdict = {each.question: each.verdict for each in answer_questions(found)}["Who gains access?"]
    assert (verdict is Verdict.NO) is examined, verdict
