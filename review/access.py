"""Access: every grant of the plan before and after, and the difference in words, widening before narrowing.

Grants are compared as a whole: a binding that becomes members, a resource that is renamed, a grant that is replaced by
itself, change nothing and are not told as if they did.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from review import types
from review.context import Context
from review.findings import YES, Finding, Kind, Weight
from review.grants import PUBLIC, WHOLE, Grant, breadth, resource, who
from review.plan import Change
from review.text import span

Who = tuple[str, str, str, str]  # kind and name of a resource, member, where an unknown member comes from
BASIC = ("roles/owner", "roles/editor", "roles/viewer")
# What an editor may not do all the same.
BEYOND_EDITOR = (
    "grant",
    "secret:read",
    "token",
    "impersonate",
    "impersonate-key",
    "anything",
    "decrypt",
    "log:private",
)
STAYS = "yes; what was read or done meanwhile stays"


def access_findings(context: Context) -> Iterator[Finding]:
    """Yield a finding for each member whose grants on a resource change."""
    before, after = _grants(context, new=False), _grants(context, new=True)
    for key in sorted({*before, *after}):
        gone = [each for each in before[key] if not _held(each, after[key])]
        come = [each for each in after[key] if not _held(each, before[key])]
        if gone or come:
            found = _finding(key, gone, come, before[key], after[key])
            yield replace(found, sentence=f"{found.sentence}{_ended(come, context)}")


def lost_grants(context: Context) -> Iterator[Finding]:
    """Yield a finding for each resource whose replacement takes grants along that the plan leaves alone.

    A grant lies with its resource. Where the new resource has the name of the old one, nothing in the grant differs,
    and so the plan does not show that it goes: the next plan makes it again.
    """
    gone = {change.configured: change for change in context.plan.changes if change.action == "replace"}
    unseen: defaultdict[str, list[Grant]] = defaultdict(list)
    for change in context.plan.changes:
        if change.action == "no-op" and change.mode == "managed" and "_iam_" in change.type:
            for argument, references in context.plan.references.get(change.configured, {}).items():
                if argument in ("member", "members", "depends_on", "condition"):
                    continue
                for address in sorted(
                    {each for each in gone if any(r == each or r.startswith(f"{each}.") for r in references)}
                ):
                    unseen[address] += types.grants(change, change.values, context)
    for address, grants in sorted(unseen.items()):
        names = sorted({f"{who(each.member, each.of)} ({span(each.role)})" for each in grants})
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        told = (
            f"with it go grants that the plan does not show, until the next apply makes them again: {shown}"
        )
        yield Finding(
            Kind.ACCESS,
            Weight.INTERRUPTED,
            context.where(gone[address]),
            told,
            undo="by a second apply",
            address=address,
        )


def drifted_grants(change: Change, context: Context) -> Iterator[str]:
    """Yield what was granted or taken outside of Terraform, one sentence each; what the plan declares is left out."""
    declared = {
        (_short(each.resource), each.role, each.member)
        for other, each in context.granted
        if other.address != change.address
    }
    sides = [
        {
            (_short(each.resource), each.role, each.member): each
            for each in types.grants(change, side, context)
        }
        for side in (change.old, change.new)
    ]
    for key in sorted({*sides[0], *sides[1]} - declared):
        grant = sides[1].get(key) or sides[0][key]
        if key not in sides[0]:
            yield f"{who(grant.member, grant.of)} was let {_words(grant)}"
        elif key not in sides[1]:
            yield f"{who(grant.member, grant.of)} was no longer let {_words(grant)}"


def _held(grant: Grant, others: list[Grant]) -> bool:
    return any((each.role, each.condition) == (grant.role, grant.condition) for each in others)


def _grants(context: Context, *, new: bool) -> dict[Who, list[Grant]]:
    found: defaultdict[Who, list[Grant]] = defaultdict(list)
    for change in context.plan.changes:
        if change.mode != "managed" or (new and change.deposed):
            continue
        for grant in types.grants(change, _side(change, new=new), context):
            found[grant.kind, _short(grant.resource), grant.member, grant.of].append(grant)
    return found


def _side(change: Change, *, new: bool) -> dict[str, object]:
    if change.action in ("no-op", "read"):
        return dict(change.values)
    if new and change.forgets and change.after is None:
        return dict(change.old)  # Terraform lets go of a grant, which stays
    return dict(change.new if new else change.old)


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _finding(
    key: Who, gone: list[Grant], come: list[Grant], before: list[Grant], after: list[Grant]
) -> Finding:
    had = frozenset[str]().union(*(each.lets.can for each in before if not each.condition))
    has = frozenset[str]().union(*(each.lets.can for each in after if not each.condition))
    widened = not _covered(has, had) or any(
        each.condition and not _covered(each.lets.can, had) and not _narrower(each, gone) for each in come
    )
    grant = max(come or gone, key=lambda each: (breadth(each), each.role))
    return Finding(
        Kind.ACCESS,
        Weight.WIDENED if widened else Weight.CHANGE,
        f"{grant.kind} {span(grant.resource)}",
        _sentence(grant, gone, come, widened=widened),
        undo=STAYS if widened else YES,
        size=breadth(grant) if widened else 0,
        address=grant.address,
    )


def _covered(wanted: frozenset[str], had: frozenset[str]) -> bool:
    """Tell whether who had `had` could do all of `wanted` before: a basic role reaches into every service."""
    if "basic:grant" in had:
        return True
    if "basic:delete" in had:
        return all(each in had or not each.endswith(BEYOND_EDITOR) for each in wanted)
    return wanted <= had


def _narrower(grant: Grant, gone: list[Grant]) -> bool:
    """Tell whether a conditional grant takes the place of the same role without a condition."""
    return any(each.role == grant.role and not each.condition for each in gone)


def _sentence(grant: Grant, gone: list[Grant], come: list[Grant], *, widened: bool) -> str:
    name = who(grant.member, grant.of)
    if come and not gone:
        return f"{name} may now {_list(come)}{_reach(come)}"
    if gone and not come:
        return f"{name} may no longer {_list(gone)}"
    same = {each.role for each in gone} == {each.role for each in come}
    if same:
        return f"{name} may still {_list(come)}, where before {_conditions(gone)}"
    verb = "may now" if widened else "may now only"
    return f"{name} {verb} {_list(come)}; before: {_list(gone)}{_reach(come)}"


def _list(grants: list[Grant]) -> str:
    words = [
        _words(each) for each in sorted(grants, key=lambda each: (-breadth(each), each.role, each.condition))
    ]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _words(grant: Grant) -> str:
    told = grant.lets
    condition = f", but only if {span(grant.condition)}" if grant.condition else ""
    return f"{told.words} {resource(grant)} ({span(grant.role)}){condition}"


def _conditions(grants: list[Grant]) -> str:
    told = [f"only if {span(each.condition)}" if each.condition else "without a condition" for each in grants]
    return " and ".join(sorted(told))


def _reach(come: list[Grant]) -> str:
    if any(each.member in PUBLIC for each in come):
        return ": this is public"
    if any(each.role in BASIC and each.kind in WHOLE for each in come):
        return ": a basic role, which reaches every service"
    return ""


def _ended(come: list[Grant], context: Context) -> str:
    """Say what a new binding or policy ends beside what it grants: it takes the place of what others granted."""
    if not any(each.sole for each in come):
        return ""
    made = {change.address for change in context.plan.changes if change.action == "create"}
    return "".join(
        f"; {sole}" for sole in sorted({each.sole for each in come if each.sole and each.address in made})
    )
