"""Compare every grant of the plan before and after, and describe the difference: widening before narrowing.

All grants are compared together: a binding that is rewritten as members, a resource that is renamed or a grant that is
replaced by the same grant changes nobody's access and is not reported.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from review.access.authoritative_grants import authoritative_findings
from review.findings.finding import YES, Finding, Kind, Severity
from review.findings.text import span, spans
from review.google_cloud.grants import (
    CONTAINERS,
    PUBLIC,
    Grant,
    describe_member,
    describe_resource,
    rank_breadth,
)
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import flatten_values, get_text, is_known
from review.types import registry

Holder = tuple[
    str, str, str, str
]  # kind and name of a resource, member, source of a member that is not known yet
BASIC = ("roles/owner", "roles/editor", "roles/viewer")
# Capabilities that roles/editor does not include.
NOT_EDITOR = (
    "grant",
    "secret:read",
    "token",
    "impersonate",
    "impersonate-key",
    "anything",
    "decrypt",
    "log:private",
)
# Arguments with the name of a resource, and the resource types by kind of grant.
NAME_ARGUMENTS = ("name", "dataset_id", "table_id", "secret_id", "repository_id")
TYPES_BY_KIND: dict[str, tuple[str, ...]] = {
    "bucket": ("google_storage_bucket",),
    "dataset": ("google_bigquery_dataset",),
    "table": ("google_bigquery_table",),
    "topic": ("google_pubsub_topic",),
    "subscription": ("google_pubsub_subscription",),
    "secret": ("google_secret_manager_secret",),
    "repository": ("google_artifact_registry_repository",),
    "service": ("google_cloud_run_v2_service", "google_cloud_run_service"),
    "job": ("google_cloud_run_v2_job",),
    "function": ("google_cloudfunctions2_function", "google_cloudfunctions_function"),
    "key": ("google_kms_crypto_key",),
}
STAYS = "yes, but not what was read or changed in the meantime"


def access_findings(context: Context) -> Iterator[Finding]:
    """Yield a finding for each member whose grants on a resource change, and what authoritative bindings remove."""
    before, after = _collect_grants(context, new=False), _collect_grants(context, new=True)
    whole = _collect_project_grants(before, context)
    for key in sorted({*before, *after}):
        removed = [each for each in before[key] if not _is_held(each, after[key])]
        added = [each for each in after[key] if not _is_held(each, before[key])]
        if not removed and not added:
            continue
        above = whole.get(key[2], []) if added and key[0] not in CONTAINERS else []
        found = _change_finding(removed, added, [*before[key], *above], after[key])
        if removed and not after[key] and (users := _list_workloads(key[2], after, context)):
            verb = "runs" if len(users) == 1 else "run"
            words = f"{found.sentence}; {spans(users, 3)} {verb} as this account, which has no other grant in this plan"
            found = replace(found, severity=Severity.INTERRUPTED, sentence=words, size=28)
        yield found
    yield from authoritative_findings(context, [each for grants in before.values() for each in grants])


def _collect_project_grants(before: Mapping[Holder, list[Grant]], context: Context) -> dict[str, list[Grant]]:
    """Return each member's grants on the project, if the plan has a single one: they apply to all its resources."""
    projects = {
        project
        for change in context.plan.changes
        if (project := get_text(change.values, "project") or get_text(change.old, "project"))
        and is_known(project)
    }
    found: defaultdict[str, list[Grant]] = defaultdict(list)
    for (kind, resource_, member, _), grants in before.items():
        if kind == "project" and projects == {resource_} and is_known(member):
            found[member] += grants
    return found


def _list_workloads(member: str, after: Mapping[Holder, list[Grant]], context: Context) -> list[str]:
    """Return the workloads of a service account that has no grant left; an empty list if it still has one."""
    email = member.removeprefix("serviceAccount:")
    if email == member or any(key[2] == member and grants for key, grants in after.items()):
        return []
    return [
        context.names.of(change.address)
        for change in context.plan.changes
        if change.after is not None
        and change.mode == "managed"
        and change.type != "google_service_account"
        and not registry.is_grant(change.type)
        and any(isinstance(leaf, str) and leaf.endswith(email) for _, leaf in flatten_values(change.values))
    ]


def lost_grant_findings(context: Context) -> Iterator[Finding]:
    """Yield a finding for each replaced resource whose grants are lost without being in the plan.

    A grant is stored with its resource. If the new resource has the same name, the grant's arguments do not differ,
    so the plan does not show that it is lost; the next plan creates it again.
    """
    removed = {
        change.configured_address: change for change in context.plan.changes if change.action == "replace"
    }
    unseen: defaultdict[str, list[Grant]] = defaultdict(list)
    for change in context.plan.changes if removed else ():
        if change.action == "no-op" and change.mode == "managed" and "_iam_" in change.type:
            for grant in registry.list_grants(change, change.values, context):
                for address in _find_replaced_holders(change, grant, removed, context):
                    unseen[address].append(grant)
    for address, grants in sorted(unseen.items()):
        names = sorted({f"{describe_member(each.member, each.of)} ({span(each.role)})" for each in grants})
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        sentence = f"its grants are lost too, which the plan does not show, until another apply creates them: {shown}"
        yield Finding(
            Kind.ACCESS,
            Severity.INTERRUPTED,
            context.where(removed[address]),
            sentence,
            recovery="by applying again",
            address=address,
        )


def _find_replaced_holders(
    change: Change, grant: Grant, removed: Mapping[str, Change], context: Context
) -> set[str]:
    """Return the addresses of replaced resources that a grant is on, by its references or by the resource's name."""
    found = {
        address
        for argument, references in context.plan.references.get(change.configured_address, {}).items()
        if argument not in ("member", "members", "depends_on", "condition")
        for address in removed
        if any(each == address or each.startswith(f"{address}.") for each in references)
    }
    name = _short_name(grant.resource).rpartition(".")[2]
    return found | {
        address
        for address, replaced in removed.items()
        if replaced.type in TYPES_BY_KIND.get(grant.kind, ())
        and name in {get_text(replaced.old, key) for key in NAME_ARGUMENTS}
    }


def describe_drifted_grants(change: Change, context: Context) -> Iterator[str]:
    """Yield a sentence for each grant added or removed outside of Terraform that the plan does not declare."""
    declared = {
        (_short_name(each.resource), each.role, each.member)
        for other, each in context.all_grants
        if other.address != change.address
    }
    sides = [
        {
            (_short_name(each.resource), each.role, each.member): each
            for each in registry.list_grants(change, side, context)
        }
        for side in (change.old, change.new)
    ]
    for key in sorted({*sides[0], *sides[1]} - declared):
        grant = sides[1].get(key) or sides[0][key]
        if key not in sides[0]:
            yield f"{describe_member(grant.member, grant.of)} was allowed to {_describe_grant(grant)}"
        elif key not in sides[1]:
            yield f"{describe_member(grant.member, grant.of)} lost the permission to {_describe_grant(grant)}"


def _is_held(grant: Grant, others: list[Grant]) -> bool:
    return any((each.role, each.condition) == (grant.role, grant.condition) for each in others)


def _collect_grants(context: Context, *, new: bool) -> dict[Holder, list[Grant]]:
    found: defaultdict[Holder, list[Grant]] = defaultdict(list)
    for change in context.plan.changes:
        if change.mode != "managed" or (new and change.deposed):
            continue
        for grant in registry.list_grants(change, _select_values(change, new=new), context):
            found[grant.kind, _short_name(grant.resource), grant.member, grant.of].append(grant)
    return found


def _select_values(change: Change, *, new: bool) -> dict[str, object]:
    if change.action in ("no-op", "read"):
        return dict(change.values)
    if new and change.forgets and change.after is None:
        return dict(change.old)  # Terraform forgets the grant, which stays
    return dict(change.new if new else change.old)


def _short_name(name: str) -> str:
    return name.rpartition("/")[2]


def _change_finding(
    removed: list[Grant], added: list[Grant], before: list[Grant], after: list[Grant]
) -> Finding:
    had = frozenset[str]().union(*(each.role_facts.capabilities for each in before if not each.condition))
    has = frozenset[str]().union(*(each.role_facts.capabilities for each in after if not each.condition))
    widened = not _is_covered(has, had) or any(
        each.condition
        and not _is_covered(each.role_facts.capabilities, had)
        and not _is_narrower(each, removed)
        for each in added
    )
    grant = max(added or removed, key=lambda each: (rank_breadth(each), each.role))
    return Finding(
        Kind.ACCESS,
        Severity.WIDENED if widened else Severity.CHANGE,
        f"{grant.kind} {span(grant.resource)}",
        _describe_change(grant, removed, added, widened=widened),
        recovery=STAYS if widened else YES,
        size=rank_breadth(grant) if widened else 0,
        address=grant.address,
        subject=describe_member(grant.member, grant.of),
    )


def _is_covered(wanted: frozenset[str], had: frozenset[str]) -> bool:
    """Return whether `had` includes all of `wanted`; a basic role includes capabilities of every service."""
    if "basic:grant" in had:
        return True
    if "basic:delete" in had:
        return all(each in had or not each.endswith(NOT_EDITOR) for each in wanted)
    return wanted <= had


def _is_narrower(grant: Grant, removed: list[Grant]) -> bool:
    """Return whether a conditional grant replaces a grant of the same role without a condition."""
    return any(each.role == grant.role and not each.condition for each in removed)


def _describe_change(grant: Grant, removed: list[Grant], added: list[Grant], *, widened: bool) -> str:
    name = describe_member(grant.member, grant.of)
    if added and not removed:
        return f"{name} can now {_format_grants(added)}{_describe_reach(added)}"
    if removed and not added:
        return f"{name} can no longer {_format_grants(removed)}"
    same = {each.role for each in removed} == {each.role for each in added}
    if same:
        return f"{name} can still {_format_grants(added)}; before: {_format_conditions(removed)}"
    verb = "can now" if widened else "can now only"
    return f"{name} {verb} {_format_grants(added)}; before: {_format_grants(removed)}{_describe_reach(added)}"


def _format_grants(grants: list[Grant]) -> str:
    words = [
        _describe_grant(each)
        for each in sorted(grants, key=lambda each: (-rank_breadth(each), each.role, each.condition))
    ]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _describe_grant(grant: Grant) -> str:
    role_facts = grant.role_facts
    condition = f", but only if {span(grant.condition)}" if grant.condition else ""
    return f"{role_facts.phrase} {describe_resource(grant)} ({span(grant.role)}){condition}"


def _format_conditions(grants: list[Grant]) -> str:
    parts = [
        f"only if {span(each.condition)}" if each.condition else "without a condition" for each in grants
    ]
    return " and ".join(sorted(parts))


def _describe_reach(added: list[Grant]) -> str:
    if any(each.member in PUBLIC for each in added):
        return ": this is public"
    if any(each.role in BASIC and each.kind in CONTAINERS for each in added):
        return ": a basic role, which reaches every service"
    return ""
