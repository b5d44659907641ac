"""Service level objectives and budgets: targets, amounts and notifications."""

from collections.abc import Iterator

from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_blocks, get_number, get_text

TYPES = ("google_monitoring_slo", "google_billing_budget")
AMOUNT = "amount.specified_amount"


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield how an objective's target, or a budget's amount and notifications change."""
    if change.action not in ("create", "update"):
        return
    sentences = (
        _describe_objective(change) if change.type == "google_monitoring_slo" else _describe_budget(change)
    )
    kind = Kind.SERVICE if change.type == "google_monitoring_slo" else Kind.COST
    for severity, sentence in sentences:
        yield Finding(kind, severity, context.where(change), sentence, address=change.address)


def _describe_objective(change: Change) -> Iterator[tuple[Severity, str]]:
    before, after = get_number(change.old, "goal"), get_number(change.new, "goal")
    if after is None or before == after:
        return
    if before is None:
        yield Severity.NOTE, f"targets {after:.2%}"
    elif after < before:
        yield (
            Severity.CARE,
            f"targets {after:.2%} instead of {before:.2%}: its alerts fire later or not at all",
        )
    else:
        yield Severity.CHANGE, f"targets {after:.2%} instead of {before:.2%}: its alerts fire earlier"


def _describe_budget(change: Change) -> Iterator[tuple[Severity, str]]:
    before, after = (_format_amount(change, new=new) for new in (False, True))
    if change.before is None:
        yield (
            Severity.NOTE,
            f"notifies at {_format_thresholds(change, new=True)} of {after}; it does not limit what is spent",
        )
        return
    if before != after:
        yield Severity.CHANGE, f"its amount is {after} instead of {before}"
    thresholds = [_format_thresholds(change, new=new) for new in (False, True)]
    if thresholds[0] != thresholds[1]:
        yield Severity.CHANGE, f"notifies at {thresholds[1]} of the amount instead of {thresholds[0]}"


def _format_amount(change: Change, *, new: bool) -> str:
    values = change.new if new else change.old
    units, currency = get_text(values, f"{AMOUNT}.units"), get_text(values, f"{AMOUNT}.currency_code")
    if not units:
        return "the last period's amount"
    return span(f"{units} {currency}".rstrip())


def _format_thresholds(change: Change, *, new: bool) -> str:
    rules = get_blocks(change.new if new else change.old, "threshold_rules")
    shown = [
        f"{get_number(rule, 'threshold_percent') or 0:.0%}"
        + (" (forecast)" if get_text(rule, "spend_basis") == "FORECASTED_SPEND" else "")
        for rule in rules
    ]
    return ", ".join(shown) or "no threshold"
