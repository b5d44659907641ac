"""Report code in arguments: startup scripts, workflows, routines, builds, jobs and their images.

`code_arguments.json` lists the arguments. Archives and functions have renderers of their own.
"""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from review.findings.finding import NO, YES, Detail, Finding, Kind, Severity
from review.findings.text import plural, span
from review.plan.context import Context
from review.plan.differences import diff_lines
from review.plan.model import Change
from review.plan.values import Values, flatten_values, format_literal, get_text

TABLE = Path(__file__).with_name("code_arguments.json")
SHORT = 120  # characters of a value that is shown in the sentence
MOST = 3  # arguments in one sentence
ITEM = "google_compute_project_metadata_item"


@cache
def _read_table() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text("utf-8")))


@cache
def _list_paths(type_: str) -> tuple[str, ...]:
    table: Mapping[str, list[str]] = _read_table()["arguments"]
    found = table.get(type_)
    if found is None:
        found = next((paths for key, paths in table.items() if "*" in key and fnmatchcase(type_, key)), [])
    return tuple(found)


def code_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield one finding about changed code, with a diff of each argument that is longer than a line."""
    if change.after is None:
        return
    shown, details = [], []
    for name, before, after in _list_differing(change):
        if len(before) <= SHORT and len(after) <= SHORT and "\n" not in before + after:
            shown.append(
                f"{span(name)}: {span(before)} → {span(after)}" if before else f"{span(name)}: {span(after)}"
            )
            continue
        lines = diff_lines(before, after)
        added = sum(each.startswith("+") for each in lines)
        removed = sum(each.startswith("-") for each in lines)
        shown.append(f"{span(name)} (+{added} −{removed} lines)")
        details.append(Detail(span(name), lines, "diff"))
    if not shown:
        return
    more = f"; and {plural(len(shown) - MOST, 'more argument')}" if len(shown) > MOST else ""
    once = change.type in _read_table()["runs_once"]
    verb = "runs once" if once else "goes live"
    yield Finding(
        Kind.CODE,
        Severity.CODE,
        context.where(change),
        f"this code {verb}: {'; '.join(shown[:MOST])}{more}",
        recovery=NO if once else YES,
        size=4,
        details=tuple(details),
        address=change.address,
    )


def _list_differing(change: Change) -> Iterator[tuple[str, str, str]]:
    """Yield name, old text and new text of each argument with code that is new or differs."""
    if change.type == ITEM and re.search(r"script|user-data", get_text(change.new, "key")):
        yield get_text(change.new, "key"), get_text(change.old, "value"), get_text(change.new, "value")
    created_only = _read_table()["created_only"].get(change.type, ()) if change.before is None else ()
    for path in (*created_only, *_list_paths(change.type)):
        before, after = _read_code(change.old, path), _read_code(change.new, path)
        if after != before and (after or before):
            yield path, before, after


def _read_code(values: Values, path: str) -> str:
    """Return the values at a path, in every block of a list, as text with one line per value."""
    found: list[Any] = [values]
    for step in path.split("."):
        found = [
            inside.get(step)
            for each in found
            for inside in (each if isinstance(each, list) else [each])
            if isinstance(inside, Mapping)
        ]
    lines = []
    for each in found:
        for leaf, value in flatten_values(each):
            if value not in (None, "", [], {}):
                name = re.sub(r"\[0\]", "", leaf).lstrip(".")
                lines.append(f"{name}: {format_literal(value)}" if name else format_literal(value))
    return "\n".join(lines)
