"""Make the review of a plan: every finding in order, counts, sections and notes."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from review.access.grant_changes import describe_drifted_grants
from review.assessment.apply_order import describe_apply_order
from review.assessment.grouping import add_group_keys
from review.assessment.hardening import describe_missing_settings
from review.assessment.plan_findings import collect_findings
from review.assessment.unexamined import (
    Level,
    Unexamined,
    adjust_severity,
    gap_findings,
    list_gaps,
    summarize_gaps,
)
from review.cost.estimate import Cost, estimate_cost
from review.cost.price_book import PriceBook
from review.data.actions import describe_deferred
from review.findings.finding import ACKNOWLEDGEMENTS, Detail, Finding, Kind, Severity, sort_key
from review.findings.text import plural, span, spans
from review.plan.context import Context
from review.plan.differences import (
    STATUS,
    format_difference,
    list_argument_details,
    list_computed_arguments,
    list_differences,
)
from review.plan.model import OLD_FORMATS, Change, Output, Plan
from review.plan.values import flatten_values

# Types whose `state`, `conditions` or `environment` is configured, not computed.
CONFIGURED_STATUS = (
    "google_monitoring_alert_policy",
    "google_storage_hmac_key",
    "google_kms_crypto_key_version",
)
COST_NEEDS_CARE = 20  # dollars a month
ACTION_COUNTS = {
    "update": "updated",
    "create": "created",
    "replace": "replaced",
    "delete": "deleted",
    "forget": "forgotten",
}


@dataclass(frozen=True)
class Section:
    """A collapsed section below the table. If a comment is too long, the last sections are left out first."""

    title: str
    lines: tuple[str, ...] = ()
    details: tuple[Detail, ...] = ()


@dataclass(frozen=True)
class Review:
    """The result of a review. `refused` says why the plan must not be applied; it is empty otherwise."""

    findings: tuple[Finding, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    sections: tuple[Section, ...] = ()
    refused: str = ""
    is_partial: bool = False  # the plan is incomplete, so that no question can be answered with no
    drift: int = 0  # resources that changed outside of Terraform since the last apply
    notes: tuple[str, ...] = ()
    is_comparison: bool = False
    cost: Cost | None = None
    unexamined: Unexamined = field(default_factory=Unexamined)  # types and arguments that were not examined

    @property
    def acknowledgements(self) -> tuple[str, ...]:
        """What somebody has to acknowledge before the plan is applied."""
        found = {finding.severity.acknowledgement for finding in self.findings}
        return tuple(each for each in ACKNOWLEDGEMENTS if each in found)

    @property
    def severity(self) -> Severity:
        """The highest severity of all findings."""
        return max((finding.severity for finding in self.findings), default=Severity.NOTE)

    @property
    def empty(self) -> bool:
        """Return whether nothing changes and there is nothing to report."""
        return not (self.findings or self.sections or self.refused)


def review_plan(context: Context, book: PriceBook, level: Level = Level.ACKNOWLEDGE) -> Review:
    """Return the review of a plan; its cost is estimated with the given prices.

    `level` sets the severity of types and arguments that are not examined.
    """
    plan = context.plan
    changed = [each for each in plan.changes if each.action in ACTION_COUNTS and each.mode == "managed"]
    month = estimate_cost(context, book) if changed else None
    not_looked_at = list_gaps(plan.changes)
    parts = [*collect_findings(context), *gap_findings(not_looked_at, context, level), *_cost_findings(month)]
    found = sorted((add_group_keys(adjust_severity(each, level), context) for each in parts), key=sort_key)
    counts = Counter(ACTION_COUNTS[each.action] for each in changed)
    moved = sum(1 for each in plan.changes if each.previous_address and each.previous_address != each.address)
    imported = sum(1 for each in plan.changes if each.import_id)
    invoked = sum(1 for each in plan.invocations if not each.deferred_reason)
    extras = (("moved", moved), ("imported", imported), ("actions invoked", invoked))
    extra = [(name, count) for name, count in extras if count]
    return Review(
        findings=tuple(found),
        counts=(*((word, counts[word]) for word in ACTION_COUNTS.values() if counts[word]), *extra),
        sections=tuple(each for each in _list_sections(context, changed) if each.lines or each.details),
        refused=find_refusal(plan),
        is_partial=bool(find_refusal(plan)),
        drift=len(describe_drift(context)),
        is_comparison=plan.is_comparison,
        cost=month,
        unexamined=summarize_gaps(not_looked_at, found),
        notes=tuple(_list_notes(plan)),
    )


def _cost_findings(month: Cost | None) -> Iterator[Finding]:
    """Yield the change of the monthly cost, if it changes; a large increase needs care."""
    if month is not None and not month.is_unchanged:
        old, new = month.totals
        severity = Severity.CARE if new - old >= max(COST_NEEDS_CARE, old / 2) else Severity.CHANGE
        yield Finding(
            Kind.COST, severity, "monthly cost", f"changes: {month.headline.removesuffix(' a month')}", size=1
        )


def find_refusal(plan: Plan) -> str:
    """Return why a plan must not be applied; an empty text if it can be."""
    if plan.errored:
        return "planning failed, so the plan is incomplete; fix the error and plan again"
    if plan.deferred_changes:
        return (
            f"the plan is incomplete: {plural(len(plan.deferred_changes), 'change')} cannot be planned yet; "
            "apply in steps and review each of them"
        )
    if waiting := [each for each in plan.invocations if each.deferred_reason]:
        return (
            f"the plan is incomplete: {plural(len(waiting), 'action')} cannot be planned yet "
            f"({spans([each.address for each in waiting], 4)}); apply in steps and review each of them"
        )
    if plan.complete is False:
        return "the plan is incomplete (-target, or deferred changes); plan again without -target"
    if plan.applyable is False and any(each.action not in ("no-op", "read") for each in plan.changes):
        return "Terraform says that this plan cannot be applied"
    return ""


def _list_notes(plan: Plan) -> Iterator[str]:
    if plan.is_comparison:
        yield (
            "Compares two synthesized stacks without credentials: what is deployed is not read, so drift and values "
            "that are known only after the apply are not shown."
        )
    if plan.format in OLD_FORMATS:
        yield (
            f"Plan format {plan.format} (Terraform 0.12 to 1.0) marks few or no sensitive values and reports little "
            "or no drift: secrets are recognized by name and format only. Plan with a newer Terraform to be sure."
        )
    if plan.complete is None and not plan.is_comparison:
        yield (
            "The plan does not say whether it is complete (Terraform 1.8 and later do): a plan made with -target "
            "looks the same."
        )
    if plan.secrets:
        yield f"{plural(len(plan.secrets), 'sensitive value')} hidden."


def _list_sections(context: Context, changed: list[Change]) -> Iterator[Section]:
    plan = context.plan
    unknown = [span(each.address) for each in plan.checks if each.status == "unknown"]
    yield Section("Checks known only after the apply", tuple(unknown))
    yield Section("Order of the apply", tuple(describe_apply_order(context, changed)))
    yield Section(
        "Deferred to a later plan", tuple(describe_deferred(each, context) for each in plan.deferred_changes)
    )
    yield Section("Changed outside of Terraform since the last apply (drift)", describe_drift(context))
    yield Section("Outputs", tuple(_describe_output(each) for each in plan.outputs))
    for each in plan.invocations:
        values = tuple(f"{span(path)}: {span(value)}" for path, value in flatten_values(each.values) if path)
        yield Section(f"Configuration of action {span(each.address)}", values)
    yield Section("Known only after the apply", tuple(_list_later_known(changed, context)))
    yield Section("Recommended settings that new resources lack", tuple(describe_missing_settings(context)))
    # Created and deleted resources list every argument: they come last, and are left out first from a long comment.
    for change in sorted(changed, key=lambda each: each.action not in ("update", "replace")):
        if details := list_argument_details(change) if change.action != "forget" else ():
            yield Section(f"Arguments of {context.where(change)}", details=details)


def _describe_output(output: Output) -> str:
    name = span(output.name)
    if output.action == "create":
        return f"{name} is new: {span(output.after)}"
    if output.action == "delete":
        return f"{name} is removed; it was {span(output.before)}"
    return f"{name}: {span(output.before)} → {span(output.after)}"


def describe_drift(context: Context) -> tuple[str, ...]:
    """Return one line for each resource that drifted in more than values that the provider computes."""
    lines = []
    for change in context.plan.drift:
        where = context.where(change)
        grants = list(describe_drifted_grants(change, context)) if change.action != "delete" else []
        listed = change.type == "google_bigquery_dataset" or grants
        found = [
            each
            for each in list_differences(change)
            if not (listed and each.path.startswith(("access", "member")))
            and (change.type in CONFIGURED_STATUS or re.split(r"[.\[]", each.path)[0] not in STATUS)
        ]
        if change.action == "delete":
            lines.append(f"{where} was deleted{_describe_drift_fix(change, context)}")
        elif found or grants:
            words = [*grants, *(format_difference(each) for each in found)]
            shown = "; ".join(words[:4])
            more = f"; and {len(words) - 4} more" if len(words) > 4 else ""
            lines.append(f"{where}: {shown}{more}{_describe_drift_fix(change, context)}")
    return tuple(lines)


def _describe_drift_fix(drifted: Change, context: Context) -> str:
    """Return whether the plan reverts a drift, as the end of a sentence."""
    planned = context.by_address.get(drifted.address)
    if planned is None or planned.action in ("no-op", "read"):
        return ": this plan does not change that"
    words = {
        "update": "updates it",
        "create": "creates it again",
        "replace": "replaces it",
        "delete": "deletes it",
    }
    return f": this plan {words.get(planned.action, 'acts on it')}"


def _list_later_known(changed: list[Change], context: Context) -> Iterator[str]:
    for change in changed:
        if change.action in ("update", "replace") and (later := list_computed_arguments(change)):
            yield f"{context.where(change)}: {spans(later, 12)}"


def format_counts(counts: tuple[tuple[str, int], ...]) -> str:
    """Return the counts in words."""
    parts = (
        f"{count:,} {word.replace('actions', 'action') if count == 1 else word}" for word, count in counts
    )
    return ", ".join(parts) or "no resource changes"
