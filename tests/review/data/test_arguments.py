"""Arguments whose change in place loses data, that decide what a deletion leaves, or that protect from one."""

from typing import Any

import pytest

from review.data.arguments import RULES
from review.data.destruction import PROTECTIONS
from review.findings.text import strip_markup
from review.google_cloud.resource_types import look_up_type
from review.report.answers import Verdict, answer_questions
from tests.review.conftest import change, review_changes, summarize_findings

pytestmark = pytest.mark.unit

Case = tuple[str, dict[str, Any], dict[str, Any], str, str]
OPTIONS = "transfer_options"
CASES: dict[str, Case] = {
    "a key version destroyed": (
        "google_kms_crypto_key_version", {"state": "ENABLED"}, {"state": "DESTROYED"},
        "data loss", "can no longer be read afterwards",
    ),
    "a key version disabled": (
        "google_kms_crypto_key_version", {"state": "ENABLED"}, {"state": "DISABLED"},
        "service interrupted", "is disabled",
    ),
    "a key version that is destroyed already": (
        "google_kms_crypto_key_version", {"state": "DESTROYED", "attestation": 1},
        {"state": "DESTROYED", "attestation": 2}, "change", "attestation: 1 → 2",
    ),
    "a secret that expires": (
        "google_secret_manager_secret", {"secret_id": "s"}, {"secret_id": "s", "ttl": "3600s"},
        "data loss", "is deleted with all its versions 3600s after the apply",
    ),
    "a regional one": (
        "google_secret_manager_regional_secret", {"secret_id": "s"},
        {"secret_id": "s", "expire_time": "2027-01-01T00:00:00Z"}, "data loss", "at 2027-01-01T00:00:00Z",
    ),
    "a cache that shrinks": (
        "google_redis_cluster", {"shard_count": 5}, {"shard_count": 3}, "data loss possible", "from 5 to 3 shards",
    ),
    "earlier versions of rows": (
        "google_spanner_database", {"version_retention_period": "7d"}, {"version_retention_period": "1h"},
        "needs care", "for 1h instead of 7d",
    ),
    "and more of them": (
        "google_spanner_database", {"version_retention_period": "1h"}, {"version_retention_period": "7d"},
        "change", "1h → 7d",
    ),
    "backups that are fewer": (
        "google_netapp_backup_policy", {"daily_backup_limit": 7}, {"daily_backup_limit": 2},
        "data loss", "keeps 2 backups instead of 7",
    ),
    "a disk that is detached": (
        "google_compute_instance", {"attached_disk": [{"source": "d"}]}, {"attached_disk": []},
        "service interrupted", "keeps its data",
    ),
    "protection by another name": (
        "google_spanner_database", {"enable_drop_protection": True}, {"enable_drop_protection": False},
        "needs care", "deletion protection is turned off",
    ),
    "protection of an instance": (
        "google_filestore_instance", {"deletion_protection_enabled": True}, {"deletion_protection_enabled": False},
        "needs care", "deletion protection is turned off",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_a_change_in_place_reports_its_effect_on_data(what: str) -> None:
    type_, old, new, severity, words = CASES[what]
    found = summarize_findings(change(f"{type_}.x", old, new))
    assert any(each == severity and words in sentence for each, sentence in found), found
    assert found[0][0] == severity


def test_a_transfer_that_deletes_is_reported_when_it_is_made() -> None:
    job = {"transfer_spec": [{OPTIONS: [{"delete_objects_unique_in_sink": True}]}]}
    assert summarize_findings(change("google_storage_transfer_job.j", None, job))[0][0] == "data loss"


@pytest.mark.parametrize(
    ("type_", "old", "severity", "words"),
    [
        ("google_dataflow_job", {"on_delete": "drain"}, "service interrupted", "is drained"),
        ("google_dataflow_job", {"on_delete": "cancel"}, "data loss possible", "in-flight data is lost"),
        (
            "google_deployment_manager_deployment",
            {"delete_policy": "ABANDON"},
            "needs care",
            "is abandoned",
        ),
        (
            "google_deployment_manager_deployment",
            {"delete_policy": "DELETE"},
            "data loss possible",
            "everything",
        ),
        (
            "google_secret_manager_secret_version",
            {"deletion_policy": "DISABLE"},
            "service interrupted",
            "disabled",
        ),
        ("google_app_engine_standard_app_version", {"noop_on_destroy": True}, "note", "the version stays"),
        ("google_kms_ekm_connection", {"name": "c"}, "note", "cannot be deleted"),
        (
            "google_iam_workload_identity_pool",
            {"name": "p"},
            "service interrupted",
            "cannot be used again for 30 days",
        ),
    ],
)
def test_resources_that_a_deletion_leaves_are_reported(
    type_: str, old: dict[str, Any], severity: str, words: str
) -> None:
    found = summarize_findings(change(f"{type_}.x", old, None))
    assert any(each == severity and words in sentence for each, sentence in found), found


PROTECTED: dict[str, dict[str, Any]] = {
    "google_bigtable_table": {"deletion_protection": "PROTECTED"},
    "google_container_cluster": {"deletion_protection": True},
    "google_filestore_instance": {"deletion_protection_enabled": True},
    "google_sql_database_instance": {"settings": [{"deletion_protection_enabled": True}]},
    "google_firestore_database": {
        "delete_protection_state": "DELETE_PROTECTION_ENABLED",
        "deletion_policy": "DELETE",
    },
    "google_spanner_database": {"enable_drop_protection": True},
}


@pytest.mark.parametrize("type_", PROTECTED)
def test_every_spelling_of_deletion_protection_is_known(type_: str) -> None:
    assert "the apply fails" in summarize_findings(change(f"{type_}.x", PROTECTED[type_], None))[0][1]


def test_protections_and_rules_name_existing_arguments() -> None:
    for rule in RULES:
        if "*" not in rule.type + rule.path:
            found = look_up_type(rule.type)
            assert found is not None
            assert rule.path.split(".")[0] in found.attributes, rule
    for path, _ in PROTECTIONS:
        assert any(
            path.split(".")[0] in found.attributes for each in PROTECTED if (found := look_up_type(each))
        ) or (path == "delete_protection")


def test_each_finding_says_how_it_can_be_reverted() -> None:
    """Reverting an import would delete; a forgotten resource is imported again; an action cannot be reverted."""
    values = {"name": "t"}
    imported = review_changes(change("google_pubsub_topic.t", values, values, "no-op", importing={"id": "t"}))
    assert [each.recovery for each in imported.findings] == [
        "with a removed block: reverting the import would delete it"
    ]
    forgotten = review_changes(change("google_pubsub_topic.t", values, None, "forget"))
    assert forgotten.findings[0].recovery.startswith("by importing it again")
    for found in (imported, forgotten):
        revertible = list(answer_questions(found))[-1]
        assert revertible.verdict is Verdict.NO
        assert strip_markup(revertible.text).startswith("only manually")
