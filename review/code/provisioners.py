"""Report provisioners: commands that an apply runs when it creates or destroys a resource."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from review.findings.finding import NO, YES, Detail, Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.differences import diff_lines
from review.plan.model import Change
from review.plan.values import get_text, get_value

MOST = 200  # characters of a command in a sentence


def provisioner_findings(context: Context) -> Iterator[Finding]:
    """Yield the commands that the apply runs, and changed provisioners that run only the next time."""
    for change in context.plan.changes:
        if change.mode != "managed" or change.deposed:
            continue
        old = context.plan.old_provisioners.get(change.configured_address, ())
        new = context.plan.provisioners.get(change.configured_address, ())
        if "create" in change.actions:
            yield from _run_findings(change, context, new, old, when="create")
        if change.destroys:
            yield from _run_findings(change, context, new or old, (), when="destroy")
        if (
            context.plan.is_comparison
            and not change.destroys
            and "create" not in change.actions
            and old != new
        ):
            sentence = "its provisioners change; they run the next time it is created or destroyed"
            yield _finding(change, context, sentence, _diff_details(old, new), recovery=YES)


def _run_findings(
    change: Change,
    context: Context,
    provisioners: tuple[Mapping[str, Any], ...],
    before: tuple[Mapping[str, Any], ...],
    *,
    when: str,
) -> Iterator[Finding]:
    for each in provisioners:
        if (get_text(each, "when") or "create") != when:
            continue
        command = (
            get_text(each, "command") or get_text(each, "inline") or _format_argument(each.get("arguments"))
        )
        where = {"local-exec": " on the host that runs Terraform", "remote-exec": " on the resource"}.get(
            get_text(each, "type"), ""
        )
        cause = f"when it is {'created' if when == 'create' else 'destroyed'}"
        sentence = f"{cause}, the apply runs provisioner {span(get_text(each, 'type'))}{where}: {span(command, MOST)}"
        opaque = f"{change.address} provisioner {get_text(each, 'type')}"
        yield _finding(change, context, sentence, _diff_details(before, (each,)), opaque=opaque)


def _finding(
    change: Change,
    context: Context,
    sentence: str,
    details: tuple[Detail, ...],
    *,
    opaque: str = "",
    recovery: str = NO,
) -> Finding:
    return Finding(
        Kind.CODE,
        Severity.CODE,
        context.where(change),
        sentence,
        recovery=recovery,
        size=20,
        details=details,
        address=change.address,
        opaque=opaque,
    )


def _diff_details(
    old: tuple[Mapping[str, Any], ...], new: tuple[Mapping[str, Any], ...]
) -> tuple[Detail, ...]:
    lines = diff_lines(_format_provisioners(old), _format_provisioners(new))
    return (Detail("provisioners", lines, "diff"),) if lines else ()


def _format_provisioners(provisioners: tuple[Mapping[str, Any], ...]) -> str:
    lines = []
    for each in provisioners:
        lines.append(f"{get_text(each, 'type')} (when: {get_text(each, 'when') or 'create'})")
        arguments = get_value(each, "arguments")
        for key, value in sorted(arguments.items()) if isinstance(arguments, Mapping) else ():
            lines += [f"  {key}: {line}" for line in _format_argument(value).splitlines()]
    return "\n".join(lines)


def _format_argument(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
