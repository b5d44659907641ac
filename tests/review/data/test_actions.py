"""Findings of any type: created, changed, moved, imported, forgotten; drift, checks, outputs, order of the apply."""

from typing import Any

import pytest

from review.data.destruction import REASONS
from review.findings.text import strip_markup
from review.plan.naming import Names, type_noun
from tests.review.conftest import change, review_changes, summarize_findings

pytestmark = pytest.mark.unit

A = "google_monitoring_group.a"  # a type that has nothing but its arguments
REPLACE = ("delete", "create")
CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "create": (change(A, None, {"a": 1}), [("note", "is created")]),
    "update": (change(A, {"a": 1}, {"a": 2}), [("change", "is updated in place: a: 1 → 2")]),
    "update of what nobody knows yet": (
        change(A, {"a": 1}, {}, unknown={"a": True}),
        [("change", "is updated in place: a: 1 → (known after apply)")],
    ),
    "update of a secret": (
        change(A, {"a": "one-secret"}, {"a": "two-secret"}, sensitive=({"a": True}, {"a": True})),
        [("change", "is updated in place: a: changed (sensitive)")],
    ),
    "update within blocks": (
        change(A, {"b": [{"c": [1, 2], "d": {"e": "x"}}]}, {"b": [{"c": [2, 3], "d": {"e": "y"}}]}),
        [("change", "is updated in place: b.c: 1 → 3; b.d.e: x → y")],
    ),
    "update within JSON": (
        change(A, {"j": '{"a": 1, "b": 2}'}, {"j": '{"b": 2, "a": 3}'}),
        [("change", "is updated in place: j.a: 1 → 3")],
    ),
    "replace": (
        change(
            A,
            {"a": 1},
            {"a": 2},
            *REPLACE,
            replace_paths=[["a"], ["b", 0, "c"]],
            action_reason="replace_because_cannot_update",
        ),
        [("change", "is replaced (the old one is deleted first): this cannot be changed in place: a, b.c")],
    ),
    "replace, new one first": (
        change(A, {"a": 1}, {"a": 1}, "create", "delete", action_reason="replace_because_tainted"),
        [("change", "is replaced (the new one is created first): it is tainted")],
    ),
    "delete": (
        change(A, {"a": 1}, None, action_reason="delete_because_no_resource_config"),
        [("change", "is deleted: it is no longer in the configuration")],
    ),
    "no-op": (change(A, {"a": 1}, {"a": 1}), []),
    "move": (
        change(A, {"a": 1}, {"a": 1}, previous_address="google_x.old"),
        [("note", "its address in the state changes from google_x.old; nothing else changes")],
    ),
    "import": (
        change(A, {"a": 1}, {"a": 1}, importing={"id": "the-id"}),
        [("change", "is imported (the-id); nothing else changes")],
    ),
    "import by identity": (
        change(A, {"a": 1}, {"a": 2}, importing={"identity": {"name": "n"}}),
        [
            ("change", 'is updated in place: a: 1 → 2; it is imported by this plan ({"name": "n"})'),
        ],
    ),
    "forget": (
        change(A, {"a": 1}, None, "forget"),
        [("needs care", "is no longer managed by Terraform and is not destroyed")],
    ),
    "forget and make another": (
        change(A, {"a": 1}, {"a": 2}, "create", "forget"),
        [
            ("needs care", "is no longer managed by Terraform and is not destroyed"),
            ("change", "is created anew"),
        ],
    ),
    "deposed": (
        change(A, {"a": 1}, None, deposed="abcd1234"),
        [
            ("change", "is deleted"),
            ("note", "the old object of an earlier replacement is deleted (deposed abcd1234)"),
        ],
    ),
    "read": (
        change("data.google_x.a", None, {}, "read", action_reason="read_because_config_unknown", mode="data"),
        [("note", "is read during the apply: its arguments are known only after the apply")],
    ),
    "something new": (
        change(A, {"a": 1}, {"a": 1}, "renew"),
        [("needs care", "unknown action in the plan: renew")],
    ),
    "a key with dots and quotes": (
        change('module.m["a.b"].google_x.a["k.\\"q"]', None, {"a": 1}),
        [("note", "is created")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happens_to_any_type_is_reported(case: str) -> None:
    changed, expected = CASES[case]
    found = summarize_findings(changed)
    assert [severity for severity, _ in found] == [severity for severity, _ in expected], found
    for (_, sentence), (_, words) in zip(found, expected, strict=True):
        assert sentence.startswith(words)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_terraform_is_reported_in_words(reason: str) -> None:
    action = (
        ("read",) if reason.startswith("read") else REPLACE if reason.startswith("replace") else ("delete",)
    )
    found = summarize_findings(
        change(A, {"a": 1}, None if action == ("delete",) else {"a": 1}, *action, action_reason=reason)
    )
    assert REASONS[reason] in found[0][1]


def test_a_reason_of_a_later_terraform_is_reported_as_it_is() -> None:
    found = summarize_findings(change(A, {"a": 1}, None, action_reason="delete_because_of_the_moon"))
    assert found == [("change", "is deleted: Terraform's reason is delete_because_of_the_moon")]


def list_section_lines(title: str, *changes: dict[str, Any], **more: Any) -> list[str]:
    found = [each.lines for each in review_changes(*changes, **more).sections if each.title.startswith(title)]
    return [strip_markup(line) for line in found[0]] if found else []


def test_outputs_are_reported() -> None:
    outputs = {
        "a": {"actions": ["create"], "before": None, "after_unknown": True},
        "b": {"actions": ["update"], "before": "x", "after": "y"},
        "c": {"actions": ["delete"], "before": 1, "after": None},
        "d": {"actions": ["no-op"], "before": 1, "after": 1},
        "e": {
            "actions": ["update"],
            "before": "s",
            "after": "t",
            "before_sensitive": True,
            "after_sensitive": True,
        },
    }
    assert list_section_lines("Outputs", output_changes=outputs) == [
        "a is new: (known after apply)",
        "b: x → y",
        "c is removed; it was 1",
        "e: (sensitive) → (sensitive)",
    ]


def test_drift_is_reported_with_what_the_plan_does_about_it() -> None:
    drift = [
        change("google_x.a", {"a": 1}, {"a": 2}),
        change("google_x.b", {"a": 1}, None),
        change("google_x.c", {"etag": "1"}, {"etag": "2"}),
        change(
            "google_project_iam_binding.d",
            {"project": "p", "role": "roles/viewer", "members": []},
            {"project": "p", "role": "roles/viewer", "members": ["user:u@example.org"]},
        ),
    ]
    found = review_changes(change("google_x.a", {"a": 2}, {"a": 1}), resource_drift=drift)
    assert found.drift == 3
    assert list_section_lines(
        "Changed outside", change("google_x.a", {"a": 2}, {"a": 1}), resource_drift=drift
    ) == [
        "project iam binding google_project_iam_binding.d: user u@example.org was allowed to read "
        "nearly everything on project p (roles/viewer): this plan does not change that",
        "x google_x.a: a: 1 → 2: this plan updates it",
        "x google_x.b was deleted: this plan does not change that",
    ]


def test_drift_that_only_the_provider_sees_is_none() -> None:
    assert review_changes(resource_drift=[change("google_x.c", {"etag": "1"}, {"etag": "2"})]).empty


def test_checks_that_fail_are_reported_and_those_that_pass_are_not() -> None:
    def check(name: str, status: str, *messages: str) -> dict[str, Any]:
        problems = [{"message": each} for each in messages]
        return {"address": {"to_display": name}, "status": status, "instances": [{"problems": problems}]}

    checks = [
        check("check.a", "fail", "too few"),
        check("check.b", "pass"),
        check("check.c", "error"),
        check("check.d", "unknown"),
    ]
    assert summarize_findings(checks=checks) == [
        ("needs care", "fails: too few"),
        ("needs care", "cannot be evaluated"),
    ]
    assert list_section_lines("Checks known only", checks=checks) == ["check.d"]


def test_deferred_changes_are_reported_and_the_plan_is_refused() -> None:
    waiting = [
        {"reason": "instance_count_unknown", "resource_change": change("google_x.a", None, {"a": 1})},
        {"reason": "of_a_new_kind", "resource_change": change("google_x.b", None, {"a": 1})},
    ]
    assert list_section_lines("Deferred", deferred_changes=waiting, complete=False) == [
        "x google_x.a: create, its count or for_each is not known yet",
        "x google_x.b: create, Terraform's reason is of_a_new_kind",
    ]
    assert "2 changes cannot be planned yet" in review_changes(deferred_changes=waiting).refused


def test_the_order_of_an_apply_follows_the_references() -> None:
    configuration = {
        "root_module": {
            "resources": [
                {"address": "google_x.a", "expressions": {}},
                {
                    "address": "google_x.b",
                    "expressions": {"v": {"references": ["google_x.between.id", "google_x.between"]}},
                },
                {
                    "address": "google_x.between",
                    "expressions": {"v": {"references": ["google_x.a.id", "google_x.a"]}},
                },
            ]
        }
    }
    changes = [
        change("google_x.b", {"a": 1}, {"a": 2}, *REPLACE),
        change("google_x.a", None, {"a": 1}),
        change("google_x.between", {"a": 1}, {"a": 1}),
        change("google_x.gone", {"a": 1}, None),
    ]
    assert list_section_lines("Order", *changes, configuration=configuration) == [
        "1: created: google_x.a",
        "2: replaced, old one deleted first: google_x.b",
        "deletions, each before what it refers to: google_x.gone",
    ]


def test_names_are_those_of_constructs_else_addresses_without_their_hash() -> None:
    names = Names(
        ["google_x.topic_A1B2C3D4", "google_x.one_A1B2C3D4", "google_x.one_00000000", "google_x.f"],
        {"google_x.f": "made/of/f"},
    )
    assert [
        names.of(each)
        for each in ("google_x.topic_A1B2C3D4", "google_x.one_A1B2C3D4", "google_x.f", 'google_x.f["k.1"]')
    ] == [
        "google_x.topic",
        "google_x.one_A1B2C3D4",
        "made/of/f",
        'made/of/f["k.1"]',
    ]


def test_types_are_called_by_their_usual_nouns() -> None:
    assert [
        type_noun(each)
        for each in ("google_bigquery_table", "google_compute_router_nat", "aws_s3_bucket", "a`b")
    ] == [
        "table",
        "compute router nat",
        "aws s3 bucket",
        "resource",
    ]


def test_a_query_on_one_line_is_broken_so_that_the_change_can_be_seen() -> None:
    columns = ", ".join(f"column_{index} AS name_{index}" for index in range(40))
    query = f"SELECT {columns} FROM t WHERE day > 1 AND kind = 'a'"  # noqa: S608
    before = {"table_id": "v", "view": [{"query": query}]}
    after = {"table_id": "v", "view": [{"query": query.replace("column_30", "column_31")}]}
    (finding,) = review_changes(change("google_bigquery_table.v", before, after)).findings
    assert [line for line in finding.details[0].lines if line[0] in "+-"] == [
        "-column_30 AS name_30,",
        "+column_31 AS name_30,",
    ]


def test_long_texts_are_shown_from_their_first_difference() -> None:
    begin = "x" * 300
    (found,) = summarize_findings(change(A, {"a": f"{begin}one"}, {"a": f"{begin}two"}))
    assert found[1].endswith("one → …" + "x" * 30 + "two")
