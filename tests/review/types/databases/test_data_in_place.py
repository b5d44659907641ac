"""Data lost without a deletion, and resources that a deletion leaves."""

from typing import Any

import pytest

from tests.review.conftest import change, summarize_findings

pytestmark = pytest.mark.unit

LOSS, CARE, STOPS, NOTE, POSSIBLE = (
    "data loss", "needs care", "service interrupted", "note", "data loss possible"
)  # fmt: skip
FAMILIES = [{"family": "trips"}, {"family": "stations"}]
CASES: dict[str, tuple[str, Any, Any, str, str]] = {
    "a family dropped": (
        "google_bigtable_table",
        {"column_family": FAMILIES},
        {"column_family": FAMILIES[:1]},
        LOSS,
        "column family stations is removed",
    ),
    "a family added": (
        "google_bigtable_table",
        {"column_family": FAMILIES[:1]},
        {"column_family": FAMILIES},
        "change",
        "is updated in place",
    ),
    "cells that are collected": (
        "google_bigtable_gc_policy",
        None,
        {"column_family": "trips", "max_age": [{"duration": "24h"}]},
        LOSS,
        "garbage collection deletes cells of column family trips by the rule age 24h",
    ),
    "a table dropped": (
        "google_spanner_database",
        {"ddl": ["A"]},
        {"ddl": ["A", "DROP TABLE t"]},
        LOSS,
        "DROP TABLE t",
    ),
    "a column dropped": (
        "google_spanner_database",
        {"ddl": ["A"]},
        {"ddl": ["A", "ALTER TABLE t DROP COLUMN c"]},
        LOSS,
        "DROP COLUMN c",
    ),
    "a table created": (
        "google_spanner_database",
        {"ddl": ["A"]},
        {"ddl": ["A", "CREATE TABLE u"]},
        "change",
        "ddl",
    ),
    "documents that expire": (
        "google_firestore_field",
        None,
        {"collection": "trips", "field": "at", "ttl_config": [{"state": None}]},
        LOSS,
        "documents are deleted after the time in trips.at",
    ),
    "nodes made anew": (
        "google_container_node_pool",
        {"node_config": [{"machine_type": "a"}]},
        {"node_config": [{"machine_type": "b"}]},
        STOPS,
        "its nodes are recreated because machine_type changes",
    ),
    "abandoned": (
        "google_firestore_database",
        {"deletion_policy": "ABANDON"},
        None,
        CARE,
        "is abandoned",
    ),
    "a database that is deleted": (
        "google_firestore_database",
        {"deletion_policy": "DELETE"},
        None,
        LOSS,
        "is lost",
    ),
    "a key ring": ("google_kms_key_ring", {"name": "r"}, None, NOTE, "a key ring cannot be deleted"),
    "a user": ("google_sql_user", {"name": "u"}, None, STOPS, "logins as this user fail"),
    "a disk that stays": ("google_compute_attached_disk", {"disk": "d"}, None, STOPS, "keeps its data"),
    "a type that is not known": (
        "google_future_backup",
        {"name": "b"},
        None,
        POSSIBLE,
        "does not know whether it holds data",
    ),
    "a type of nothing but arguments": ("google_dns_record_set", {"name": "n"}, None, STOPS, "is deleted"),
    "an alert that watches less": (
        "google_monitoring_alert_policy",
        {"conditions": [{"threshold": 1}]},
        {"conditions": [{"threshold": 9}]},
        CARE,
        "conditions.threshold: 1 → 9",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_data_lost_and_data_kept_by_a_change_in_place_are_reported(case: str) -> None:
    type_, old, new, severity, words = CASES[case]
    found = summarize_findings(change(f"{type_}.x", old, new))
    assert found[0][0] == severity, found
    assert any(words in sentence for _, sentence in found), found
