"""Apply a user's rules (`--rules FILE`): findings that block an apply, need care, or are ignored, with a reason.

A file is TOML:

    [[rule]]
    action = "ignore"              # block, warn or ignore
    severity = "access widened"      # optional: only findings of this severity
    kind = "access"                # optional: data, access, code, cost or service
    type = "google_sql_*"          # optional: pattern of the resource's type
    address = "module.db.*"        # optional: pattern of its address
    reason = "moved to IAM logins in March"
    expires = 2027-03-31           # required for ignore: from the day after, the rule no longer holds

A stack can hold rules for one resource too, beside its arguments, as `"//": {"review": {…}}` with the same keys.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Any

from review.errors import PlanError
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import plural, span
from review.plan.model import strip_indexes

ACTIONS = ("block", "warn", "ignore")
KEYS = ("action", "severity", "kind", "type", "address", "reason", "expires")
MOST_REASON = 300


@dataclass(frozen=True)
class Rule:
    """One rule; empty conditions match every finding. `source` says where it is written."""

    action: str
    reason: str
    severity: str = ""
    kind: str = ""
    type: str = "*"
    address: str = "*"
    expires: date | None = None
    source: str = ""

    def matches(self, finding: Finding) -> bool:
        """Return whether the rule applies to a finding; one without a resource is matched by rules without patterns."""
        bare = strip_indexes(finding.address)
        type_ = bare.removeprefix("data.").rpartition(".")[0].rpartition(".")[2]
        return (
            self.severity in ("", finding.severity.label)
            and self.kind in ("", finding.kind.value)
            and fnmatchcase(type_, self.type)
            and (fnmatchcase(finding.address, self.address) or fnmatchcase(bare, self.address))
        )

    def is_active(self, today: date) -> bool:
        """Return whether the rule is not expired."""
        return self.expires is None or today <= self.expires


def read_rules(content: bytes, what: str) -> tuple[Rule, ...]:
    """Return the rules of a TOML file. Raises PlanError, which names the place and what is expected there."""
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"{what} is not valid TOML: {error}") from None
    if unknown := sorted(document.keys() - {"rule"}):
        raise PlanError(f"{what} has unknown key {unknown[0]!r}; write each rule as [[rule]]")
    listed = document.get("rule", [])
    if not isinstance(listed, list):
        raise PlanError(f"{what} has a table [rule]; write [[rule]]")
    return tuple(_parse_rule(each, f"{what}, rule {number}") for number, each in enumerate(listed, 1))


def read_stack_rules(document: Mapping[str, Any]) -> Iterator[Rule]:
    """Yield the rules that a synthesized stack holds beside its resources. Raises PlanError."""
    resources = document.get("resource")
    for type_, named in resources.items() if isinstance(resources, Mapping) else ():
        for name, values in named.items() if isinstance(named, Mapping) else ():
            notes = values.get("//") if isinstance(values, Mapping) else None
            written = notes.get("review") if isinstance(notes, Mapping) else None
            for each in written if isinstance(written, list) else [written] if written is not None else []:
                address = f"{type_}.{name}"
                rule = _parse_rule(each, f"the review rule of {address}")
                yield replace(rule, type="*", address=address)


def _parse_rule(raw: Any, where: str) -> Rule:
    if not isinstance(raw, Mapping):
        raise PlanError(f"{where} is not a table of keys and values")
    if unknown := sorted(raw.keys() - set(KEYS)):
        raise PlanError(f"{where} has unknown key {unknown[0]!r}, known: {', '.join(KEYS)}")
    values = {key: raw[key] for key in KEYS if key in raw and key != "expires"}
    for key, value in values.items():
        if not isinstance(value, str) or not value.strip():
            raise PlanError(f"{where}: {key} must be a non-empty string")
    _check_choice(values, "action", ACTIONS, where, required=True)
    _check_choice(values, "severity", [each.label for each in Severity], where)
    _check_choice(values, "kind", [each.value for each in Kind], where)
    if "reason" not in values:
        raise PlanError(f"{where} has no reason; say why, for the readers of the review")
    expires = _parse_date(raw.get("expires"), where)
    if values["action"] == "ignore" and expires is None:
        raise PlanError(f"{where} ignores findings forever; set a date, such as expires = 2027-03-31")
    return Rule(**{**values, "reason": values["reason"][:MOST_REASON]}, expires=expires, source=where)


def _check_choice(
    values: Mapping[str, str], key: str, known: Sequence[str], where: str, *, required: bool = False
) -> None:
    if (key in values or required) and values.get(key) not in known:
        raise PlanError(f"{where}: {key} is {values.get(key)!r}, expected one of {', '.join(known)}")


def _parse_date(value: Any, where: str) -> date | None:
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise PlanError(f"{where}: expires is {value!r}, expected a date such as 2027-03-31") from None


def apply_rules(
    findings: Iterable[Finding], rules: Iterable[Rule], today: date
) -> tuple[tuple[Finding, ...], str, tuple[str, ...]]:
    """Return the findings after the rules, why the apply is blocked, and notes about the rules.

    The first rule that matches a finding decides. A blocked finding keeps its severity, one that is warned of needs
    care at least, and an ignored one is a note which says why.
    """
    holding = [each for each in rules if each.is_active(today)]
    expired = [each for each in rules if not each.is_active(today)]
    made, blocked = [], []
    for finding in findings:
        rule = next((each for each in holding if each.matches(finding)), None)
        if rule is None:
            made.append(finding)
        elif rule.action == "block":
            blocked.append(f"{finding.where} ({finding.severity.label}): {span(rule.reason, MOST_REASON)}")
            made.append(finding)
        else:
            made.append(_apply_rule(finding, rule))
    notes = [
        f"A rule expired on {each.expires} and no longer applies ({span(each.source)}): {span(each.reason, 120)}."
        for each in expired
    ]
    ignored = sum(1 for old, new in zip(findings, made, strict=True) if new.severity < old.severity)
    if ignored:
        notes.append(f"Ignored by rules: {plural(ignored, 'finding')}, shown as notes with the reason.")
    shown = "; ".join(dict.fromkeys(blocked[:5])) + (
        f"; and {len(blocked) - 5} more" if len(blocked) > 5 else ""
    )
    return tuple(made), f"blocked by a rule: {shown}" if blocked else "", tuple(notes)


def _apply_rule(finding: Finding, rule: Rule) -> Finding:
    reason = span(rule.reason, MOST_REASON)
    if rule.action == "warn":
        sentence = f"{finding.sentence} (flagged by a rule: {reason})"
        return replace(finding, severity=max(finding.severity, Severity.CARE), sentence=sentence)
    sentence = f"{finding.sentence} ({finding.severity.label}, ignored until {rule.expires}: {reason})"
    return replace(finding, severity=Severity.NOTE, sentence=sentence, size=0)
