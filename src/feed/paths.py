"""Where a value lies in an answer: `data.stations`, `geometry.coordinates[0]`, `['a key.with dots']`."""

import re
from collections.abc import Iterator
from typing import Any

FieldPath = tuple[str | int, ...]

_STEP = re.compile(
    r"""\.?(?P<key>[^.\[\]'"\s][^.\[\]'"]*)|\[(?P<index>\d{1,9})\]|\[(?P<quote>['"])(?P<quoted>.+?)(?P=quote)\]"""
)
_PLAIN_KEY = re.compile(r"""[^.\[\]'"\s][^.\[\]'"]*""")


def parse_path(text: str) -> FieldPath:
    """`a.b[0]['c.d']` → ("a", "b", 0, "c.d"); "" → (); ValueError for anything else."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        starts_with_dot = text[position] == "."
        if step is None or (starts_with_dot and not steps) or (step["key"] and steps and not starts_with_dot):
            raise ValueError(f"{text!r} is not a path such as data.stations or geometry.coordinates[0]")
        steps.append(int(step["index"]) if step["index"] else step["key"] or step["quoted"])
        position = step.end()
    return tuple(steps)


def path_text(path: FieldPath) -> str:
    """The way back: ("a", "b", 0) → `a.b[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quote = '"' if "'" in step else "'"
            text += f"[{quote}{step}{quote}]"
    return text


def values_at(value: Any, path: FieldPath) -> Iterator[Any]:
    """The value at `path`, once, or nothing where the answer has no such place."""
    for step in path:
        if isinstance(step, int):
            if type(value) is not list or step >= len(value):
                return
        elif type(value) is not dict or step not in value:
            return
        value = value[step]
    yield value
