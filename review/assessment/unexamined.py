"""List what was not examined: types and arguments that neither the table of types nor a renderer covers.

About these a review never answers "no", "nobody" or "none". `Level` decides which of them need an acknowledgement.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from review.access.exposure import ACCESS_ARGUMENTS, list_unexamined_access
from review.data.arguments import has_rule
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span, spans
from review.google_cloud.resource_types import list_unknown_arguments, look_up_type
from review.plan.context import Context
from review.plan.differences import COMPUTED, STATUS, Difference, list_differences, list_differing_paths
from review.plan.model import Change
from review.plan.values import flatten_values, get_number
from review.types import registry

# Names of arguments that decide how long data is kept, or whether it is deleted.
DATA_ARGUMENTS = re.compile(
    r"\w*retention\w*|\w*retain\w*|\w*_ttl|ttl\w*|\w*expir\w*|gc_\w+|\w*lifecycle_rules?|soft_delete\w*|\w*purge\w*|"
    r"\w*truncat\w*|\w*max_age\w*|\w*delete_after\w*|\w*cleanup\w*|eviction\w*|deletion_window\w*"
)
# Names of arguments that set a size: data may be lost if it shrinks.
SIZE_ARGUMENTS = re.compile(
    r"\w*(?:size|capacity|memory|_gb|_gib|_tib|storage)\w*|\w*(?:node|shard|partition)_count"
)
ACCESS_TYPES = re.compile(
    r"_(?:iam|policy|role|member\w*|binding|grant|permissions?|access|acl|user|group|firewall|security_group\w*|"
    r"credentials?|keys?|token|collaborator|attachment)(?:_|$)"
)


class Level(Enum):
    """When something that was not examined needs an acknowledgement: the option `--unexamined`."""

    NOTE = "note"  # listed only
    ACKNOWLEDGE = "acknowledge"  # if an unknown type is deleted, replaced or may widen access
    STRICT = "strict"  # for anything that was not examined


@dataclass(frozen=True)
class Unexamined:
    """Types, and arguments as `type.argument`, that were not examined for data, access or code."""

    data: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    code: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.data or self.access or self.code)


Gaps = tuple[set[str], set[str], set[str]]  # what was not examined for data, for access and for code


def list_gaps(changes: tuple[Change, ...]) -> list[tuple[Change, Gaps]]:
    """Return each change of which something was not examined, with what that is."""
    found = [(change, _list_change_gaps(change)) for change in changes]
    return [(change, each) for change, each in found if any(each)]


def summarize_gaps(found: list[tuple[Change, Gaps]], findings: Iterable[Finding] = ()) -> Unexamined:
    """Return what was not examined in all changes, and what `findings` mark as opaque."""
    parts = [{name for _, each in found for name in each[part]} for part in range(3)]
    opaque = {each.opaque: each.kind for each in findings if each.opaque}
    code = {
        name for name, kind in opaque.items() if kind is not Kind.CODE
    }  # the others are in the answer about code
    return Unexamined(
        tuple(sorted(parts[0] | opaque.keys())),
        tuple(sorted(parts[1] | opaque.keys())),
        tuple(sorted(parts[2] | code)),
    )


def _list_change_gaps(change: Change) -> Gaps:
    """Return what was not examined for data, for access and for code."""
    if change.mode != "managed" or change.action in ("no-op", "read", "forget"):
        return set(), set(), set()
    known = look_up_type(change.type)
    access = set(list_unexamined_access(change))
    if registry.is_registered(change.type):
        return set(), access, set()
    if known is None:
        data = {change.type}
        code = {change.type} if change.after is not None else set[str]()
        return data, access, code
    if change.after is None:
        return set(), access, set()
    unknown = {
        f"{change.type}.{key}"
        for key in list_unknown_arguments(change.type, list_differing_paths(change))
        if key.partition(".")[0] not in COMPUTED | STATUS
    }
    if change.before is None:
        return set(), access | unknown, unknown
    kept = () if registry.find_renderers(change.type) else _list_data_paths(change)
    return unknown | {f"{change.type}.{each}" for each in kept}, access | unknown, unknown


def _list_data_paths(change: Change) -> Iterator[str]:
    """Yield each changed argument whose name indicates that it decides what is kept, and each size that shrinks."""
    for difference in list_differences(change):
        bare = re.sub(r"\[[^\]]*\]", "", difference.path)
        if (
            SIZE_ARGUMENTS.fullmatch(bare.rpartition(".")[2])
            and _is_smaller(difference)
            and not has_rule(change, bare)
        ):
            yield bare
        sides = (difference.before, difference.after)
        for leaf in {leaf for side in sides for leaf, _ in flatten_values(side, difference.path)}:
            steps = re.sub(r"\[[^\]]*\]", "", leaf).split(".")
            for index, step in enumerate(steps):
                path = ".".join(steps[: index + 1])
                if DATA_ARGUMENTS.fullmatch(step) and not has_rule(change, path):
                    yield path
                    break


def _is_smaller(difference: Difference) -> bool:
    sides = [get_number({"": each}, "") for each in (difference.before, difference.after)]
    return sides[0] is not None and sides[1] is not None and sides[1] < sides[0]


def gap_findings(found: list[tuple[Change, Gaps]], context: Context, level: Level) -> Iterator[Finding]:
    """Yield findings about what was not examined, except deletions, which have findings of their own."""
    for change, (data, access, code) in found:
        if change.after is None:
            continue
        unknown = look_up_type(change.type) is None and not registry.is_registered(change.type)
        widens = change.type in access and unknown and _may_widen(change)
        if level is Level.STRICT and (access or code or widens):
            severity = Severity.WIDENED
        elif level is Level.STRICT:
            severity = Severity.POSSIBLE_LOSS
        elif widens:
            severity = Severity.WIDENED if level is Level.ACKNOWLEDGE else Severity.CARE
        else:
            continue
        names = spans(sorted(data | access | code), 4)
        what = "the review does not know this resource type" if unknown else f"{names} not examined"
        words = "may widen access" if severity is Severity.WIDENED or widens else "may lose data"
        yield Finding(
            Kind.DATA if severity is Severity.POSSIBLE_LOSS else Kind.ACCESS,
            severity,
            context.where(change),
            f"{words}: {what}",
            recovery="not known",
            size=20,
            address=change.address,
            unexamined=True,
        )


def _may_widen(change: Change) -> bool:
    """Return whether the name or the changed arguments of an unknown type indicate access."""
    if ACCESS_TYPES.search(change.type):
        return True
    return any(
        ACCESS_ARGUMENTS.fullmatch(step)
        for each in list_differences(change)
        for leaf, value in flatten_values(each.after, each.path)
        if value not in (None, "", False, [], {})
        for step in re.sub(r"\[[^\]]*\]", "", leaf).split(".")
    )


def adjust_severity(finding: Finding, level: Level) -> Finding:
    """Return a finding with the severity that the level gives to what is not examined."""
    if finding.unexamined and level is Level.NOTE and finding.severity > Severity.CARE:
        return replace(finding, severity=Severity.CARE)
    if finding.opaque and level is Level.STRICT:
        return replace(finding, severity=max(finding.severity, Severity.POSSIBLE_LOSS))
    return finding


def format_names(names: tuple[str, ...], most: int = 6) -> str:
    """Return names as spans, and how many more there are."""
    shown = ", ".join(span(each) for each in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
