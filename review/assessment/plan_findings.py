"""Collect every finding of a plan, before severities are adjusted, and findings grouped and sorted."""

import re
from collections.abc import Iterator
from dataclasses import replace

from review.access.exposure import exposure_findings
from review.access.grant_changes import access_findings, lost_grant_findings
from review.code.arguments import code_findings
from review.code.provisioners import provisioner_findings
from review.data.actions import (
    BY_REMOVED,
    DEFERRED,
    action_findings,
    circumstance_findings,
    creation_findings,
    import_finding,
)
from review.data.arguments import data_argument_findings
from review.data.one_way import one_way_findings
from review.data.switched_off import switched_off_findings
from review.findings.finding import NO, YES, Finding, Kind, Severity, sort_key
from review.findings.text import span
from review.plan.context import Context
from review.plan.differences import list_differences
from review.plan.model import Change, Check, Invocation, Output
from review.plan.values import flatten_values
from review.types import registry

MOST_VALUES = 6  # of an action's configuration, in its sentence
EVENT = re.compile(r"(?<!^)([A-Z])")


def collect_findings(context: Context) -> Iterator[Finding]:
    """Yield the findings of the whole plan, and of each of its resources."""
    yield from access_findings(context)
    yield from lost_grant_findings(context)
    yield from context.plan.other_findings
    yield from provisioner_findings(context)
    yield from map(_invocation_finding, context.plan.invocations)
    yield from map(_disclosure_finding, (each for each in context.plan.outputs if each.is_disclosed))
    yield from map(_check_finding, (each for each in context.plan.checks if each.status in ("fail", "error")))
    for change in context.plan.changes:
        yield from circumstance_findings(change, context)
        yield from creation_findings(change, context)
        if change.mode != "managed" or change.action in ("no-op", "read", "forget"):
            continue
        found = list(_change_findings(change, context))
        yield from _merge_import(found, change, context) if change.import_id else found


def _change_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield the findings of one resource that is created, changed or deleted."""
    rendered = list(registry.render_change(change, context))
    yield from rendered
    found = [
        *data_argument_findings(change, context),
        *one_way_findings(change, context),
        *([] if rendered else switched_off_findings(change, context)),
        *code_findings(change, context),
        *exposure_findings(change, context),
    ]
    yield from found
    if found and not rendered and change.action == "update" and _shows_every_difference(found, change):
        return
    needs_action = change.action == "create" or (
        change.destroys and not registry.reports_deletion(change.type)
    )
    if registry.is_grant(change.type) and any(registry.list_grants(change, change.values, context)):
        if change.action in ("create", "delete") or not _has_same_grants(change, context):
            return  # `access_findings` has reported its effect
        needs_action = True
    if not rendered or needs_action:
        yield from action_findings(change, context)


def _shows_every_difference(found: list[Finding], change: Change) -> bool:
    """Return whether the sentences name every argument that differs, or a block that contains it."""
    sentences = [each.sentence for each in found]
    for each in list_differences(change):
        steps = re.sub(r"\[[^\]]*\]", "", each.path).split(".")
        names = [each.path, *(".".join(steps[:end]) for end in range(1, len(steps) + 1))]
        if not any(span(name) in sentence for name in names for sentence in sentences):
            return False
    return True


def _disclosure_finding(output: Output) -> Finding:
    return Finding(
        Kind.ACCESS,
        Severity.WIDENED,
        f"output {span(output.name)}",
        "is no longer sensitive: its value is shown in plans and logs from now on",
        recovery="yes, but not what was read in the meantime",
        size=36,
    )


def _merge_import(found: list[Finding], change: Change, context: Context) -> Iterator[Finding]:
    """Yield the findings of an imported resource; the most severe one also says that it is imported."""
    if not found:
        yield import_finding(change, context)
        return
    most_severe = min(found, key=sort_key)
    for each in found:
        if each is not most_severe:
            yield each
            continue
        sentence = f"{each.sentence}; it is imported by this plan ({span(change.import_id)})"
        yield replace(
            each, sentence=sentence, recovery=BY_REMOVED if each.recovery.startswith(YES) else each.recovery
        )


def _check_finding(check: Check) -> Finding:
    verb = "fails" if check.status == "fail" else "cannot be evaluated"
    messages = "".join(f": {span(each, 300)}" for each in check.messages[:3])
    return Finding(
        Kind.SERVICE,
        Severity.CARE,
        f"check {span(check.address)}",
        f"{verb}{messages}",
        address=check.address,
    )


def _invocation_finding(invocation: Invocation) -> Finding:
    """Return the finding of an action: the apply invokes it, and no revert undoes it."""
    values = [f"{span(path)} = {span(value)}" for path, value in flatten_values(invocation.values) if path]
    given = f" with {', '.join(values[:MOST_VALUES])}" if values else ""
    more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
    event = EVENT.sub(r" \1", invocation.event).strip().lower()
    cause = (
        f", triggered {event or 'by a change'} of {span(invocation.trigger)}" if invocation.trigger else ""
    )
    verb, reason = "is invoked by the apply", ""
    if invocation.deferred_reason:
        verb = "is deferred to a later plan"
        reason = f", because {DEFERRED.get(invocation.deferred_reason) or span(invocation.deferred_reason)}"
    return Finding(
        Kind.CODE,
        Severity.CARE,
        f"action {span(invocation.address)}",
        f"{verb}{reason}{cause}{given}{more}; its effect is not known",
        recovery=NO,
        address=invocation.address,
        opaque=invocation.address,
    )


def _has_same_grants(change: Change, context: Context) -> bool:
    """Return whether a change of a grant leaves the granted access as it is."""
    return [*registry.list_grants(change, change.old, context)] == [
        *registry.list_grants(change, change.new, context)
    ]
