"""Paths of values in a response: `data.stations`, `geometry.coordinates[0]`, `['a key.with dots']`.

`name[language=fr|en].text` selects an item of an array by one of its fields, `networks[].stations` iterates over all
items.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Where:
    """A step to the item of an array whose field `key` has one of the values; earlier values take precedence."""

    key: str
    values: tuple[str, ...]

    def item(self, items: Any) -> Any:
        """Return the matching item, None if there is none."""
        if type(items) is not list:
            return None
        found: dict[str, Any] = {}
        for item in items:
            if type(item) is not dict or type(text := item.get(self.key)) not in {str, int, bool}:
                continue
            if (
                type(text) is int and text.bit_length() > _INTEGER_BITS
            ):  # Python writes no integer of any length
                continue
            found.setdefault(text if type(text) is str else str(text).lower(), item)
        return next((found[value] for value in self.values if value in found), None)


@dataclass(frozen=True)
class Each:
    """A step to every item of an array."""


Step = str | int | Where | Each
FieldPath = tuple[Step, ...]

_INTEGER_BITS = 63
_STEP = re.compile(
    r"""\.?(?P<key>[^.\[\]'"\s][^.\[\]'"]*)|\[(?P<index>\d{1,9})\]|\[(?P<quote>['"])(?P<quoted>.+?)(?P=quote)\]"""
    r"""|\[(?P<field>[^\[\]='"]+)=(?P<values>[^\[\]='"]+)\]|(?P<each>\[\])"""
)
_PLAIN_KEY = re.compile(r"""[^.\[\]'"\s][^.\[\]'"]*""")


def parse_path(text: str) -> FieldPath:
    """Parse `a.b[0]['c.d'][x=1]` to ("a", "b", 0, "c.d", Where("x", ("1",))), and "" to (). Raises ValueError."""
    steps: list[Step] = []
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        starts_with_dot = text[position] == "."
        if step is None or (starts_with_dot and not steps) or (step["key"] and steps and not starts_with_dot):
            raise ValueError(f"{text!r} is not a path such as data.stations or geometry.coordinates[0]")
        if step["field"]:
            steps.append(Where(step["field"], tuple(step["values"].split("|"))))
        elif step["each"]:
            steps.append(Each())
        else:
            steps.append(int(step["index"]) if step["index"] else step["key"] or step["quoted"])
        position = step.end()
    return tuple(steps)


def format_path(path: FieldPath) -> str:
    """Return a path as text: ("a", "b", 0) → `a.b[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif isinstance(step, Where):
            text += f"[{step.key}={'|'.join(step.values)}]"
        elif isinstance(step, Each):
            text += "[]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quote = '"' if "'" in step else "'"
            text += f"[{quote}{step}{quote}]"
    return text


def find_values(value: Any, path: FieldPath) -> Iterator[Any]:
    """Yield the value at `path`, or nothing if it does not exist; with `[]`, the values of all items."""
    for depth, step in enumerate(path):
        if isinstance(step, Each):
            for item in value if type(value) is list else ():
                yield from find_values(item, path[depth + 1 :])
            return
        if isinstance(step, Where):
            value = step.item(value)
            if value is None:
                return
            continue
        if isinstance(step, int):
            if type(value) is not list or step >= len(value):
                return
        elif type(value) is not dict or step not in value:
            return
        value = value[step]
    yield value
