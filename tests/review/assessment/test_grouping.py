"""Findings that state the same are one row; others stay apart, and no finding is lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.findings.text import plural, strip_markup
from review.report.document import Document, lay_out_review
from tests.review.conftest import change, review_changes

pytestmark = pytest.mark.unit


def table(name: str, dataset: str = "d") -> dict[str, Any]:
    return {"dataset_id": dataset, "table_id": name, "deletion_protection": False}


def laid_out(*changes: dict[str, Any]) -> Document:
    return lay_out_review(review_changes(*changes))


def rows(document: Document) -> list[tuple[str, str, str]]:
    return [
        (each.severity.label, strip_markup(each.where), strip_markup(each.sentence)) for each in document.rows
    ]


def test_deleted_tables_of_one_dataset_are_one_row() -> None:
    found = laid_out(
        *(change(f"google_bigquery_table.t{each}", table(f"t{each}"), None) for each in range(12))
    )
    severity, where, sentence = rows(found)[0]
    assert (severity, where) == ("data loss", "12 tables in dataset d")
    assert sentence.startswith("are deleted")
    assert "google_bigquery_table.t11" in sentence
    assert len(found.rows) == 1
    assert "data loss (12)" in found.headline


def test_every_one_of_a_large_group_is_in_its_fold() -> None:
    found = laid_out(
        *(change(f"google_bigquery_table.t{each}", table(f"t{each}"), None) for each in range(40))
    )
    (fold,) = [
        each for each in found.folds if strip_markup(each.title) == "40 tables in dataset d, one by one"
    ]
    assert len(fold.lines) == 40
    assert strip_markup(found.rows[0].sentence).endswith("and 28 more")


def test_tables_of_other_datasets_or_with_other_changes_are_not_grouped() -> None:
    changes = [
        *(change(f"google_bigquery_table.a{each}", table(f"a{each}"), None) for each in range(4)),
        *(change(f"google_bigquery_table.b{each}", table(f"b{each}", "e"), None) for each in range(5)),
        *(change(f"google_storage_bucket.c{each}", {"name": f"c{each}"}, None) for each in range(3)),
    ]
    wheres = [where for _, where, _ in rows(laid_out(*changes))]
    assert {"4 tables in dataset d", "5 tables in dataset e"} <= set(wheres)
    assert sum(each.startswith("bucket ") for each in wheres) == 3  # three are listed one by one


def test_grants_to_several_are_not_hidden_in_one_row() -> None:
    members = [f"user:u{each}@example.org" for each in range(6)]
    found = laid_out(
        *(
            change(
                f"google_storage_bucket_iam_member.m{each}",
                None,
                {"bucket": "b", "role": "roles/storage.admin", "member": member},
            )
            for each, member in enumerate(members)
        )
    )
    summary = " ".join(sentence for _, _, sentence in rows(found))
    assert all(member.removeprefix("user:") in summary for member in members)


@given(st.integers(1, 30), st.integers(0, 5))
@pytest.mark.long
def test_findings_are_one_row_each_or_one_group(tables: int, buckets: int) -> None:
    changes = [change(f"google_bigquery_table.t{each}", table(f"t{each}"), None) for each in range(tables)]
    changes += [
        change(f"google_storage_bucket.c{each}", {"name": f"c{each}"}, None) for each in range(buckets)
    ]
    found = laid_out(*changes)
    summary = " ".join(
        [f"{where} {sentence}" for _, where, sentence in rows(found)]
        + [strip_markup(line) for fold in found.folds for line in fold.lines]
    )
    for each in changes:
        assert each["address"] in summary


def test_a_clause_common_to_all_members_is_written_once() -> None:
    members = [f"user:u{each}@example.org" for each in range(6)]
    found = laid_out(
        change(
            "google_project_iam_binding.b", None, {"project": "p", "role": "roles/editor", "members": members}
        )
    )
    (row,) = [each for each in rows(found) if each[0] == "access widened"]
    assert row[2].count("can now change") == 1
    assert all(each.removeprefix("user:") in row[2] for each in members)
    assert "can now change and delete nearly everything" in strip_markup(
        dict(found.answers)["Who gains access?"]
    )


def test_an_import_that_changes_is_one_row() -> None:
    topic = change(
        "google_pubsub_topic.t", {"name": "t", "labels": {"a": "1"}}, {"name": "t", "labels": {"a": "2"}},
        importing={"id": "projects/p/topics/t"},
    )  # fmt: skip
    found = review_changes(topic).findings
    assert len(found) == 1
    assert strip_markup(found[0].sentence) == (
        "is updated in place: labels.a: 1 → 2; it is imported by this plan (projects/p/topics/t)"
    )
    assert found[0].recovery.startswith("with a removed block")


@pytest.mark.parametrize("action", ["update", "no-op"])
def test_an_output_that_is_no_longer_sensitive_widens_access(action: str) -> None:
    output = {
        "actions": [action], "before": "hunter22", "after": "hunter22",
        "before_sensitive": True, "after_sensitive": False,
    }  # fmt: skip
    found = review_changes(output_changes={"password": output})
    assert [(each.severity.label, strip_markup(each.where)) for each in found.findings] == [
        ("access widened", "output password")
    ]
    assert "hunter22" not in str(found)


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("table", "tables"),
        ("policy", "policies"),
        ("branch", "branches"),
        ("address", "addresses"),
        ("key", "keys"),
        ("index", "indexes"),
    ],
)
def test_plurals(noun: str, many: str) -> None:
    assert plural(2, noun) == f"2 {many}"
    assert plural(1, noun) == f"1 {noun}"


def test_a_group_is_written_in_the_plural() -> None:
    accounts = [
        change(
            f"google_service_account.a{index}",
            {"account_id": f"a{index}"},
            {"account_id": f"b{index}"},
            "delete",
            "create",
        )
        for index in range(4)
    ]
    [row] = [row for row in lay_out_review(review_changes(*accounts)).rows if "recreated" in row.sentence]
    assert strip_markup(row.where) == "4 service accounts"
    assert "are deleted and recreated: all their grants are lost" in row.sentence
