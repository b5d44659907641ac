"""Blocks of a synthesized stack: by name, as differences, and as findings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from review.findings.finding import YES, Detail, Finding, Kind, Severity
from review.findings.text import span
from review.plan.differences import diff_lines
from review.plan.values import Values, unwrap_block
from review.secrets.masking import Secrets


def configuration_finding(
    where: str,
    severity: Severity,
    sentence: str,
    details: tuple[Detail, ...],
    *,
    address: str = "",
    recovery: str = YES,
    opaque: str = "",
) -> Finding:
    """Return a finding about a block of the configuration."""
    return Finding(
        Kind.SERVICE,
        severity,
        where,
        sentence,
        recovery=recovery,
        size=15,
        details=details,
        address=address,
        opaque=opaque,
    )


def diff_details(old: Any, new: Any, secrets: Secrets) -> tuple[Detail, ...]:
    """Return a diff of two blocks as details; none if they are equal."""
    lines = diff_lines(_format_json(strip_comments(old), secrets), _format_json(strip_comments(new), secrets))
    return (Detail("configuration", lines, "diff"),) if lines else ()


def _format_json(value: Any, secrets: Secrets) -> str:
    return (
        "" if value is None else json.dumps(secrets.hide(value), indent=2, sort_keys=True, ensure_ascii=False)
    )


def format_hidden(value: Any, secrets: Secrets) -> str:
    """Return a value as a span, with secrets hidden."""
    return span(secrets.hide(value))


def list_resource_values(document: Mapping[str, Any]) -> Iterator[tuple[str, Values]]:
    """Yield the address and the arguments of every resource."""
    for type_, named in as_mapping(document.get("resource")).items():
        for name, values in as_mapping(named).items():
            yield f"{type_}.{name}", as_mapping(unwrap_block(values))


def index_blocks(section: Any) -> dict[str, Any]:
    """Return the blocks of a section, which can be a list, by name."""
    found: dict[str, Any] = {}
    for each in section if isinstance(section, list) else [section]:
        found |= {name: strip_comments(value) for name, value in as_mapping(each).items() if name != "//"}
    return found


def index_typed_blocks(section: Any) -> dict[str, Any]:
    """Return the blocks of a section by `type.name`."""
    return {
        f"{type_}.{name}": value
        for type_, named in index_blocks(section).items()
        for name, value in index_blocks(named).items()
    }


def list_differing_names(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the names of blocks that differ, sorted."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def strip_comments(value: Any) -> Any:
    """Return a value without the comments (`//`) of a synthesized stack."""
    if isinstance(value, Mapping):
        return {key: strip_comments(each) for key, each in value.items() if key != "//"}
    return [strip_comments(each) for each in value] if isinstance(value, list) else value


def as_mapping(value: Any) -> Values:
    """Return a mapping; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
