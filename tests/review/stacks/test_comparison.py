"""Two synthesized stacks: what an apply would do, by the arguments that replace a resource."""

import json
from typing import Any

import pytest

from review.assessment.review import review_plan
from review.cost.price_book import load_price_book
from review.errors import PlanError
from review.findings.text import escape_invisible, strip_markup
from review.plan.model import Change, Plan
from review.plan.naming import Names, read_construct_paths
from review.stacks.comparison import compare_stacks
from review.stacks.replacement import is_grown_range
from review.types.registry import create_context

pytestmark = pytest.mark.unit

Stack = dict[str, Any]


def stack(**resources: Any) -> Stack:
    """Return a stack with resources given as `type__name=arguments`."""
    found: Stack = {"provider": {"google": [{"project": "p"}]}, "resource": {}}
    for key, arguments in resources.items():
        type_, _, name = key.partition("__")
        found["resource"].setdefault(type_, {})[name] = {
            "//": {"metadata": {"path": f"stack/{name.replace('_', '/')}"}},
            **arguments,
        }
    return found


def compare(base: Stack, head: Stack) -> Plan:
    return compare_stacks(json.dumps(base).encode(), json.dumps(head).encode())


def only(base: Stack, head: Stack) -> Change:
    found = [each for each in compare(base, head).changes if each.action != "no-op"]
    assert len(found) == 1
    return found[0]


def summarize_findings(base: Stack, head: Stack) -> list[tuple[str, str]]:
    plan = compare(base, head)
    names = Names(
        (each.address for each in plan.changes), {**read_construct_paths(base), **read_construct_paths(head)}
    )
    found = review_plan(create_context(plan, names), load_price_book())
    return [(each.severity.label, strip_markup(f"{each.where}: {each.sentence}")) for each in found.findings]


COLUMNS = [{"name": "a", "type": "STRING"}, {"name": "b", "type": "DATE"}]
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "bucket, another location": (
        "google_storage_bucket",
        {"location": "EU"},
        {"location": "US"},
        ("location",),
    ),
    "bucket, location in other letters": (
        "google_storage_bucket",
        {"location": "EU", "versioning": [{"enabled": False}]},
        {"location": "eu", "versioning": [{"enabled": True}]},
        (),
    ),
    "bucket, access": (
        "google_storage_bucket",
        {"uniform_bucket_level_access": True},
        {"uniform_bucket_level_access": False},
        (),
    ),
    "table, column dropped": (
        "google_bigquery_table",
        {"schema": json.dumps(COLUMNS)},
        {"schema": json.dumps(COLUMNS[:1])},
        (),
    ),
    "table, column renamed": (
        "google_bigquery_table",
        {"schema": json.dumps(COLUMNS)},
        {"schema": json.dumps([{**COLUMNS[0], "name": "z"}, COLUMNS[1]])},
        ("schema",),
    ),
    "table, partitioned": (
        "google_bigquery_table",
        {},
        {"time_partitioning": {"type": "DAY", "field": "b"}},
        ("time_partitioning.field",),
    ),
    "table, no longer partitioned": (
        "google_bigquery_table",
        {"time_partitioning": {"type": "DAY"}},
        {"description": "x"},
        ("time_partitioning",),
    ),
    "table, clustered": ("google_bigquery_table", {}, {"clustering": ["a"]}, ()),
    "subscription, filter": ("google_pubsub_subscription", {"filter": "a"}, {"filter": "b"}, ("filter",)),
    "subscription, deadline": (
        "google_pubsub_subscription",
        {"ack_deadline_seconds": 10},
        {"ack_deadline_seconds": 20},
        (),
    ),
    "member, role": (
        "google_storage_bucket_iam_member",
        {"role": "roles/viewer"},
        {"role": "roles/owner"},
        ("role",),
    ),
    "binding, members": (
        "google_storage_bucket_iam_binding",
        {"members": ["user:a"]},
        {"members": ["user:b"]},
        (),
    ),
    "template, anything": (
        "google_dataproc_workflow_template",
        {"placement": {"managed_cluster": {"config": {"a": 1}}}},
        {"placement": {"managed_cluster": {"config": {"a": 2}}}},
        ("placement.managed_cluster.config.a",),
    ),
    "subnetwork, larger": (
        "google_compute_subnetwork",
        {"ip_cidr_range": "10.0.0.0/24"},
        {"ip_cidr_range": "10.0.0.0/20"},
        (),
    ),
    "subnetwork, smaller": (
        "google_compute_subnetwork",
        {"ip_cidr_range": "10.0.0.0/20"},
        {"ip_cidr_range": "10.0.0.0/24"},
        ("ip_cidr_range",),
    ),
    "function, runtime": (
        "google_cloudfunctions2_function",
        {"build_config": {"runtime": "a"}},
        {"build_config": {"runtime": "b"}},
        (),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_changes_that_replace_a_resource_are_found(case: str) -> None:
    type_, old, new, paths = CASES[case]
    found = only(stack(**{f"{type_}__r": old}), stack(**{f"{type_}__r": new}))
    assert found.replace_paths == paths
    assert found.action == ("replace" if paths else "update")
    assert found.is_action_certain


def test_an_update_of_an_unknown_type_may_be_a_replacement() -> None:
    found = summarize_findings(stack(google_new_thing__r={"a": 1}), stack(google_new_thing__r={"a": 2}))
    assert found == [
        (
            "data loss possible",
            "new thing r: is updated in place: a: 1 → 2; it may be replaced instead: the review "
            "does not know which changes replace this type",
        )
    ]
    found = summarize_findings(
        stack(google_sql_database_instance__r={"a": 1}), stack(google_sql_database_instance__r={"a": 2})
    )
    assert found[0][0] == "data loss possible"


def test_removed_resources_are_deleted_and_new_ones_created() -> None:
    found = compare(stack(google_pubsub_topic__a={"name": "a"}), stack(google_pubsub_topic__b={"name": "b"}))
    assert [(each.address, each.actions) for each in found.changes] == [
        ("google_pubsub_topic.b", ("create",)),
        ("google_pubsub_topic.a", ("delete",)),
    ]


def test_moves_imports_and_removals_are_read() -> None:
    base = stack(google_pubsub_topic__a={"name": "a"}, google_pubsub_topic__c={"name": "c"})
    head = stack(google_pubsub_topic__b={"name": "a"}, google_pubsub_topic__d={"name": "d"})
    head["moved"] = [{"from": "google_pubsub_topic.a", "to": "google_pubsub_topic.b"}]
    head["import"] = [{"to": "google_pubsub_topic.d", "id": "projects/p/topics/d"}]
    head["removed"] = [{"from": "google_pubsub_topic.c", "lifecycle": {"destroy": False}}]
    assert summarize_findings(base, head) == [
        ("needs care", "topic c: is no longer managed by Terraform and is not destroyed"),
        (
            "change",
            "topic d: is imported (projects/p/topics/d); nothing else changes",
        ),
        ("note", "topic b: its address in the state changes from a; nothing else changes"),
    ]


def test_references_are_followed() -> None:
    base = stack(
        google_storage_bucket__b={"name": "real-name"},
        google_service_account__a={"account_id": "worker"},
    )
    head = stack(
        google_storage_bucket__b={"name": "real-name"},
        google_service_account__a={"account_id": "worker"},
        google_storage_bucket_iam_member__m={
            "bucket": "${google_storage_bucket.b.name}",
            "role": "roles/storage.objectViewer",
            "member": "${google_service_account.a.member}",
        },
    )
    assert summarize_findings(base, head) == [
        (
            "access widened",
            "bucket real-name: service account worker@p.iam.gserviceaccount.com can now read and list the objects of "
            "bucket real-name (roles/storage.objectViewer)",
        )
    ]


def test_an_unknown_reference_is_described_by_the_constructs_name() -> None:
    grants = {
        "repository": "${google_artifact_registry_repository.my_images.name}",
        "role": "roles/artifactregistry.reader",
        "member": "user:u@example.org",
    }
    head = stack(
        google_artifact_registry_repository__my_images={},
        google_artifact_registry_repository_iam_member__m=grants,
    )
    assert (
        "repository my/images"
        in summarize_findings(stack(google_artifact_registry_repository__my_images={}), head)[0][1]
    )


def test_both_references_of_a_grant_are_followed() -> None:
    def granting(repository: str) -> Stack:
        return stack(
            google_artifact_registry_repository__a={},
            google_artifact_registry_repository__b={},
            google_artifact_registry_repository_iam_member__m={
                "repository": f"${{google_artifact_registry_repository.{repository}.name}}",
                "role": "roles/artifactregistry.admin",
                "member": "user:u@example.org",
            },
        )

    assert [severity for severity, _ in summarize_findings(granting("a"), granting("b"))] == [
        "access widened",
        "change",
    ]


def test_secret_arguments_of_the_provider_are_hidden_without_a_mark() -> None:
    secret = {"secret": "s", "secret_data": "hunter2-secret"}
    plan = compare(
        stack(), stack(google_secret_manager_secret_version__v=secret, google_x__y={"a": "hunter2-secret!"})
    )
    shown = {escape_invisible(str(value)) for each in plan.changes for value in each.new.values()}
    assert shown == {"s", "(sensitive)", "(sensitive)!"}


def test_defaults_of_the_provider_are_known() -> None:
    found = summarize_findings(stack(google_bigquery_table__t={"table_id": "t", "dataset_id": "d"}), stack())
    assert "deletion_protection is on" in found[0][1]


def test_create_before_destroy_and_prevent_destroy_are_read() -> None:
    base = stack(google_pubsub_topic__t={"name": "a"})
    head = stack(
        google_pubsub_topic__t={
            "name": "b",
            "lifecycle": {"create_before_destroy": True, "prevent_destroy": True},
        }
    )
    assert only(base, head).actions == ("create", "delete")
    assert "prevent_destroy is set: the plan fails" in summarize_findings(base, head)[0][1]


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b"x", b'{"resource": 1}', b'{"resource": {"a": {"b": 5}}}']
)
def test_an_invalid_stack_is_refused(content: bytes) -> None:
    with pytest.raises(PlanError):
        compare_stacks(json.dumps(stack()).encode(), content)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("10.0.0.0/24", "10.0.0.0/16", True),
        ("10.0.0.0/16", "10.0.0.0/24", False),
        ("10.0.0.0/24", "fd00::/8", False),
        ("x", "y", False),
    ],
)
def test_a_range_that_contains_the_old_one_grows_in_place(old: str, new: str, expected: bool) -> None:
    assert is_grown_range(old, new) is expected
