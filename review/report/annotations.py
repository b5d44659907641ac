"""Write GitHub annotations: a finding on the source line of its construct, if the stack has it.

A synthesized stack has it as `"//": {"metadata": {"stackTrace": […]}}`, as CDKTF writes it for some languages, or as
`"//": {"source": "cdk/resources/storage.py:12"}`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from review.findings.finding import Finding, Severity
from review.findings.text import strip_markup
from review.plan.model import strip_indexes

FRAME = re.compile(r"\(?(?P<file>[^\s():]+\.(?:py|ts|js|go|java|cs|tf)):(?P<line>\d{1,6})(?::\d+)?\)?$")
FOREIGN = ("node_modules/", "site-packages/", "/usr/", "<", "jsii")
MOST = 10  # GitHub shows ten annotations of each severity in a step
LONGEST = 400


class SourceLine(NamedTuple):
    """A line of a file, its path relative to the repository."""

    file: str
    line: int


def find_source_lines(document: Mapping[str, Any]) -> dict[str, SourceLine]:
    """Return `type.name` → the source line of its construct, for resources of which the stack has it."""
    found = {}
    for type_, named in _as_mapping(document.get("resource")).items():
        for name, values in _as_mapping(named).items():
            notes = _as_mapping(_as_mapping(values).get("//"))
            trace = _as_mapping(notes.get("metadata")).get("stackTrace")
            frames = [notes.get("source"), *(trace if isinstance(trace, list) else [])]
            if location := next((each for frame in frames if (each := _parse_frame(frame))), None):
                found[f"{type_}.{name}"] = location
    return found


def _parse_frame(frame: Any) -> SourceLine | None:
    match = FRAME.search(frame) if isinstance(frame, str) else None
    if not match or any(each in match["file"] for each in FOREIGN) or ".." in match["file"]:
        return None
    return SourceLine(match["file"].removeprefix("./"), int(match["line"]))


def format_annotations(
    findings: tuple[Finding, ...], found: Mapping[str, SourceLine], mask: Callable[[str], str]
) -> Iterator[str]:
    """Yield a workflow command for each finding with a known source line that at least needs care."""
    shown = 0
    for each in findings:
        location = found.get(strip_indexes(each.address))
        if location is None or each.severity < Severity.CARE or shown == MOST:
            continue
        shown += 1
        level = "error" if each.severity.acknowledgement else "warning"
        message = mask(f"{strip_markup(each.where)}: {strip_markup(each.sentence)}")[:LONGEST]
        title = _escape_property(each.severity.label)
        file = _escape_property(location.file)
        yield f"::{level} file={file},line={location.line},title={title}::{_escape_data(message)}"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
