"""The hidden first line that identifies a comment or an issue, and stores its fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AUTHOR = "github-actions[bot]"
MOST = 65_536  # of a body, counted as JavaScript counts: a character beyond the basic multilingual plane counts twice
FIELD = re.compile(r" ([a-z]+)=([\w.:+]+(?:-[\w.:+]+)*)")


@dataclass(frozen=True)
class MarkedPost:
    """A comment or an issue of the workflows. `fields` are those of its marker."""

    number: int  # a comment's id, an issue's number
    body: str
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)


def render_marker(purpose: str, environment: str, **fields: str) -> str:
    """Return the line, which Markdown hides. Values contain no spaces and no consecutive dashes."""
    line = f"<!-- vlille-{purpose}:{environment}{''.join(f' {key}={value}' for key, value in fields.items())} -->"
    if read_marker(line, purpose, environment) != fields:
        raise ValueError(f"a marker cannot hold the values of {fields}")
    return line


def read_marker(body: str, purpose: str, environment: str) -> dict[str, str] | None:
    """Return the fields of the marker that a body begins with; None without this marker."""
    first = body.partition("\n")[0].strip()
    begin, end = f"<!-- vlille-{purpose}:{environment}", " -->"
    if not first.startswith(begin) or not first.endswith(end):
        return None
    inside = first[len(begin) : -len(end)]
    if FIELD.sub("", inside):
        return None
    return dict(FIELD.findall(inside))


def parse_own_post(
    item: Mapping[str, Any], number: str, purpose: str, environment: str, author: str
) -> MarkedPost | None:
    """Return a comment or an issue of GitHub's API if it is the author's and has the marker, else None.

    Anybody can write a marker, so the author counts: only the workflows can be it.
    """
    body = item.get("body") or ""
    if (item.get("user") or {}).get("login") != author:
        return None
    fields = read_marker(body, purpose, environment)
    if fields is None:
        return None
    return MarkedPost(int(item[number]), body, str(item.get("html_url", "")), fields)


def measure_length(body: str) -> int:
    """Return the length of a body as GitHub counts it, at most."""
    return len(body.encode("utf-16-le", "surrogatepass")) // 2


def is_same_body(first: str, second: str) -> bool:
    """Return whether two bodies are equal apart from line endings, which GitHub changes."""
    return first.replace("\r\n", "\n").strip() == second.replace("\r\n", "\n").strip()
