"""Plans and pairs of stacks in a folder beside the repository, which are not part of it.

Without them this file is not collected (tests/conftest.py); the project's own cases cover what they showed.
"""

import json
from pathlib import Path

import pytest

from review.assessment.review import Review, review_plan
from review.cost.price_book import load_price_book
from review.plan.reading import read_plan
from review.report.document import lay_out_review
from review.report.markdown import render_markdown
from review.types.registry import create_context
from tests.conftest import PLANS
from tests.review.access.test_exposure import answer_about_access
from tests.review.stacks.test_configuration import review_stacks

pytestmark = pytest.mark.unit

LOSS, POSSIBLE, WIDENED, CARE, CODE, CHANGE, NOTE = (
    "data loss", "data loss possible", "access widened", "needs care", "code", "change", "note"
)  # fmt: skip
NARROWED, STOPS = "change", "service interrupted"


# What the comment says of a case, besides its severity.
SENTENCES = {
    "B01-binding-ends-members-of-the-same-plan": ("`loader@", "`night@", "**no**"),
    "B42-only-an-action": ("`what` = `everything`",),
    "B43-deferred-action": ("`action.google_x.y`", "do not apply"),
    "B94-alert-condition-changed": ("`conditions.condition_threshold.threshold_value`: `1` → `-100`",),
    "B101-bucket-replaced-iam-lost-by-name": ("its grants are lost too", "`admins@example.org`"),
    "B102-bucket-replaced-iam-lost-module-output": ("its grants are lost too", "`admins@example.org`"),
    "cost-gpu-vm": ("cost not known", "a2-highgpu-1g"),
    "cost-sql-enterprise-plus": ("cost not known", "ENTERPRISE_PLUS"),
    "cost-spanner": ("not counted: `google_spanner_instance`",),
    "cost-composer": ("not counted: `google_composer_environment`",),
    "cost-bigtable": ("not counted: `google_bigtable_instance`",),
    "cost-nodepool-regional": ("$968.52",),
    "cost-run-cpu-always": ("$99.86",),
    "cost-nat": ("$1.02 per VM, $32.12 at most",),
}
SECRETS = ("ghp_", "sk_live_", "hooks.slack.com/services/T")  # of B56: none may be shown


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
    "B42-only-an-action": CARE,
    "B43-deferred-action": CARE,
    "B56-cloud-run-env-various-secrets": CODE,
    "B94-alert-condition-changed": CARE,
    "B101-bucket-replaced-iam-lost-by-name": LOSS,
    "B102-bucket-replaced-iam-lost-module-output": LOSS,
}


def test_the_shared_cases_of_data_are_reported() -> None:
    for name, severity in SHARED_CASES.items():
        assert review_of_file(PLANS / f"{name}.json").severity.label == severity, name
    for file in PLANS.glob("E2-delete-*.json"):
        assert review_of_file(file).severity.label in (LOSS, POSSIBLE), file.stem


@pytest.mark.parametrize("case", SENTENCES)
def test_the_comment_of_a_shared_case_says_what_matters(case: str) -> None:
    comment = render_markdown(lay_out_review(review_of_file(PLANS / f"{case}.json")))
    assert not [each for each in SENTENCES[case] if each not in comment], comment


def test_secrets_of_a_shared_case_are_hidden_by_their_form() -> None:
    comment = render_markdown(
        lay_out_review(review_of_file(PLANS / "B56-cloud-run-env-various-secrets.json"))
    )
    assert not [each for each in SECRETS if each in comment]
    assert comment.count("(sensitive)") >= 6


def test_every_line_of_the_expectations_has_a_case() -> None:
    lines = (PLANS / "EXPECTED.tsv").read_text().splitlines()[1:]
    tested = {*ACCESS_CASES, *SHARED_CASES, *EXPECTED, *SENTENCES}
    for line in lines:
        for name in line.partition("\t")[0].split(" (")[0].split(", "):
            assert "*" in name or any(each.startswith(name) for each in tested), name


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
    "bh-lustre": LOSS,
    "bh-own-stack-alerts": CARE,
}


@pytest.mark.parametrize("case", EXPECTED)
def test_a_shared_pair_of_stacks_is_reported(case: str) -> None:
    sides = [json.loads((PLANS / case / f"{side}.tf.json").read_text()) for side in ("base", "head")]
    assert review_stacks(*sides).severity.label == EXPECTED[case]
