"""A deleted firewall policy: the finding with its rules in the plan, and without."""

from typing import Any

import pytest

from review.report.answers import answer_questions
from tests.review.conftest import change, review_changes, summarize_findings

pytestmark = pytest.mark.unit

POLICY = "google_compute_network_firewall_policy"
DELETED = change(f"{POLICY}.p", {"name": "edge"}, None)
EFFECT = "connections that it denied may be allowed, and connections that it allowed may be denied"


def part(kind: str, policy: str, **values: Any) -> dict[str, Any]:
    found = {"firewall_policy": policy, **values}
    return change(f"{POLICY}_{kind}.x", found, found)


def test_a_policy_deleted_without_its_rules_says_what_opens_and_closes() -> None:
    assert summarize_findings(DELETED)[0] == (
        "access widened",
        f"firewall policy edge is deleted, and its rules no longer apply: {EFFECT}; its rules are not in this plan, so "
        "which connections change is not known",
    )


def test_the_answer_about_access_has_the_effect_of_the_deletion() -> None:
    access = next(
        each for each in answer_questions(review_changes(DELETED)) if each.question == "Who gains access?"
    )
    assert EFFECT in access.text


@pytest.mark.parametrize("policy", ["edge", "projects/p/global/firewallPolicies/edge"])
def test_rules_and_networks_of_the_plan_are_named(policy: str) -> None:
    rule = part("rule", policy, priority=1000, action="deny")
    association = part("association", policy, attachment_target="projects/p/global/networks/main")
    [sentence] = [
        sentence for _, sentence in summarize_findings(DELETED, rule, association) if EFFECT in sentence
    ]
    assert "no longer apply for main: " in sentence
    assert f"the plan has 1 rule of it ({POLICY}_rule.x); whether it has others is not known" in sentence


def test_rules_of_another_policy_are_not_named() -> None:
    assert "its rules are not in this plan" in summarize_findings(DELETED, part("rule", "another"))[0][1]
