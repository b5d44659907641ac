"""Compare everything in two synthesized stacks except the arguments of resources: providers, modules, variables."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from review.findings.finding import NO, Detail, Finding, Kind, Severity
from review.findings.text import span, spans
from review.plan.values import Values, unwrap_block
from review.secrets.masking import Secrets
from review.stacks.blocks import (
    as_mapping,
    configuration_finding,
    diff_details,
    format_hidden,
    index_blocks,
    index_typed_blocks,
    list_differing_names,
    list_resource_values,
    strip_comments,
)
from review.stacks.providers import provider_findings, terraform_findings

MOST = 4
COMPARED = frozenset({"//", "resource", "output"})  # sections that are compared elsewhere, or only comments
# Sections that are compared by blocks of one level (`variable.NAME`) and of two (`data.TYPE.NAME`).
NAMED = {"variable": "variable", "locals": "local value", "check": "check", "module": "module"}
TYPED = {"data": "data source", "ephemeral": "ephemeral resource", "action": "action"}
MOVES = ("moved", "import", "removed")


def configuration_findings(
    base: Mapping[str, Any], head: Mapping[str, Any], secrets: Secrets
) -> Iterator[Finding]:
    """Yield a finding for each added, removed or changed block, except resources and outputs."""
    sides = (base, head)
    if base.get("terraform") != head.get("terraform"):
        settings = [as_mapping(unwrap_block(side.get("terraform"))) for side in sides]
        yield from terraform_findings(settings[0], settings[1], secrets)
    if base.get("provider") != head.get("provider"):
        yield from provider_findings(base, head, secrets)
    for section in NAMED:
        old, new = (index_blocks(side.get(section)) for side in sides)
        for name in list_differing_names(old, new):
            yield _block_finding(section, name, (old.get(name), new.get(name)), head, secrets)
    for section in TYPED:
        old, new = (index_typed_blocks(side.get(section)) for side in sides)
        for name in list_differing_names(old, new):
            yield _block_finding(section, name, (old.get(name), new.get(name)), head, secrets)
    for section in sorted({*base, *head} - COMPARED - {"terraform", "provider", *NAMED, *TYPED}):
        # Moves of resources are reported with the resources.
        read = _list_module_blocks if section in MOVES else strip_comments
        if read(base.get(section)) != read(head.get(section)):
            verb = (
                "changes"
                if section in base and section in head
                else "is added"
                if section in head
                else "is removed"
            )
            what = (
                f"{verb}: its effect on the resources of modules is not examined"
                if section in MOVES
                else verb
            )
            details = diff_details(base.get(section), head.get(section), secrets)
            opaque = section if section in MOVES else ""
            yield configuration_finding(
                f"section {span(section)}", Severity.CARE, what, details, opaque=opaque
            )


def _list_module_blocks(section: Any) -> list[Any]:
    """Return the blocks that name a module, or more than one address."""
    found = section if isinstance(section, list) else [section]
    return [each for each in found if "module." in json.dumps(each) or "for_each" in as_mapping(each)]


def meta_argument_findings(
    address: str, where: str, old: Values, new: Values, secrets: Secrets
) -> Iterator[Finding]:
    """Yield changes of a resource's meta-arguments, except provisioners and instances."""
    if old.get("provider") != new.get("provider"):
        sentence = (
            f"is managed by provider {span(new.get('provider') or 'google')} instead of "
            f"{span(old.get('provider') or 'google')}: it may be created again in another project or region"
        )
        yield configuration_finding(
            where, Severity.POSSIBLE_LOSS, sentence, (), address=address, recovery="not known", opaque=address
        )
    before, after = (as_mapping(unwrap_block(each.get("lifecycle"))) for each in (old, new))
    if before.get("prevent_destroy") is True and after.get("prevent_destroy") is not True:
        sentence = "prevent_destroy is removed: it can be destroyed from now on"
        yield configuration_finding(where, Severity.CARE, sentence, (), address=address)
    for key in sorted({*before, *after}):
        if key == "prevent_destroy" and before.get(key) is True:
            continue
        if before.get(key) != after.get(key):
            sentence = (
                f"lifecycle {span(key)}: {format_hidden(before.get(key), secrets)} → "
                f"{format_hidden(after.get(key), secrets)}"
            )
            yield configuration_finding(where, Severity.CHANGE, sentence, (), address=address)
    for key in ("depends_on", "connection"):
        if old.get(key) != new.get(key):
            severity = Severity.CODE if key == "connection" else Severity.NOTE
            details = diff_details(old.get(key), new.get(key), secrets)
            yield configuration_finding(where, severity, f"{span(key)} changes", details, address=address)


def _block_finding(
    section: str, name: str, sides: tuple[Any, Any], head: Mapping[str, Any], secrets: Secrets
) -> Finding:
    old, new = sides
    noun = {**NAMED, **TYPED}[section]
    verb = "is added" if old is None else "is removed" if new is None else "changes"
    details = diff_details(old, new, secrets)
    where = f"{noun} {span(name)}"
    prefix = {"variable": "var", "locals": "local"}.get(section, section)
    users = [
        address for address, values in list_resource_values(head) if f"{prefix}.{name}" in json.dumps(values)
    ]
    used = f"; {spans(users, MOST)} {'uses' if len(users) == 1 else 'use'} it" if users else ""
    if section == "module":
        return _module_finding(name, verb, old, new, details)
    if section in ("data", "ephemeral") and new is not None:
        return _data_finding(f"{section}.{name}", where, f"{verb}:", used, details)
    if section == "action":
        sentence = f"{verb}: its effect is not known"
        return configuration_finding(
            where, Severity.CARE, sentence, details, recovery=NO, opaque=f"action.{name}"
        )
    if section == "check":
        return configuration_finding(where, Severity.CARE if new is None else Severity.NOTE, verb, details)
    has_value = section == "locals" or "default" in as_mapping(old) or "default" in as_mapping(new)
    if section == "variable" and not has_value and old is not None and new is not None:
        return configuration_finding(where, Severity.NOTE, f"its declaration changes{used}", details)
    return configuration_finding(where, Severity.CHANGE if users else Severity.NOTE, f"{verb}{used}", details)


def _data_finding(address: str, where: str, verb: str, used: str, details: tuple[Detail, ...]) -> Finding:
    """Return the finding of a data source or an ephemeral resource, whose result only a plan shows."""
    type_ = address.split(".")[1]
    if type_ == "external":
        sentence = f"{verb} its program runs on the host that plans, with the credentials of the plan{used}"
        return replace(
            configuration_finding(where, Severity.CODE, sentence, details, opaque=address), kind=Kind.CODE
        )
    # The provider's result for a policy document is computed (`review.stacks.expansion`).
    opaque = address if used and type_ != "google_iam_policy" else ""
    severity = Severity.CARE if used else Severity.CHANGE
    shown = "only a plan can show what it reads"
    if type_ == "google_iam_policy":
        shown = "its effect is in the rows of the resources that use it"
    sentence = f"{verb} {shown}{used}"
    return configuration_finding(where, severity, sentence, details, opaque=opaque)


def _module_finding(name: str, verb: str, old: Any, new: Any, details: tuple[Detail, ...]) -> Finding:
    """Return the finding of a module: its resources are not in the stack, so that its effect is not examined."""
    sides = as_mapping(unwrap_block(old)), as_mapping(unwrap_block(new))
    keys = sorted(key for key in {*sides[0], *sides[1]} if sides[0].get(key) != sides[1].get(key))
    what = f" in {spans(keys, MOST)}" if old is not None and new is not None else ""
    sentence = f"{verb}{what}: the effect on its resources is not examined"
    severity = Severity.CARE if old is None else Severity.POSSIBLE_LOSS
    where = f"module {span(name)}"
    return configuration_finding(
        where, severity, sentence, details, recovery="not known", opaque=f"module.{name}"
    )
