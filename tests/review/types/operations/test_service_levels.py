"""Objectives and budgets: the severity and a part of the sentence."""

from typing import Any

import pytest

from tests.review.conftest import change, summarize_findings

pytestmark = pytest.mark.unit

SLO, BUDGET = "google_monitoring_slo.s", "google_billing_budget.b"


def budget(units: str = "10", *parts: float, currency: str = "EUR") -> dict[str, Any]:
    return {
        "amount": [{"specified_amount": [{"units": units, "currency_code": currency}]}],
        "threshold_rules": [{"threshold_percent": part, "spend_basis": "CURRENT_SPEND"} for part in parts],
    }


FORECAST = {"threshold_rules": [{"threshold_percent": 1.0, "spend_basis": "FORECASTED_SPEND"}]}
LAST_PERIOD = {"amount": [{"last_period_amount": True}], "threshold_rules": []}

CASES: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "objective created": (
        change(SLO, None, {"goal": 0.99}),
        ("note", "targets 99.00%"),
    ),
    "objective lowered": (
        change(SLO, {"goal": 0.99}, {"goal": 0.9}),
        ("needs care", "targets 90.00% instead of 99.00%: its alerts fire later or not at all"),
    ),
    "objective raised": (
        change(SLO, {"goal": 0.99}, {"goal": 0.999}),
        ("change", "targets 99.90% instead of 99.00%: its alerts fire earlier"),
    ),
    "budget created": (
        change(BUDGET, None, budget("10", 0.5, 1.0)),
        ("note", "notifies at 50%, 100% of 10 EUR; it does not limit what is spent"),
    ),
    "amount changed": (
        change(BUDGET, budget("10", 0.5), budget("100", 0.5)),
        ("change", "its amount is 100 EUR instead of 10 EUR"),
    ),
    "amount of the last period": (
        change(BUDGET, budget("10"), LAST_PERIOD),
        ("change", "its amount is the last period's amount instead of 10 EUR"),
    ),
    "forecast instead": (
        change(BUDGET, budget("10", 0.5, 0.9), budget("10") | FORECAST),
        ("change", "notifies at 100% (forecast) of the amount instead of 50%, 90%"),
    ),
    "no notification left": (
        change(BUDGET, budget("10", 0.5), budget("10")),
        ("change", "notifies at no threshold of the amount instead of 50%"),
    ),
}


@pytest.mark.parametrize(("changed", "expected"), CASES.values(), ids=CASES)
def test_changes_of_objectives_and_budgets_are_reported(
    changed: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert any(
        severity == expected[0] and expected[1] in sentence
        for severity, sentence in summarize_findings(changed)
    ), summarize_findings(changed)
