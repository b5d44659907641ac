"""Report what a change in place switches off: a service that is disabled, suspended, paused or stopped."""

import re
from collections.abc import Iterator
from typing import Any

from review.data.arguments import has_rule
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span
from review.google_cloud.resource_types import is_kind
from review.plan.context import Context
from review.plan.differences import list_differences
from review.plan.model import Change
from review.plan.values import format_literal, is_known

# Names of switches, and the values with which they are off.
ON = re.compile(r"(?:is_)?(?:enabled?|active|serving)")
OFF = re.compile(r"(?:is_)?(?:disabled?|paused|suspended|suspend)")
STATES = re.compile(
    r"serving_status|(?:desired_)?(?:state|status)|activation_(?:policy|state)|desired_power_state"
)
STATES_OFF = re.compile(
    r"\w*(?:DISABLED?|PAUSED?|SUSPENDED|STOPPED|INACTIVE|TERMINATED|SHUTDOWN|OFF|NEVER)", re.IGNORECASE
)


def switched_off_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield each argument by which a resource that serves others, or a part of it, is switched off."""
    if change.action != "update" or not is_kind(change.type, "serves"):
        return
    for each in list_differences(change):
        bare = re.sub(r"\[[^\]]*\]", "", each.path)
        name = bare.rpartition(".")[2]
        if has_rule(change, bare) or not _is_off(name, each.after) or _is_off(name, each.before):
            continue
        whole = "." not in bare
        old, new = (span(each.before), span(each.after))
        sentence = f"{'is switched off' if whole else 'a part of it is switched off'}: {span(each.path)}: {old} → {new}"
        severity = Severity.INTERRUPTED if whole else Severity.CARE
        yield Finding(Kind.SERVICE, severity, context.where(change), sentence, address=change.address)


def _is_off(name: str, value: Any) -> bool:
    """Return whether a switch is off. An unset switch counts as not off, because its default decides."""
    if not is_known(value):
        return False
    text = format_literal(value)
    if STATES.fullmatch(name):
        return bool(STATES_OFF.fullmatch(text))
    if ON.fullmatch(name):
        return text.lower() == "false"
    return bool(OFF.fullmatch(name)) and text.lower() == "true"
