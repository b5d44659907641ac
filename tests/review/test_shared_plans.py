"""Plans and pairs of stacks in a folder beside the repository, which are not part of it.

Without them this file is not collected (tests/conftest.py); the project's own cases cover what they showed.
"""

import json
from pathlib import Path

import pytest

from review.assessment.review import Review, review_plan
from review.cost.price_book import load_price_book
from review.plan.reading import read_plan
from review.types.registry import create_context
from tests.conftest import PLANS
from tests.review.access.test_exposure import answer_about_access
from tests.review.stacks.test_configuration import review_stacks

pytestmark = pytest.mark.unit

LOSS, POSSIBLE, WIDENED, CARE, CODE, CHANGE, NOTE = (
    "data loss", "data loss possible", "access widened", "needs care", "code", "change", "note"
)  # fmt: skip
NARROWED, STOPS = "change", "service interrupted"


def review_of_file(file: Path) -> Review:
    """Return the review of a plan's file."""
    plan = read_plan(file.read_bytes())
    return review_plan(create_context(plan), load_price_book())


# Highest severity of the shared cases about access; None: the answer must not be "nobody".
ACCESS_CASES: dict[str, str | None] = {
    "B01-binding-ends-members-of-the-same-plan": WIDENED,
    "B03-workload-loses-its-only-role": STOPS,
    "B07-default-service-accounts-deleted": STOPS,
    "B08b-authorized-dataset-added": WIDENED,
    "B08c-authorized-view-of-another-project": WIDENED,
    "B08d": WIDENED,
    "B25-policy-tag-removed": WIDENED,
    "B95-hmac-key-switched-on": WIDENED,
    "F1-least-privilege-project-to-bucket": NARROWED,
    "corpus-routine-narrow-firewall": NARROWED,
    "corpus-dangerous-fw-half-internet": WIDENED,
    "corpus-dangerous-fw-deny-narrowed": WIDENED,
    "corpus-dangerous-dns-repoint": CARE,
    "E3-aws-security-group-rule": None,
    "E3-logging-project-exclusion-create": CARE,
    "E3-project-default-service-accounts-delete": STOPS,
    "E3-project-iam-audit-config-delete": CARE,
    "E3-project-iam-member-remove": STOPS,
    "E3-resource-manager-lien-delete": CARE,
}


def test_no_shared_case_of_access_is_answered_with_nobody() -> None:
    files = sorted({*PLANS.glob("E3-*.json"), *(PLANS / f"{name}.json" for name in ACCESS_CASES)})
    for file in files:
        found = review_of_file(file)
        expected = ACCESS_CASES.get(file.stem, WIDENED)
        if expected is None:
            assert answer_about_access(found).startswith("not known"), file.stem
        else:
            assert found.severity.label == expected, (file.stem, found.severity.label)


SHARED_CASES = {
    "B60-bigtable-family-removed": LOSS,
    "B61-bigtable-gc-policy": LOSS,
    "B62-spanner-drop-table": LOSS,
    "B63-firestore-ttl": LOSS,
    "B68-node-pool-machine-type": STOPS,
    "B52-secret-version-abandoned": CARE,
    "B66-sql-database-abandoned": CARE,
    "B73-firestore-abandoned-or-protected": CARE,
    "B76-project-abandoned": CARE,
    "B108-firestore-default-policy-abandons": CARE,
    "B91-key-ring": NOTE,
    "B93-sql-user": STOPS,
}


def test_the_shared_cases_of_data_are_reported() -> None:
    for name, severity in SHARED_CASES.items():
        assert review_of_file(PLANS / f"{name}.json").severity.label == severity, name
    for file in PLANS.glob("E2-delete-*.json"):
        assert review_of_file(file).severity.label in (LOSS, POSSIBLE), file.stem


EXPECTED = {
    "bh-for-each": LOSS,
    "bh-data-source": WIDENED,
    "bh-provider-project": POSSIBLE,
    "bh-provider-version": CODE,
    "bh-backend-moved": CARE,
    "bh-provisioner": CODE,
    "bh-struct-alias": LOSS,
    "bh-ignore-changes": NOTE,
    "bh-ignore-changes-all-removed": NOTE,
}


@pytest.mark.parametrize("case", EXPECTED)
def test_a_shared_pair_of_stacks_is_reported(case: str) -> None:
    sides = [json.loads((PLANS / case / f"{side}.tf.json").read_text()) for side in ("base", "head")]
    assert review_stacks(*sides).severity.label == EXPECTED[case]
