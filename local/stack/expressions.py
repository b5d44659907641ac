"""Terraform's expression language, as far as CDKTF writes it into JSON.

A string of the JSON is a template: text with `${…}` in it, where `$${` is a literal `${`. Expressions are references
(`google_storage_bucket.landing.name`, `…service_config[0].uri`), literals, lists, maps and calls of the functions in
FUNCTIONS. Operators, `for`, splats, conditionals and `%{…}` are refused, by name.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus


class UnsupportedError(ValueError):
    """The text is not an expression of the supported part of the language; the message says why."""


@dataclass(frozen=True)
class Literal:
    """A number, string, boolean or null."""

    value: Any


@dataclass(frozen=True)
class Template:
    """Text with expressions in it. A single expression without text is not a Template, so that it keeps its type."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Reference:
    """`root.step.step[step]…`; a step is an attribute's name, an index, or a node that evaluates to either."""

    root: str
    steps: tuple["str | int | Node", ...]

    def __str__(self) -> str:
        return self.root + "".join(f".{s}" if isinstance(s, str) else f"[{s}]" for s in self.steps)


@dataclass(frozen=True)
class Call:
    """A function call."""

    name: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple["Node", ...]


@dataclass(frozen=True)
class Mapping:
    """A map: pairs of key and value."""

    pairs: tuple[tuple["Node", "Node"], ...]


Node = Literal | Template | Reference | Call | Items | Mapping
Resolve = Callable[[Reference, tuple[str | int, ...]], Any]  # the reference, and its steps evaluated


def references(node: Node) -> Iterator[Reference]:
    """Yield every reference in a node, including those in indexes and arguments."""
    match node:
        case Reference():
            yield node
            for step in node.steps:
                if not isinstance(step, str | int):
                    yield from references(step)
        case Template(parts=inner) | Call(arguments=inner) | Items(items=inner):
            for each in inner:
                yield from references(each)
        case Mapping():
            for parse_pair in node.pairs:
                for each in parse_pair:
                    yield from references(each)


def evaluate(node: Node, resolve: Resolve) -> Any:
    """Return a node's value; `resolve` returns the value of a reference. Raises UnsupportedError."""
    match node:
        case Literal():
            return node.value
        case Template():
            return "".join(as_text(evaluate(part, resolve)) for part in node.parts)
        case Reference():
            steps = (
                s if isinstance(s, str | int) else _checked_step(evaluate(s, resolve)) for s in node.steps
            )
            return resolve(node, tuple(steps))
        case Call():
            return _call_function(node.name, [evaluate(argument, resolve) for argument in node.arguments])
        case Items():
            return [evaluate(item, resolve) for item in node.items]
    return {as_text(evaluate(key, resolve)): evaluate(value, resolve) for key, value in node.pairs}


def as_text(value: Any) -> str:
    """Convert a value to text as Terraform does. Raises UnsupportedError for lists, maps and null."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
    raise UnsupportedError(f"a {type(value).__name__} cannot become text")


def _checked_step(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnsupportedError(f"an index must be a string or a whole number, found {value!r}")
    return value


def _call_function(name: str, arguments: list[Any]) -> Any:
    try:
        return FUNCTIONS[name](*arguments)
    except UnsupportedError:
        raise
    except Exception as error:
        raise UnsupportedError(f"{name}({', '.join(map(repr, arguments))}) fails: {error}") from error


def _format(pattern: str, *values: Any) -> str:
    """Terraform's `format` with the verbs %s, %d, %q, %v and %%."""
    rest = list(values)

    def verb(match: re.Match[str]) -> str:
        kind = match[1]
        if kind == "%":
            return "%"
        value = rest.pop(0)
        return (
            json.dumps(as_text(value)) if kind == "q" else str(int(value)) if kind == "d" else as_text(value)
        )

    text = re.sub(r"%([sdqv%])", verb, pattern)
    if rest or re.search(r"%[^sdqv%]", pattern):
        raise UnsupportedError(f"format pattern {pattern!r} with {len(values)} values")
    return text


def _jsonencode(value: Any) -> str:
    """Encode as compact JSON with sorted keys and Terraform's escapes of <, > and &."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _replace(text: str, old: str, new: str) -> str:
    if len(old) > 1 and old.startswith("/") and old.endswith("/"):
        raise UnsupportedError("replace with a regular expression")
    return text.replace(old, new)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "base64decode": lambda text: base64.b64decode(text, validate=True).decode(),
    "base64encode": lambda text: base64.b64encode(text.encode()).decode(),
    "basename": lambda path: path.rsplit("/", 1)[-1],
    "concat": lambda *lists: [item for items in lists for item in items],
    "element": lambda items, index: items[int(index) % len(items)],
    "format": _format,
    "join": lambda separator, items: separator.join(as_text(item) for item in items),
    "jsondecode": json.loads,
    "jsonencode": _jsonencode,
    "keys": sorted,
    "length": len,
    "lookup": lambda values, key, *default: values[key] if key in values else default[0],
    "lower": str.lower,
    "md5": lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
    "merge": lambda *maps: {key: value for each in maps for key, value in each.items()},
    "replace": _replace,
    "sha256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "split": lambda separator, text: text.split(separator),
    "tolist": list,
    "tomap": dict,
    "tonumber": lambda value: float(value) if "." in str(value) else int(value),
    "toset": lambda items: sorted(set(items)),
    "tostring": as_text,
    "trimprefix": str.removeprefix,
    "trimspace": str.strip,
    "trimsuffix": str.removesuffix,
    "upper": str.upper,
    "urlencode": quote_plus,
    "values": lambda values: [values[key] for key in sorted(values)],
}
