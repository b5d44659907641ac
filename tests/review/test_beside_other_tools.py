"""What tf-summarize, terraform-j2md, tfcmt and checkov report about three plans, as facts that a comment must have.

The facts were read off the output of these tools (docs/review.md lists their versions); the tools are not run here.
"""

import json
from typing import Any

import pytest

from review.assessment.review import review_plan
from review.cost.price_book import load_price_book
from review.report.document import lay_out_review
from review.report.markdown import render_markdown
from tests.review.conftest import build_context, change

pytestmark = pytest.mark.unit

TABLE = {"dataset_id": "bikes", "table_id": "stations", "deletion_protection": False}
COLUMNS = [{"name": "id", "type": "STRING"}, {"name": "address", "type": "STRING"}]
BUCKET = {"name": "raw", "location": "EUROPE-WEST1", "force_destroy": True, "versioning": [{"enabled": True}]}
CHANGES = [
    change(
        "google_bigquery_table.stations",
        {**TABLE, "labels": {"team": "old"}, "schema": json.dumps(COLUMNS)},
        {**TABLE, "labels": {"team": "new"}, "schema": json.dumps(COLUMNS[:1])},
    ),
    change(
        "google_storage_bucket.raw",
        BUCKET,
        {**BUCKET, "location": "EU", "versioning": []},
        "delete",
        "create",
        replace_paths=[["location"]],
        action_reason="replace_because_cannot_update",
    ),
    change("google_cloudfunctions2_function.old", {"name": "old"}, None),
    change(
        'module.m.google_pubsub_topic.new["a"]',
        {"name": "t"},
        {"name": "t"},
        "no-op",
        previous_address="google_pubsub_topic.former",
    ),
    change(
        "google_service_account.found",
        {"account_id": "i"},
        {"account_id": "i"},
        "no-op",
        importing={"id": "projects/p/serviceAccounts/i"},
    ),
]
OUTPUTS = {
    "url": {"actions": ["create"], "before": None, "after": None, "after_unknown": True},
    "bucket": {"actions": ["update"], "before": "raw", "after": "other"},
}
DRIFT = [
    change(
        "google_project_iam_custom_role.r", {"permissions": ["a.b.c"]}, {"permissions": ["a.b.c", "d.e.f"]}
    )
]
DATABASE = {
    "name": "db",
    "database_version": "POSTGRES_15",
    "deletion_protection": False,
    "settings": [
        {
            "tier": "db-f1-micro",
            "backup_configuration": [{"enabled": False}],
            "ip_configuration": [
                {
                    "ipv4_enabled": True,
                    "ssl_mode": "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
                    "authorized_networks": [{"name": "all", "value": "0.0.0.0/0"}],
                }
            ],
        }
    ],
}
VM = {
    "name": "vm",
    "machine_type": "e2-small",
    "zone": "europe-west1-b",
    "can_ip_forward": True,
    "metadata": {"serial-port-enable": "true"},
    "network_interface": [{"network": "default", "access_config": [{}]}],
    "service_account": [
        {
            "email": "1-compute@developer.gserviceaccount.com",
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }
    ],
}
CLUSTER = {
    "name": "c",
    "location": "europe-west1",
    "enable_legacy_abac": True,
    "master_auth": [{"client_certificate_config": [{"issue_client_certificate": True}]}],
}
FIREWALL = {
    "name": "ssh",
    "network": "default",
    "direction": "INGRESS",
    "source_ranges": ["0.0.0.0/0"],
    "allow": [{"protocol": "tcp", "ports": ["22", "3389"]}],
}
NEW = [
    change("google_compute_firewall.ssh", None, FIREWALL),
    change("google_sql_database_instance.db", None, DATABASE),
    change("google_compute_instance.vm", None, VM),
    change("google_container_cluster.c", None, CLUSTER),
    change(
        "google_storage_bucket.open",
        None,
        {"name": "open", "uniform_bucket_level_access": False, "public_access_prevention": "inherited"},
    ),
    change("google_kms_crypto_key.k", None, {"name": "k", "key_ring": "r", "rotation_period": None}),
    change(
        "google_project_iam_member.editor",
        None,
        {"project": "p", "role": "roles/editor", "member": "serviceAccount:1-compute@developer.gserviceaccount.com"},
    ),
]  # fmt: skip
SECRET = [
    change(
        "google_sql_user.app",
        {"name": "app", "instance": "db", "password": "hunter2-before"},
        {"name": "app", "instance": "db", "password": "hunter2-after"},
        sensitive=({"password": True}, {"password": True}),
    ),
    change("google_redis_instance.cache", {"name": "c", "memory_size_gb": 2}, {"name": "c", "memory_size_gb": 1}),
]  # fmt: skip

# Plan → its changes and other parts, and what a tool tells of it → how our comment does.
PLANS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, str]]] = {
    "every action": (
        CHANGES,
        {"output_changes": OUTPUTS, "resource_drift": DRIFT},
        {
            "tf-summarize, tfcmt: counts": "1 updated, 1 replaced, 1 deleted, 1 moved, 1 imported",
            "tf-summarize: update": "table `google_bigquery_table.stations`",
            "tf-summarize: recreate": "bucket `google_storage_bucket.raw`",
            "tf-summarize: delete": "function `google_cloudfunctions2_function.old`",
            "tf-summarize: moved to": '`module.m.google_pubsub_topic.new["a"]`',
            "tf-summarize: moved from": "`google_pubsub_topic.former`",
            "tf-summarize: import": "`google_service_account.found`",
            "terraform-j2md: import id": "`projects/p/serviceAccounts/i`",
            "tf-summarize: output added": "`url` is new",
            "tf-summarize: output changed": "`bucket`: `raw` → `other`",
            "terraform-j2md: label": "`labels.team`: `old` → `new`",
            "terraform-j2md: schema": '`schema[address]`: `{"name": "address", "type": "STRING"}` → `unset`',
            "terraform-j2md: location": "`location`: `EUROPE-WEST1` → `EU`",
            "terraform-j2md: versioning": '`versioning`: `{"enabled": true}` → `unset`',
            "terraform-j2md: deleted values": "`name`: `old` → `unset`",
            "tfcmt: objects changed outside of Terraform": "`permissions`: `unset` → `d.e.f`",
            "checkov: versioning off": "no longer keeps old versions",
        },
    ),
    "everything new": (
        NEW,
        {},
        {
            "terraform-j2md: false is shown": "`deletion_protection`: `unset` → `false`",
            "terraform-j2md: nested values": "`source_ranges`: `unset` → `[\"0.0.0.0/0\"]`",
            "checkov GCP_2, GCP_3": "the whole internet can now reach every VM of the network on `tcp 22` and",
            "checkov GCP_6": "accepts connections without TLS",
            "checkov GCP_11": "`google_sql_database_instance.db` | the whole internet can connect",
            "checkov GCP_14": "is not backed up",
            "checkov GCP_60": "has an external address (`settings.ip_configuration.ipv4_enabled`)",
            "checkov GCP_51 to 54, 108 to 111": "no database flag turns on logs",
            "checkov GCP_79": "`database_version`: `unset` → `POSTGRES_15`",
            "checkov GCP_30, 31": "runs as the default service account with the scope of every API",
            "checkov GCP_32": "SSH keys in the project metadata are accepted",
            "checkov GCP_35": "metadata `serial-port-enable` changes from `unset` to `true`",
            "checkov GCP_36": "`can_ip_forward` is `true`",
            "checkov GCP_38": "`boot_disk.kms_key_self_link`",
            "checkov GCP_39": "boots without Secure Boot",
            "checkov GCP_40": "gets a public address",
            "checkov GCP_7": "`enable_legacy_abac` is `true`",
            "checkov GCP_12": "network policies are not enforced",
            "checkov GCP_13": "`master_auth.client_certificate_config.issue_client_certificate` is `true`",
            "checkov GCP_20": "the control plane can be reached from any address",
            "checkov GCP_21": "has no labels",
            "checkov GCP_23": "pods have no alias IP ranges",
            "checkov GCP_25, 64": "nodes have external addresses",
            "checkov GCP_61": "traffic between pods of a node is not seen",
            "checkov GCP_65": "Google Groups for RBAC is not configured",
            "checkov GCP_66": "Binary Authorization does not check images",
            "checkov GCP_69": "pods can use the service account of their node",
            "checkov GCP_70": "no release channel upgrades it",
            "checkov GCP_29": "ACLs of single objects can grant access",
            "checkov GCP_62": "access is not logged to a bucket",
            "checkov GCP_78": "replaced and deleted objects are not kept as versions",
            "checkov GCP_114": "public access prevention is not enforced",
            "checkov GCP_43": "is never rotated",
            "checkov GCP_46, 49, 117": "delete nearly everything on project `p` (`roles/editor`): a basic role",
        },
    ),
    "a secret and a size": (
        SECRET,
        {},
        {
            "tf-summarize: update": "`google_sql_user.app`",
            "terraform-j2md: size": "from `2` to `1` GiB",
            "terraform-j2md: a secret changes": "`password`: changed (sensitive)",
            "checkov GCP_95, 97 on an update": "redis instance `google_redis_instance.cache`",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("plan", PLANS)
def test_nothing_that_another_tool_tells_is_missing(plan: str) -> None:
    changes, more, facts = PLANS[plan]
    comment = render_markdown(lay_out_review(review_plan(build_context(*changes, **more), load_price_book())))
    assert not [tool for tool, fact in facts.items() if fact not in comment], comment
    assert "hunter2" not in comment
