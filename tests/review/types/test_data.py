"""Types with data: tables, datasets, buckets, objects, messages, images. The severity and a part of the sentence."""

import json
from typing import Any

import pytest

from tests.review.conftest import change, summarize_findings

pytestmark = pytest.mark.unit

Changes = list[dict[str, Any]]
Expected = list[tuple[str, str]]
A = {"name": "a", "type": "STRING"}
B = {"name": "b", "type": "DATE"}
REPLACE = ("delete", "create")


def table(*columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "dataset_id": "d",
        "table_id": "t",
        "schema": json.dumps(columns),
        "deletion_protection": False,
        **more,
    }


def view(query: str, **more: Any) -> dict[str, Any]:
    return {"dataset_id": "d", "table_id": "v", "view": [{"query": query}], **more}


def bucket(**more: Any) -> dict[str, Any]:
    return {"name": "b", "location": "EU", "force_destroy": False, **more}


def rule(**condition: Any) -> dict[str, Any]:
    return {"action": [{"type": "Delete"}], "condition": [condition]}


DATASET = {"dataset_id": "d", "location": "EU", "delete_contents_on_destroy": True}
T, D, S = "google_bigquery_table.t", "google_bigquery_dataset.d", "google_storage_bucket.b"
OBJ, P, Q = "google_storage_bucket_object.o", "google_pubsub_topic.t", "google_pubsub_subscription.s"
R = "google_artifact_registry_repository.r"
PARTITIONED = {"time_partitioning": [{"type": "DAY", "field": "b", "expiration_ms": 0}]}
EXPIRES = {"time_partitioning": [{"type": "DAY", "field": "b", "expiration_ms": 864_000_000}]}
TOPIC = {"name": "t", "id": "projects/p/topics/t"}
SUBSCRIPTION = {"name": "s", "topic": "projects/p/topics/t", "message_retention_duration": "604800s"}
REPOSITORY = {"repository_id": "r", "location": "eu", "project": "p"}
UNTAGGED = {
    "cleanup_policies": [
        {"id": "x", "action": "DELETE", "condition": [{"tag_state": "UNTAGGED", "older_than": "2592000s"}]}
    ]
}

CASES: dict[str, tuple[Changes, Expected]] = {
    "table deleted": (
        [change(T, table(A), None, action_reason="delete_because_no_resource_config")],
        [("data loss", "table d.t is deleted: all its rows are lost; it is no longer in the configuration")],
    ),
    "table deleted, protected": (
        [change(T, table(A, deletion_protection=True), None)],
        [("data loss", "deletion_protection is on: the apply fails part-way")],
    ),
    "table tainted": (
        [change(T, table(A), table(A), *REPLACE, action_reason="replace_because_tainted")],
        [("data loss", "all its rows are lost; it is tainted")],
    ),
    "table renamed": (
        [change(T, table(A), table(A, table_id="u"), *REPLACE, replace_paths=[["table_id"]])],
        [("data loss", "table d.t is replaced because table_id changes: all its rows are lost")],
    ),
    "column dropped in place": (
        [change(T, table(A, B), table(A))],
        [
            (
                "data loss",
                "in d.t, column b (DATE) is removed: its values are lost, other columns keep theirs",
            )
        ],
    ),
    "column dropped that a view reads": (
        [
            change(T, table(A, B), table(A)),
            change("google_bigquery_table.v", view("SELECT b FROM d.t"), view("SELECT b FROM d.t")),
        ],
        [("data loss", "table google_bigquery_table.v may still read it, and would fail")],
    ),
    "column renamed": (
        [change(T, table(A), table({**A, "name": "z"}), *REPLACE, replace_paths=[["schema"]])],
        [
            ("data loss", "table d.t is replaced: all its rows are lost"),
            ("data loss", "column a is renamed to z, which BigQuery cannot do in place"),
        ],
    ),
    "column added": (
        [change(T, table(A), table(A, B))],
        [
            (
                "change",
                "in d.t, column b (DATE) is added, and is NULL in existing rows (in place, rows are kept)",
            )
        ],
    ),
    "required column added": (
        [change(T, table(A), table(A, {**B, "mode": "REQUIRED"}), *REPLACE)],
        [
            ("data loss", "table d.t is replaced"),
            (
                "data loss",
                "column b (DATE, REQUIRED) is added, and is required in every row: the table is replaced "
                "and all its rows "
                "are lost",
            ),
        ],
    ),
    "schema that is only known later": (
        [change(T, table(A), {"dataset_id": "d", "table_id": "t"}, unknown={"schema": True})],
        [("data loss possible", "whether a column is lost is not known")],
    ),
    "partitions expire": (
        [change(T, table(A, B, **PARTITIONED), table(A, B, **EXPIRES))],
        [("data loss", "partitions of d.t are deleted after 10 days (before: never)")],
    ),
    "partitions expire no more": (
        [change(T, table(A, B, **EXPIRES), table(A, B, **PARTITIONED))],
        [("change", "partitions of d.t are no longer deleted; before: after 10 days")],
    ),
    "partitioned by another column": (
        [
            change(
                T,
                table(A, B, time_partitioning=[{"type": "DAY", "field": "b"}]),
                table(A, B, time_partitioning=[{"type": "DAY", "field": "a"}]),
                *REPLACE,
            )
        ],
        [
            ("data loss", "table d.t is replaced"),
            (
                "data loss",
                "table d.t is partitioned by time of a; before: by time of b; the table is replaced and "
                "all its rows are lost",
            ),
        ],
    ),
    "clustered": (
        [change(T, table(A, clustering=["a"]), table(A, clustering=None))],
        [("change", "the clustering of table d.t changes from a to none (in place, for new data only)")],
    ),
    "filter required": (
        [change(T, table(A, require_partition_filter=False), table(A, require_partition_filter=True))],
        [("service interrupted", "queries on d.t without a partition filter start to fail")],
    ),
    "view's query": (
        [change("google_bigquery_table.v", view("SELECT 1\nFROM t"), view("SELECT 2\nFROM t"))],
        [("needs care", "the query of view d.v changes, and so do its results")],
    ),
    "view deleted": (
        [change("google_bigquery_table.v", view("SELECT 1"), None)],
        [
            (
                "service interrupted",
                "view d.v is deleted; no rows are lost, and queries on it fail permanently",
            )
        ],
    ),
    "dataset replaced": (
        [
            change(D, DATASET, {**DATASET, "location": "US"}, *REPLACE, replace_paths=[["location"]]),
            change(T, table(A), table(A)),
            change("google_bigquery_table.u", table(A, dataset_id="other"), table(A, dataset_id="other")),
        ],
        [
            (
                "data loss",
                "dataset d is replaced because its location changes, with all its tables, including "
                "those that Terraform does not manage; 1 table that the plan does not show is lost "
                "with it: google_bigquery_table.t",
            )
        ],
    ),
    "dataset deleted, kept by what is in it": (
        [change(D, {**DATASET, "delete_contents_on_destroy": False}, None)],
        [("data loss", "dataset d is deleted: the apply fails unless it is empty")],
    ),
    "new tables expire": (
        [change(D, DATASET, {**DATASET, "default_table_expiration_ms": 86_400_000})],
        [
            (
                "needs care",
                "new tables in dataset d are deleted after 1 day; before: kept",
            )
        ],
    ),
    "bucket replaced": (
        [
            change(
                S, bucket(force_destroy=True), bucket(location="US"), *REPLACE, replace_paths=[["location"]]
            ),
            change(OBJ, {"name": "o", "bucket": "b"}, {"name": "o", "bucket": "b"}),
        ],
        [
            (
                "data loss",
                "bucket b is replaced because its location changes, with all its objects, including "
                "those that Terraform does not manage; 1 object that the plan does not show is lost with it: "
                "google_storage_bucket_object.o",
            )
        ],
    ),
    "bucket deleted, not forced": (
        [change(S, bucket(), None)],
        [("data loss", "bucket b is deleted: the apply fails unless it is empty")],
    ),
    "objects age out": (
        [change(S, bucket(lifecycle_rule=[rule(age=30)]), bucket(lifecycle_rule=[rule(age=7)]))],
        [
            (
                "data loss",
                "objects of bucket b are deleted 7 days after creation; before: 30 days after creation; "
                "objects older than 7 days are deleted within a day or two of the apply",
            )
        ],
    ),
    "objects age out for the first time": (
        [change(S, bucket(), bucket(lifecycle_rule=[rule(age=7, num_newer_versions=0, with_state="ANY")]))],
        [
            (
                "data loss",
                "objects of bucket b are deleted 7 days after creation; before: such objects were kept",
            )
        ],
    ),
    "objects age out later": (
        [change(S, bucket(lifecycle_rule=[rule(age=7)]), bucket(lifecycle_rule=[rule(age=30)]))],
        [
            (
                "change",
                "objects of bucket b are deleted 30 days after creation; before: 7 days after creation",
            )
        ],
    ),
    "some objects age out": (
        [change(S, bucket(), bucket(lifecycle_rule=[rule(age=1, matches_prefix=["tmp/"])]))],
        [("data loss", "objects below tmp/ of bucket b are deleted 1 day after creation")],
    ),
    "old versions age out": (
        [
            change(
                S, bucket(), bucket(lifecycle_rule=[rule(num_newer_versions=3, with_state="ARCHIVED", age=0)])
            )
        ],
        [
            (
                "data loss",
                "objects of bucket b are deleted once there are 3 newer versions and in state ARCHIVED",
            )
        ],
    ),
    "no soft delete": (
        [
            change(
                S,
                bucket(soft_delete_policy=[{"retention_duration_seconds": 604800}]),
                bucket(soft_delete_policy=[{"retention_duration_seconds": 0}]),
            )
        ],
        [
            (
                "needs care",
                "deleted objects of bucket b can no longer be restored; before: for 7 days",
            )
        ],
    ),
    "versions end": (
        [change(S, bucket(versioning=[{"enabled": True}]), bucket(versioning=[{"enabled": False}]))],
        [("needs care", "bucket b no longer keeps old versions of replaced and deleted objects")],
    ),
    "retention ends": (
        [change(S, bucket(retention_policy=[{"retention_period": 86400}]), bucket(retention_policy=[]))],
        [("needs care", "objects of bucket b can be deleted at any time; before: only 1 day after creation")],
    ),
    "bucket may be emptied": (
        [change(S, bucket(), bucket(force_destroy=True))],
        [("needs care", "from now on, destroying bucket b deletes its objects (force_destroy)")],
    ),
    "bucket may be public": (
        [
            change(
                S, bucket(public_access_prevention="enforced"), bucket(public_access_prevention="inherited")
            )
        ],
        [("access widened", "bucket b can be made public: public access prevention is no longer enforced")],
    ),
    "objects may be shared one by one": (
        [change(S, bucket(uniform_bucket_level_access=True), bucket(uniform_bucket_level_access=False))],
        [("access widened", "objects of bucket b can be shared by access lists (ACLs) in addition to IAM")],
    ),
    "object deleted": (
        [change(OBJ, {"name": "o", "bucket": "b", "source": "x"}, None)],
        [("data loss", "object o of bucket b is deleted")],
    ),
    "object replaced under its own name": (
        [
            change(
                OBJ,
                {"name": "o", "bucket": "b", "source": "x"},
                {"name": "o", "bucket": "b", "source": "y"},
                "create",
                "delete",
            )
        ],
        [
            (
                "data loss",
                "object o of bucket b is uploaded and then deleted: it is replaced under the same name",
            ),
            ("code", "new content is uploaded: the old archive was not found"),
        ],
    ),
    "object replaced under another name": (
        [
            change(
                OBJ,
                {"name": "o", "bucket": "b", "source": "x"},
                {"name": "p", "bucket": "b", "source": "y"},
                "create",
                "delete",
            )
        ],
        [
            (
                "code",
                "new content is uploaded: the old archive was not found, so its changes cannot be shown",
            )
        ],
    ),
    "topic replaced": (
        [
            change(P, TOPIC, TOPIC, *REPLACE, action_reason="replace_because_tainted"),
            change(Q, SUBSCRIPTION, SUBSCRIPTION),
        ],
        [("data loss", "1 subscription stays without a topic: google_pubsub_subscription.s")],
    ),
    "subscription deleted": (
        [change(Q, SUBSCRIPTION, None)],
        [("data loss", "subscription s is deleted: its undelivered messages are lost")],
    ),
    "subscription replaced": (
        [change(Q, SUBSCRIPTION, {**SUBSCRIPTION, "filter": "x"}, *REPLACE)],
        [("data loss", "and so are messages published before the new one exists")],
    ),
    "messages kept for less": (
        [change(Q, SUBSCRIPTION, {**SUBSCRIPTION, "message_retention_duration": "3600s"})],
        [
            (
                "data loss",
                "messages of s are kept for 1 hour instead of 7 days: older messages are lost",
            )
        ],
    ),
    "subscription ends by itself": (
        [
            change(
                Q,
                {**SUBSCRIPTION, "expiration_policy": [{"ttl": ""}]},
                {**SUBSCRIPTION, "expiration_policy": [{"ttl": "86400s"}]},
            )
        ],
        [("needs care", "subscription s expires after 1 day without activity")],
    ),
    "repository deleted": (
        [
            change(R, REPOSITORY, None),
            change(
                "google_cloud_run_v2_service.s",
                {"template": [{"containers": [{"image": "eu-docker.pkg.dev/p/r/i:1"}]}]},
                {"template": [{"containers": [{"image": "eu-docker.pkg.dev/p/r/i:1"}]}]},
            ),
        ],
        [
            (
                "data loss",
                "repository r is deleted, with all its images and packages; service "
                "google_cloud_run_v2_service.s cannot start new instances until their images are pushed again",
            )
        ],
    ),
    "images cleaned away": (
        [change(R, REPOSITORY, {**REPOSITORY, **UNTAGGED})],
        [("data loss", "images in repository r without a tag older than 30 days are deleted from now on")],
    ),
    "database deleted": (
        [change("google_sql_database_instance.i", {"name": "i", "deletion_protection": True}, None)],
        [
            (
                "data loss",
                "every database in it is lost; deletion_protection is on",
            )
        ],
    ),
    "secret's version replaced": (
        [change("google_secret_manager_secret_version.v", {"secret": "s"}, {"secret": "s"}, *REPLACE)],
        [("data loss", "is replaced (the old one is deleted first); this value of the secret is destroyed")],
    ),
    "type of another provider": (
        [change("aws_s3_bucket.b", {"bucket": "b"}, None)],
        [("data loss possible", "is deleted; the review does not know whether it holds data")],
    ),
    "type of Google's that holds nothing": (
        [change("google_monitoring_dashboard.d", {"dashboard_json": "{}"}, None)],
        [("change", "is deleted")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happens_to_data_is_reported(case: str) -> None:
    changes, expected = CASES[case]
    found = summarize_findings(*changes)
    assert [severity for severity, _ in found] == [severity for severity, _ in expected], found
    for (_, sentence), (_, words) in zip(found, expected, strict=True):
        assert words in sentence


def test_dependents_that_the_plan_deletes_are_not_listed_again() -> None:
    deleted = [change(D, DATASET, None), change(T, table(A), None)]
    assert not [sentence for _, sentence in summarize_findings(*deleted) if "does not show" in sentence]


def test_grants_lost_with_a_replaced_bucket_are_reported() -> None:
    granted = {"bucket": "b/b", "role": "roles/storage.objectViewer", "member": "user:u@example.org"}
    configuration = {
        "root_module": {
            "resources": [
                {
                    "address": "google_storage_bucket_iam_member.m",
                    "expressions": {
                        "bucket": {"references": ["google_storage_bucket.b.name", "google_storage_bucket.b"]}
                    },
                }
            ]
        }
    }
    found = summarize_findings(
        change(S, bucket(), bucket(location="US"), *REPLACE, replace_paths=[["location"]]),
        change("google_storage_bucket_iam_member.m", granted, granted),
        configuration=configuration,
    )
    assert found[1] == (
        "service interrupted",
        "its grants are lost too, which the plan does not show, until another apply creates them: "
        "user u@example.org (roles/storage.objectViewer)",
    )
