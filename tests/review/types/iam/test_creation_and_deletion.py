"""Resources whose creation or deletion changes access."""

from typing import Any

import pytest

from tests.review.conftest import change, summarize_findings

pytestmark = pytest.mark.unit

DEFAULTS = "google_project_default_service_accounts"
POLICY = "google_bigquery_row_access_policy"
ROWS = {
    "dataset_id": "d",
    "table_id": "t",
    "policy_id": "p",
    "filter_predicate": "a = 1",
    "grantees": ["user:a@example.org"],
}


@pytest.mark.parametrize(
    ("type_", "old", "new", "severity", "words"),
    [
        (
            DEFAULTS,
            None,
            {"project": "p", "action": "DELETE"},
            "service interrupted",
            "are deleted: workloads",
        ),
        (
            DEFAULTS,
            None,
            {"project": "p", "action": "DISABLE"},
            "service interrupted",
            "are disabled: workloads",
        ),
        (
            DEFAULTS,
            None,
            {"project": "p", "action": "DEPRIVILEGE"},
            "service interrupted",
            "lose roles/editor",
        ),
        (DEFAULTS, {"project": "p", "action": "DELETE"}, None, "change", "is deleted"),
        (POLICY, None, ROWS, "access widened", "user a@example.org can now read the rows"),
        (POLICY, ROWS, None, "access widened", "without any, every row is shown"),
    ],
)
def test_creation_or_deletion_changes_access(
    type_: str, old: dict[str, Any] | None, new: dict[str, Any] | None, severity: str, words: str
) -> None:
    found = summarize_findings(change(f"{type_}.x", old, new))
    assert found[0][0] == severity
    assert words in found[0][1]


def test_the_viewers_of_a_datasets_own_project_are_named_without_it() -> None:
    entry = {"dataset_id": "d", "role": "READER", "special_group": "projectReaders"}
    (severity, sentence), *_ = summarize_findings(change("google_bigquery_dataset_access.a", None, entry))
    assert severity == "access widened"
    assert sentence.startswith("every viewer of the dataset's project can now read the data of dataset d")
