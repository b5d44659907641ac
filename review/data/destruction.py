"""Report what is lost with a resource that is deleted or replaced, and what prevents the deletion."""

from collections.abc import Iterable

from review.findings.finding import NO, Detail, Finding, Kind, Severity
from review.findings.text import plural, span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, format_literal, get_text, get_value

REASONS = {
    "replace_because_tainted": "it is tainted",
    "replace_because_cannot_update": "this cannot be changed in place",
    "replace_by_request": "replacement was requested (-replace)",
    "replace_by_triggers": "a resource in replace_triggered_by changes",
    "delete_because_no_resource_config": "it is no longer in the configuration",
    "delete_because_no_module": "its module is no longer in the configuration",
    "delete_because_wrong_repetition": "its count or for_each was added or removed",
    "delete_because_count_index": "its index is out of the range of count",
    "delete_because_each_key": "its key is no longer in for_each",
    "delete_because_no_move_target": "it moves to an address that is not in the configuration",
    "delete_because_enabled_false": "its lifecycle argument `enabled` is false",
    "read_because_config_unknown": "its arguments are known only after the apply",
    "read_because_dependency_pending": "a dependency changes",
    "read_because_check_nested": "a check block reads it",
}


def describe_reason(change: Change) -> str:
    """Return Terraform's reason for an action, in words; empty if the plan has none."""
    if not change.reason:
        return ""
    sentence = REASONS.get(change.reason) or f"Terraform's reason is {span(change.reason)}"
    paths = sorted({each for each in change.replace_paths if each})
    return f"{sentence}: {', '.join(span(each) for each in paths)}" if paths else sentence


# Arguments that keep a resource from being deleted, and the values with which they do.
PROTECTIONS = (
    ("deletion_protection", ("true", "PROTECTED")),
    ("deletion_protection_enabled", ("true",)),
    ("settings.deletion_protection_enabled", ("true",)),
    ("delete_protection_state", ("DELETE_PROTECTION_ENABLED",)),
    ("delete_protection", ("true",)),
    ("enable_drop_protection", ("true",)),
)


def find_protection(values: Values) -> str:
    """Return the argument that protects a resource from being deleted; empty if none does."""
    for path, on in PROTECTIONS:
        found = get_value(values, path)
        if found is not None and format_literal(found) in on:
            return path
    return ""


def find_deletion_obstacle(change: Change) -> str:
    """Return what makes the apply refuse to destroy a resource; empty if nothing does."""
    if change.is_destroy_prevented:
        return "prevent_destroy is set: the plan fails"
    if found := find_protection(change.old):
        return f"{found} is on: the apply fails part-way; turn it off in a separate apply first"
    if get_text(change.old, "deletion_policy") == "PREVENT":
        return "its deletion_policy is PREVENT: the apply fails"
    return ""


def destruction_finding(
    change: Change,
    context: Context,
    sentence: str,
    *,
    size: int,
    recovery: str = NO,
    severity: Severity = Severity.LOSS,
    deleted_with: Iterable[Change] = (),
    noun: str = "resource",
    unexamined: bool = False,
) -> Finding:
    """Return the finding that data is lost: what prevents it, and what is deleted with it without being in the plan."""
    parts = [sentence]
    if (why := describe_reason(change)) and not (
        change.reason == "replace_because_cannot_update" and " because " in sentence
    ):
        parts.append(why)
    unseen = [each for each in deleted_with if not each.destroys]
    if unseen:
        shown = ", ".join(span(context.names.of(each.address)) for each in unseen[:5])
        more = f" and {len(unseen) - 5} more" if len(unseen) > 5 else ""
        verb = "is" if len(unseen) == 1 else "are"
        parts.append(
            f"{plural(len(unseen), noun)} that the plan does not show {verb} lost with it: {shown}{more}"
        )
    if found := find_deletion_obstacle(change):
        parts.append(found)
    details = []
    if len(unseen) > 5:
        names = tuple(f"{span(context.names.of(each.address))}" for each in unseen)
        details.append(Detail("also lost, not shown in the plan", names))
    return Finding(
        Kind.DATA,
        severity,
        context.where(change),
        "; ".join(parts),
        recovery=recovery,
        size=size,
        details=tuple(details),
        address=change.address,
        unexamined=unexamined,
    )
