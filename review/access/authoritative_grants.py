"""Report what authoritative bindings and policies take away: every other grant of the role, or on the resource.

The plan shows the members of such a resource, not those that it removes. The review names the removed members that the
same plan or its state declares. Any others are known only to Google Cloud, and no revert restores them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from review.findings.finding import NO, Finding, Kind, Severity
from review.findings.text import UNKNOWN, span
from review.google_cloud.grants import CONTAINERS, Grant, describe_member
from review.plan.context import Context
from review.plan.model import Change
from review.types import registry

MOST = 6


@dataclass(frozen=True)
class Scope:
    """The grants that an authoritative resource replaces: all on a resource, or those of one role and condition."""

    kind: str
    resource: str
    role: str = ""
    condition: str = ""

    def includes(self, grant: Grant) -> bool:
        """Return whether a grant is one of them."""
        return (grant.kind, _short_name(grant.resource)) == (self.kind, _short_name(self.resource)) and (
            not self.role or (grant.role, grant.condition) == (self.role, self.condition)
        )


def authoritative_findings(context: Context, before: Sequence[Grant]) -> Iterator[Finding]:
    """Yield what each binding or policy takes away that is created, moved to another role or resource, or deleted.

    `before` are the grants of the whole plan as they are now.
    """
    for change in context.plan.changes:
        form = registry.find_authority(change.type)
        if not form or change.mode != "managed" or change.action in ("no-op", "read", "forget", "update"):
            continue
        old, new = (_read_scope(change, context, form, new=each) for each in (False, True))
        if change.destroys and old and new != old and form == "policy" and old.kind in CONTAINERS:
            yield _deletion_finding(change, context, old)
        if new and new != old:
            yield _creation_finding(change, context, new, form, before)


def _read_scope(change: Change, context: Context, form: str, *, new: bool) -> Scope | None:
    values = change.new if new else change.old
    if not values:
        return None
    # A binding without members, or a policy without bindings, is authoritative too.
    stands_for_all = {"members": [UNKNOWN]} if form == "binding" else {"policy_data": UNKNOWN}
    found = next(iter(registry.list_grants(change, {**values, **stands_for_all}, context)), None)
    if found is None:
        return None
    if form == "policy":
        return Scope(found.kind, found.resource)
    return Scope(found.kind, found.resource, found.role, found.condition)


def _creation_finding(
    change: Change, context: Context, scope: Scope, form: str, before: Sequence[Grant]
) -> Finding:
    kept = {(each.role, each.member) for each in registry.list_grants(change, change.new, context)}
    losing = sorted(
        {
            describe_member(each.member, each.of)
            for each in before
            if scope.includes(each)
            and each.address != change.address
            and (each.role, each.member) not in kept
        }
    )
    where = f"{scope.kind} {span(scope.resource)}"
    what = f"{span(scope.role)} on {where}" if scope.role else f"any role on {where}"
    shown = ", ".join(losing[:MOST]) + (f" and {len(losing) - MOST} more" if len(losing) > MOST else "")
    named = f"; of those in this plan: {shown}" if losing else ""
    sentence = (
        f"this {form} is authoritative: every other member with {what} loses it{named}; the plan cannot list "
        "members that were granted it elsewhere, so reverting does not restore them"
    )
    severity = Severity.INTERRUPTED if losing or form == "policy" else Severity.CARE
    return Finding(
        Kind.ACCESS,
        severity,
        context.where(change),
        sentence,
        recovery=NO,
        size=36 if losing else 10,
        address=change.address,
    )


def _deletion_finding(change: Change, context: Context, scope: Scope) -> Finding:
    """Return the finding that the policy of a project, folder or organization is deleted, and with it all access."""
    sentence = (
        f"the entire policy of {scope.kind} {span(scope.resource)} is deleted: everyone loses access, owners "
        "included, and only a member with a role on a parent resource can grant access again"
    )
    return Finding(
        Kind.ACCESS,
        Severity.INTERRUPTED,
        context.where(change),
        sentence,
        recovery=NO,
        size=99,
        address=change.address,
    )


def _short_name(name: str) -> str:
    return name.rpartition("/")[2]
