"""What a deletion leaves in Google Cloud, and how it can be reverted, as the provider and the services document it."""

from typing import Any

import pytest

from review.data.retained import is_left_in_place
from review.google_cloud.resource_types import look_up_type, read_types
from review.plan.model import Change
from tests.review.conftest import change, review_changes

pytestmark = pytest.mark.unit

# What is deleted → severity and recovery of the most severe finding.
DELETIONS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "the primary instance, whose data its cluster keeps": (
        "google_alloydb_instance", {"instance_type": "PRIMARY"}, "service interrupted", "yes",
    ),
    "a secondary instance, which only its cluster deletes": (
        "google_alloydb_instance", {"instance_type": "SECONDARY"}, "needs care", "by importing it again",
    ),
    "the logs bucket that every project has": (
        "google_logging_project_bucket_config", {"bucket_id": "_Default"}, "note", "by importing it again",
    ),
    "another logs bucket": (
        "google_logging_project_bucket_config", {"bucket_id": "audit"}, "data loss",
        "manually, within 7 days (undelete)",
    ),
    "a project": ("google_project", {"project_id": "p"}, "data loss", "manually, within 30 days (undelete)"),
    "a Bigtable table": ("google_bigtable_table", {"name": "t"}, "data loss", "manually, within 7 days (undelete)"),
    "a schedule of backups": (
        "google_spanner_backup_schedule", {"name": "s"}, "data loss possible",
        "yes, but backups of the meantime are missing",
    ),
    "a client certificate": ("google_sql_ssl_cert", {"common_name": "c"}, "service interrupted", "no"),
    "the key of a service account": (
        "google_storage_hmac_key", {"service_account_email": "a@p.iam"}, "service interrupted", "no",
    ),
    "an API key": (
        "google_apikeys_key", {"name": "k"}, "service interrupted", "manually, within 30 days (undelete)",
    ),
    "a schema that topics use": ("google_pubsub_schema", {"name": "s"}, "service interrupted", "yes"),
    "a floor setting, which the provider cannot delete": (
        "google_model_armor_floorsetting", {"location": "global"}, "note", "by importing it again",
    ),
    "an import job, which gives no access back": (
        "google_kms_key_ring_import_job", {"key_ring": "r"}, "note", "by importing it again",
    ),
    "a user that is abandoned and can still log in": (
        "google_sql_user", {"name": "u", "deletion_policy": "ABANDON"}, "needs care", "by importing it again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DELETIONS)
def test_a_deletion_is_as_severe_as_what_it_takes(what: str) -> None:
    type_, values, severity, recovery = DELETIONS[what]
    found = review_changes(change(f"{type_}.x", values, None)).findings
    assert (found[0].severity.label, found[0].recovery) == (severity, recovery), found[0].sentence


def test_access_to_what_stays_does_not_end() -> None:
    for type_, values, _, _ in DELETIONS.values():
        if is_left_in_place(Change("x.y", type_, ("delete",), before=values)):
            sentences = [
                each.sentence for each in review_changes(change(f"{type_}.x", values, None)).findings
            ]
            assert not [each for each in sentences if "ends" in each], sentences


def test_a_type_is_either_kept_or_lost() -> None:
    for type_ in read_types():
        found = look_up_type(type_)
        assert found is not None
        assert not (found.kept_because and (found.data or found.recovery)), type_
        assert not found.recovery or found.recovery.startswith(("yes", "manually")), type_
