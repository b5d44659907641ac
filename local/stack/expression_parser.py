"""The parser of Terraform's expressions."""

import re
from collections.abc import Callable, Iterator

from local.stack.expressions import (
    FUNCTIONS,
    Call,
    Items,
    Literal,
    Mapping,
    Node,
    Reference,
    Template,
    UnsupportedError,
)

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


def parse_template(text: str) -> Node:
    """Parse a string of the JSON. Raises UnsupportedError."""
    return _Parser(text).parse_template(end=None)


class _Parser:
    """A recursive descent parser of one string; `position` is the offset it has reached."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def parse_template(self, end: str | None) -> Node:
        """Parse text and `${…}` up to the closing quote `end`, or to the end of the string."""
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
        """Take one character; inside quotes, an escape sequence is one."""
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
        """Return the next token without taking it, empty at the end."""
        match = _TOKEN.match(self.text, self.position)
        return match[0].strip() if match else ""

    def take(self) -> tuple[str, str]:
        """Take the next token; return its type and text."""
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise UnsupportedError("it ends too early")
        self.position = match.end()
        return str(match.lastgroup), match[0].strip()

    def expect(self, sign: str) -> None:
        """Take a sign. Raises UnsupportedError, with what was found instead."""
        found = self.peek()
        if found != sign:
            raise UnsupportedError(
                f"{found!r} is not evaluated" if found else f"{sign!r} is missing at its end"
            )
        self.take()

    def parse_expression(self) -> Node:
        """Parse one operand. An operator after it is refused by the caller, which expects a closing sign."""
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
        """Parse an expression that begins with a sign: brackets of three kinds, or a minus."""
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
        """Parse an expression that begins with a name: a constant, a call or a reference."""
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
        """Parse any number of `.name`, `.0` and `[…]`."""
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
        """Parse items, separated by commas, up to the sign `end`."""
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
