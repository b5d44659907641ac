"""Terraform's expression language, as far as CDKTF writes it into JSON.

A string of the JSON is a template: text with `${…}` in it, `$${` standing for a literal `${`. Inside are
references (`google_storage_bucket.landing.name`, `…service_config[0].uri`), literals, lists, maps and calls
of the functions in FUNCTIONS. Operators, `for`, splats, conditionals and `%{…}` are refused, by name.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_][\w-]*)
      | (?P<quote>")
      | (?P<sign>\.\.\.|[=!<>]=|&&|\|\||=>|\S)
    )""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class UnsupportedError(ValueError):
    """The text is no expression of the part of the language that is evaluated here; says why."""


@dataclass(frozen=True)
class Literal:
    """A number, string, boolean or null."""

    value: Any


@dataclass(frozen=True)
class Template:
    """Text with expressions in it; a single expression without text is no Template, so it keeps its type."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Reference:
    """`root.step.step[step]…`; a step is an attribute's name, an index, or a node giving one of both."""

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


def parse_template(text: str) -> Node:
    """Parse a string of the JSON. Raises UnsupportedError."""
    return _Parser(text).parse_template(end=None)


def references(node: Node) -> Iterator[Reference]:
    """Yield every reference inside a node, also those within indexes and arguments."""
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
    """Return the node's value; `resolve` gives the value of a reference. Raises UnsupportedError."""
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
    """Return a value as Terraform writes it into a text. Raises UnsupportedError for lists, maps and null."""
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
        raise UnsupportedError(f"an index must be a text or a whole number, found {value!r}")
    return value


def _call_function(name: str, arguments: list[Any]) -> Any:
    try:
        return FUNCTIONS[name](*arguments)
    except UnsupportedError:
        raise
    except Exception as error:
        raise UnsupportedError(f"{name}({', '.join(map(repr, arguments))}) fails: {error}") from error


def _format(pattern: str, *values: Any) -> str:
    """Terraform's `format`, with the verbs %s, %d, %q, %v and %%."""
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
    """Compact, keys sorted, and with Terraform's escapes of <, > and &."""
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


class _Parser:
    """Recursive descent over one string; `at` is the place reached."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def parse_template(self, end: str | None) -> Node:
        """Parse text and `${…}` up to the quote `end`, or to the end of the string."""
        parts: list[Node] = []
        literal: list[str] = []
        while not (end is None and self.position == len(self.text)):
            if self.position >= len(self.text):
                raise UnsupportedError("a quoted text is not closed")
            for escaped in ("$${", "%%{"):
                if self.text.startswith(escaped, self.position):
                    literal.append(escaped[1:])
                    self.position += 3
                    break
            else:
                if self.text.startswith("${", self.position):
                    self.position += 2
                    if literal:
                        parts.append(Literal("".join(literal)))
                        literal = []
                    if self.text.startswith("~", self.position):
                        raise UnsupportedError("the strip marker ~")
                    parts.append(self.parse_expression())
                    self.expect("}")
                elif self.text.startswith("%{", self.position):
                    raise UnsupportedError("template directives %{…}")
                elif self.text[self.position] == end:
                    self.position += 1
                    break
                else:
                    literal.append(self.take_character(quoted=end is not None))
        if literal or not parts:
            parts.append(Literal("".join(literal)))
        return parts[0] if len(parts) == 1 else Template(tuple(parts))

    def take_character(self, *, quoted: bool) -> str:
        """Take one character; inside quotes, a backslash and what follows are one."""
        found = self.text[self.position]
        self.position += 1
        if not quoted or found != "\\":
            return found
        name = self.text[self.position : self.position + 1]
        self.position += 1
        if name == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", self.text[self.position : self.position + 4]):
            self.position += 4
            return chr(int(self.text[self.position - 4 : self.position], 16))
        if name not in _ESCAPES:
            raise UnsupportedError(f"the escape \\{name}")
        return _ESCAPES[name]

    def peek(self) -> str:
        """Return the next token, without taking it; empty at the end."""
        match = _TOKEN.match(self.text, self.position)
        return match[0].strip() if match else ""

    def take(self) -> tuple[str, str]:
        """Take the next token: its kind and text."""
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise UnsupportedError("it ends too early")
        self.position = match.end()
        return str(match.lastgroup), match[0].strip()

    def expect(self, sign: str) -> None:
        """Take that sign. Raises UnsupportedError, with what was found instead."""
        found = self.peek()
        if found != sign:
            raise UnsupportedError(
                f"{found!r} is not evaluated" if found else f"{sign!r} is missing at its end"
            )
        self.take()

    def parse_expression(self) -> Node:
        """Parse one operand; an operator after it is refused by whoever expects what closes it."""
        kind, text = self.take()
        match kind:
            case "number":
                return Literal(int(text) if text.isdigit() else float(text))
            case "quote":
                return self.parse_template(end='"')
            case "name":
                return self.parse_name(text)
        return self.parse_sign(text)

    def parse_sign(self, text: str) -> Node:
        """Parse what begins with a sign: brackets of three kinds, or a minus."""
        if text == "(":
            inner = self.parse_expression()
            self.expect(")")
            return inner
        if text == "-" and isinstance(operand := self.parse_expression(), Literal):
            return Literal(-operand.value)
        if text == "[":
            return Items(tuple(self.parse_items("]", self.parse_expression)))
        if text == "{":
            return Mapping(tuple(self.parse_items("}", self.parse_pair)))
        raise UnsupportedError(f"{text!r} is not evaluated")

    def parse_name(self, name: str) -> Node:
        """Parse what begins with a name: a constant, a call or a reference."""
        if name in ("true", "false", "null"):
            return Literal({"true": True, "false": False, "null": None}[name])
        if self.peek() == "(":
            self.take()
            if name not in FUNCTIONS:
                raise UnsupportedError(f"the function {name}() is not evaluated")
            return Call(name, tuple(self.parse_items(")", self.parse_expression)))
        if name == "for":
            raise UnsupportedError("for expressions are not evaluated")
        return Reference(name, tuple(self.steps()))

    def steps(self) -> Iterator["str | int | Node"]:
        """Parse `.name`, `.0` and `[…]` as long as there are any."""
        while (sign := self.peek()) in (".", "["):
            self.take()
            if sign == "[":
                if self.peek() == "*":
                    raise UnsupportedError("the splat [*] is not evaluated")
                index = self.parse_expression()
                self.expect("]")
                yield index.value if isinstance(index, Literal) and type(index.value) in (str, int) else index
                continue
            kind, text = self.take()
            if kind not in ("name", "number"):
                raise UnsupportedError(f".{text} is not evaluated")
            if kind == "name":
                yield text
            else:
                yield from (int(part) for part in text.split("."))

    def parse_items[T](self, end: str, item: Callable[[], T]) -> Iterator[T]:
        """Parse items separated by commas up to the sign `end`."""
        while self.peek() != end:
            yield item()
            if self.peek() != ",":
                break
            self.take()
        self.expect(end)

    def parse_pair(self) -> tuple[Node, Node]:
        """Parse `key = value` or `"key" = value` (`:` too)."""
        kind, text = self.take()
        key: Node
        if kind == "name":
            key = Literal(text)
        elif kind == "quote":
            key = self.parse_template(end='"')
        elif text == "(":
            key = self.parse_expression()
            self.expect(")")
        else:
            raise UnsupportedError(f"{text!r} is no key")
        if self.peek() not in ("=", ":"):
            raise UnsupportedError(f"{self.peek()!r} after a key")
        self.take()
        return key, self.parse_expression()
