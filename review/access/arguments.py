"""Compare single arguments that open or restrict access: flags, ordered values, networks, members and limits.

The rules are in `exposure.json`; its note explains them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from review.findings.finding import YES, Finding, Kind, Severity
from review.findings.text import HIDDEN, UNKNOWN, span, spans
from review.google_cloud.networks import Addresses
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, flatten_values, format_literal, get_blocks

UNSET = "(unset)"
STAYS = "yes, but not what was read or changed in the meantime"


def access_finding(
    change: Change,
    context: Context,
    severity: Severity,
    sentence: str,
    *,
    size: int = 0,
    kind: Kind = Kind.ACCESS,
) -> Finding:
    """Return a finding about access; a revert does not take back what was done with the access in the meantime."""
    recovery = STAYS if severity is Severity.WIDENED else YES
    return Finding(
        kind, severity, context.where(change), sentence, recovery=recovery, size=size, address=change.address
    )


def argument_findings(change: Change, context: Context, path: str, rule: str) -> Iterator[Finding]:
    """Yield the finding of an argument that has a rule: whether its change widens or narrows access."""
    old, new = _collect_values(change.old, path), _collect_values(change.new, path)
    if old == new:
        return
    if change.before is None:
        if not _is_open_from_the_start(rule, new):
            return
        yield access_finding(
            change,
            context,
            Severity.WIDENED,
            f"{span(path)} is {_format_values(new)}: {_describe_effect(rule, new)}",
            size=30,
        )
        return
    if (
        rule.startswith("networks")
        and _allows_everything(rule, old, change.old, path)
        and Addresses.parse(new).is_public
    ):
        return
    widened = any(UNKNOWN in each or HIDDEN in each for each in new) or _is_widened(
        rule, old, new, change, path
    )
    sentence = f"{span(path)} changes from {_format_values(old)} to {_format_values(new)}"
    if widened:
        yield access_finding(
            change, context, Severity.WIDENED, f"{sentence}: {_describe_effect(rule, new)}", size=42
        )
    else:
        yield access_finding(change, context, Severity.CHANGE, f"{sentence}: this narrows access")


def _collect_values(values: Values, path: str) -> list[str]:
    """Return every value at a path, sorted, in all blocks of a list; of a block its arguments that are set."""
    found: list[Any] = [values]
    for step in path.split("."):
        found = [
            inside.get(step)
            for each in found
            for inside in (each if isinstance(each, list) else [each])
            if isinstance(inside, Mapping)
        ]
    texts = []
    for each in found:
        for leaf, value in flatten_values(each):
            if value not in (None, "", [], {}):
                at = re.sub(r"\[\d+\]", "", leaf)
                texts.append(f"{at.lstrip('.')} {format_literal(value)}".strip())
    return sorted(texts)


def _format_values(values: list[str]) -> str:
    return spans(values, 4) if values else "unset"


def _is_open_from_the_start(rule: str, new: list[str]) -> bool:
    if rule == "true":
        return "true" in new
    if rule.startswith("networks"):
        return Addresses.parse(new).is_public
    if rule.endswith("|"):
        return bool(new)
    before, bar, _ = rule.partition("|")
    return bool(bar) and not {each.strip() for each in before.split("<")} & set(new)


def _is_widened(rule: str, old: list[str], new: list[str], change: Change, path: str) -> bool:
    if rule in ("true", "false"):
        return _has_open_value(new, rule) and not _has_open_value(old, rule)
    if "<" in rule:
        before, after = _rank_value(rule, old), _rank_value(rule, new)
        return before is None or after is None or after > before
    if rule.startswith(("networks", "members")):
        if _allows_everything(rule, old, change.old, path) or _allows_everything(rule, new, change.new, path):
            return not _allows_everything(rule, old, change.old, path)
        if rule.startswith("members"):
            return not set(new) <= set(old)
        return not Addresses.parse(new).is_within(Addresses.parse(old))
    return bool(old) or rule != "limits"


def _rank_value(rule: str, values: list[str]) -> int | None:
    """Return the position of a value in the rule's order, from closed to open; None if it is not in it."""
    order = [each.strip() for each in re.split(r"[<|]", rule)]
    known_values = values or [UNSET]
    return max(map(order.index, known_values)) if all(each in order for each in known_values) else None


def _has_open_value(values: list[str], rule: str) -> bool:
    """Return whether a flag has its open value; an absent flag is false."""
    return (values == ["true"]) is (rule == "true")


def _allows_everything(rule: str, values: list[str], all_values: Values, path: str) -> bool:
    if rule.endswith("(all)"):
        return not values
    if rule.endswith("(block)"):
        return not get_blocks(all_values, path.rpartition(".")[0].rpartition(".")[0])
    return False


def _describe_effect(rule: str, new: list[str]) -> str:
    if rule.startswith("networks") and new:
        return f"{Addresses.parse(new).description} can connect"
    if rule == "limits":
        return "what it excluded may now be allowed"
    if rule.startswith("any"):
        return "the review cannot tell whether this widens access"
    return "this widens access"
