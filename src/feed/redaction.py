"""Texts without secrets, whichever way the characters of a secret are escaped in them."""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_REDACTED = "[secret]"
_NESTED = 3  # escapes inside of escapes, such as the JSON of a text that has an address
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_FORM = re.compile(r"(?:%[0-9A-Fa-f]{2})+|\+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});")
_PAIR = r"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}"
_LITERAL = re.compile(_PAIR + r"|\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_BYTES = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets.

    They are found as they are, percent-encoded as in an address, and as JSON, Python and HTML write them, also where
    one of these is inside of another.
    """
    wanted = set(filter(None, secrets))
    if not wanted:
        return text
    spans = sorted(span for view in _views(text) for secret in wanted for span in view.places(secret))
    clean, end = [], 0
    for start, stop in _merged(spans):
        clean += [text[end:start], _REDACTED]
        end = stop
    return "".join(clean) + text[end:]


@dataclass(frozen=True)
class _View:
    """A text with escapes resolved, and where in the text as it was each character of it begins."""

    text: str
    begins: tuple[int, ...]  # one more than characters

    def places(self, secret: str) -> Iterator[tuple[int, int]]:
        """Where the secret is in the text as it was."""
        at = self.text.find(secret)
        while at >= 0:
            yield self.begins[at], self.begins[at + len(secret)]
            at = self.text.find(secret, at + 1)

    def resolved(self, pattern: re.Pattern[str], read: Callable[[str], Iterable[tuple[str, int]]]) -> "_View":
        """The view with what matches read as characters, each with how many characters of this view it takes."""
        pieces, begins, end = list[str](), list[int](), 0
        for match in pattern.finditer(self.text):
            pieces.append(self.text[end : match.start()])
            begins += self.begins[end : match.start()]
            end = match.start()
            for character, width in read(match[0]):
                pieces.append(character)
                begins.append(self.begins[end])
                end += width
        return _View("".join(pieces) + self.text[end:], (*begins, *self.begins[end:]))


def _views(text: str) -> Iterable[_View]:
    """The text, and all that it becomes by resolving escapes."""
    first = _View(text, tuple(range(len(text) + 1)))
    found, latest = {text: first}, [first]
    for _ in range(_NESTED):
        fresh = {
            view.text: view
            for each in latest
            for pattern, read in _ESCAPES
            if pattern.search(each.text)
            for view in [each.resolved(pattern, read)]
            if view.text not in found
        }
        found |= fresh
        latest = list(fresh.values())
    return found.values()


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans that overlap as one; they are sorted."""
    last: tuple[int, int] | None = None
    for start, stop in spans:
        if last is None or start >= last[1]:
            if last is not None:
                yield last
            last = start, stop
        else:
            last = last[0], max(last[1], stop)
    if last is not None:
        yield last


def _utf_8(data: bytes, width: int) -> Iterator[tuple[str, int]]:
    """The characters of UTF-8 of which each byte is written in `width` characters."""
    for character in data.decode("utf-8", "surrogateescape"):
        yield character, width * len(character.encode("utf-8", "surrogateescape"))


def _read_percent(text: str) -> Iterable[tuple[str, int]]:
    return _utf_8(bytes.fromhex(text.replace("%", "")), 3)


def _read_form(text: str) -> Iterable[tuple[str, int]]:
    return [(" ", 1)] if text == "+" else _read_percent(text)


def _read_bytes(text: str) -> Iterable[tuple[str, int]]:
    return _utf_8(bytes.fromhex(text.replace("\\x", "")), 4)


def _read_literal(text: str) -> Iterable[tuple[str, int]]:
    if len(text) == len(r"\ud83d\ude00"):
        pair = bytes.fromhex(text[2:6] + text[8:])
        return [(pair.decode("utf-16-be"), len(text))]
    if len(text) == 2:
        return [(_LETTERS.get(text[1], text[1]), 2)]
    point = int(text[2:], 16)
    return [(chr(point), len(text))] if point <= 0x10FFFF else [(character, 1) for character in text]


def _read_entity(text: str) -> Iterable[tuple[str, int]]:
    character = html.unescape(text)
    return [(character, len(text))] if len(character) == 1 else [(each, 1) for each in text]


_ESCAPES: tuple[tuple[re.Pattern[str], Callable[[str], Iterable[tuple[str, int]]]], ...] = (
    (_PERCENT, _read_percent),
    (_FORM, _read_form),
    (_LITERAL, _read_literal),
    (_BYTES, _read_bytes),
    (_ENTITY, _read_entity),
)
