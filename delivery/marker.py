"""The hidden first line by which a comment or an issue is found again, and what it remembers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AUTHOR = "github-actions[bot]"
MOST = 65_536  # of a body, counted as JavaScript counts: a letter beyond the basic plane is two
FIELD = re.compile(r" ([a-z]+)=([\w.:+]+(?:-[\w.:+]+)*)")


@dataclass(frozen=True)
class MarkedPost:
    """A comment or an issue of ours. `fields` are those of its marker."""

    number: int  # a comment's id, an issue's number
    body: str
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)


def render_marker(purpose: str, environment: str, **fields: str) -> str:
    """Return the line, which Markdown does not show. Values are words without spaces, and no dashes side by side."""
    line = f"<!-- vlille-{purpose}:{environment}{''.join(f' {key}={value}' for key, value in fields.items())} -->"
    if read_marker(line, purpose, environment) != fields:
        raise ValueError(f"no marker can hold {fields}")
    return line


def read_marker(body: str, purpose: str, environment: str) -> dict[str, str] | None:
    """Return the fields of the marker that a body begins with; None where it does not begin with this one."""
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
    """Return a comment or an issue as GitHub tells it, where it is the author's and so marked; None otherwise.

    Anybody can write a marker, so what nobody but the workflows can be counts: who wrote it.
    """
    body = item.get("body") or ""
    if (item.get("user") or {}).get("login") != author:
        return None
    fields = read_marker(body, purpose, environment)
    if fields is None:
        return None
    return MarkedPost(int(item[number]), body, str(item.get("html_url", "")), fields)


def measure_length(body: str) -> int:
    """Return how long GitHub takes a body to be, at most."""
    return len(body.encode("utf-16-le", "surrogatepass")) // 2


def is_same_body(first: str, second: str) -> bool:
    """Tell whether two bodies are the same but for what GitHub makes of line ends."""
    return first.replace("\r\n", "\n").strip() == second.replace("\r\n", "\n").strip()
