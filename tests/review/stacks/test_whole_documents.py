"""Two stacks that differ in one block, whatever the block is, and what the review says of it."""

import json
from typing import Any

import pytest

from review.findings.text import strip_markup
from review.report.answers import answer_questions
from tests.review.stacks.test_configuration import review_stacks

pytestmark = pytest.mark.unit

BUCKET = {"name": "b", "location": "EU", "force_destroy": True}
FIREWALL = {
    "name": "f",
    "network": "n",
    "allow": [{"protocol": "tcp", "ports": ["22"]}],
    "source_ranges": ["${var.source}"],
}
GRANT = {"project": "p", "role": "roles/owner", "member": "${local.member}"}


def resource(type_: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resource": {f"google_{type_}": {"x": values}}, **more}


def schema(*columns: str) -> str:
    return json.dumps([{"name": each, "type": "STRING"} for each in columns])


def removed(*, destroy: bool) -> dict[str, Any]:
    return {"removed": [{"from": "google_storage_bucket.x", "lifecycle": [{"destroy": destroy}]}]}


TABLE = {"dataset_id": "d", "table_id": "t"}
TRIGGERED = {"triggers": {"a": "1"}, "provisioner": [{"local-exec": {"command": "make it"}}]}
# What differs → both stacks, and the highest severity.
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a resource is forgotten": (resource("storage_bucket", BUCKET), removed(destroy=False), "needs care"),
    "a resource is destroyed by its block": (resource("storage_bucket", BUCKET), removed(destroy=True), "data loss"),
    "a resource moves": (
        resource("storage_bucket", BUCKET),
        {
            "resource": {"google_storage_bucket": {"y": BUCKET}},
            "moved": [{"from": "google_storage_bucket.x", "to": "google_storage_bucket.y"}],
        },
        "note",
    ),
    "a local value opens a project": (
        resource("project_iam_member", GRANT, locals={"member": "user:a@example.org"}),
        resource("project_iam_member", GRANT, locals={"member": "allUsers"}),
        "access widened",
    ),
    "a variable opens a network": (
        resource("compute_firewall", FIREWALL, variable={"source": {"default": "10.0.0.0/8"}}),
        resource("compute_firewall", FIREWALL, variable={"source": {"default": "0.0.0.0/0"}}),
        "access widened",
    ),
    "a module comes from elsewhere": (
        {"module": {"m": {"source": "a/b/google"}}}, {"module": {"m": {"source": "c/b/google"}}}, "data loss possible",
    ),
    "another provider manages a resource": (
        resource("storage_bucket", {**BUCKET, "provider": "google.a"}),
        resource("storage_bucket", {**BUCKET, "provider": "google.b"}),
        "data loss possible",
    ),
    "one of two instances goes": (
        resource("storage_bucket", {**BUCKET, "count": 2}),
        resource("storage_bucket", {**BUCKET, "count": 1}),
        "data loss",
    ),
    "an output is disclosed": (
        {"output": {"o": {"value": "x", "sensitive": True}}}, {"output": {"o": {"value": "x"}}}, "access widened",
    ),
    "a program is another one": (
        {"data": {"external": {"e": {"program": ["a"]}}}}, {"data": {"external": {"e": {"program": ["b"]}}}}, "code",
    ),
    "a column is removed": (
        resource("bigquery_table", {**TABLE, "schema": schema("a", "b")}),
        resource("bigquery_table", {**TABLE, "schema": schema("a")}),
        "data loss",
    ),
    "a check is removed": ({"check": {"c": {"assert": []}}}, {"terraform": {}}, "needs care"),
    "a provisioner runs again": (
        {"resource": {"null_resource": {"n": TRIGGERED}}},
        {"resource": {"null_resource": {"n": {**TRIGGERED, "triggers": {"a": "2"}}}}},
        "code",
    ),
    "prevent_destroy is removed": (
        resource("storage_bucket", {**BUCKET, "lifecycle": {"prevent_destroy": True}}),
        resource("storage_bucket", BUCKET),
        "needs care",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PAIRS)
def test_a_difference_of_two_stacks_has_a_severity(what: str) -> None:
    base, head, severity = PAIRS[what]
    found = review_stacks(base, head)
    assert found.severity.label == severity, [strip_markup(each.sentence) for each in found.findings]


@pytest.mark.parametrize("what", ["a module comes from elsewhere", "a program is another one"])
def test_code_that_a_stack_does_not_show_is_not_answered_with_none(what: str) -> None:
    base, head, _ = PAIRS[what]
    answers = {each.question: each.text for each in answer_questions(review_stacks(base, head))}
    assert answers["What code goes live?"] != "none found"
    assert answers["Who gains access?"].startswith("not known")
