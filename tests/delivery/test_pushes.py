"""The section about the last push: findings that are new, and those that are no longer there."""

import pytest

from delivery.pushes import BEGIN, list_finding_rows, render_changes_since_push

pytestmark = pytest.mark.unit

HEAD = "### a headline\n\n| | |\n|---|---|\n| **Is data lost?** | no |\n\n"
TABLE = "| severity | where | what happens | can it be reverted? |\n|---|---|---|---|\n"
LOSS = "| 🛑 **data loss** | table `a` | is deleted | no |"
NOTE = "| note | topic `b` | is created | yes |"


def review(*lines: str) -> str:
    return f"{HEAD}{TABLE}" + "\n".join(lines) + "\n\n<sub>a note</sub>"


def test_rows_are_those_of_the_findings() -> None:
    assert list_finding_rows(review(LOSS, NOTE)) == [LOSS.removeprefix("| "), NOTE.removeprefix("| ")]
    assert list_finding_rows("`dev`: no changes.") == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (review(NOTE), review(LOSS, NOTE), "1 new, 0 no longer there"),
        (review(LOSS, NOTE), review(NOTE), "0 new, 1 no longer there"),
        (review(LOSS), review(NOTE), "1 new, 1 no longer there"),
        (review(LOSS), review(LOSS), "the same findings"),
        ("`dev`: no changes.", review(LOSS), "1 new, 0 no longer there"),
    ],
)
def test_differences_since_the_last_push_are_counted_and_listed(old: str, new: str, words: str) -> None:
    found = render_changes_since_push(old, new, same_plan=False)
    assert words in found
    assert ("| new | 🛑 **data loss**" in found) is (LOSS in new and LOSS not in old)
    assert ("| no longer | 🛑 **data loss**" in found) is (LOSS in old and LOSS not in new)


def test_reviews_without_findings_have_no_section() -> None:
    assert render_changes_since_push("`dev`: no changes.", "`dev`: no changes.", same_plan=False) == ""


def test_the_same_plan_keeps_its_section() -> None:
    first = render_changes_since_push(review(NOTE), review(LOSS, NOTE), same_plan=False)
    body = f"{review(LOSS, NOTE)}\n\n{first}\n\nlast"
    assert render_changes_since_push(body, review(LOSS, NOTE), same_plan=True) == first
    assert render_changes_since_push(review(LOSS), review(LOSS), same_plan=True) == ""
    assert render_changes_since_push(body, review(LOSS, NOTE), same_plan=False).count(BEGIN) == 1
