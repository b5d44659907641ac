"""Remove secrets from texts, in whichever way their characters are escaped."""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_REDACTED = "[secret]"
_NESTED = 3  # levels of nested escapes, such as a URL in a JSON string
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_FORM = re.compile(r"(?:%[0-9A-Fa-f]{2})+|\+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});")
_PAIR = r"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}"
_LITERAL = re.compile(_PAIR + r"|\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_BYTES = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")


def redact_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return the text with each secret replaced.

    Secrets are found literally, percent-encoded as in a URL, and escaped as in JSON, Python and HTML, also where these
    escapes are nested.
    """
    known = set(filter(None, secrets))
    if not known:
        return text
    spans = sorted(
        span for view in _decode_views(text) for secret in known for span in view.find_secret(secret)
    )
    clean, end = [], 0
    for start, stop in _merge_spans(spans):
        clean += [text[end:start], _REDACTED]
        end = stop
    return "".join(clean) + text[end:]


@dataclass(frozen=True)
class _DecodedView:
    """A text with resolved escapes, and where each of its characters begins in the original text."""

    text: str
    begins: tuple[int, ...]  # one more item than characters

    def find_secret(self, secret: str) -> Iterator[tuple[int, int]]:
        """Yield where the secret is in the original text."""
        at = self.text.find(secret)
        while at >= 0:
            yield self.begins[at], self.begins[at + len(secret)]
            at = self.text.find(secret, at + 1)

    def decode_escapes(
        self, pattern: re.Pattern[str], read: Callable[[str], Iterable[tuple[str, int]]]
    ) -> "_DecodedView":
        """Return the view with each match decoded; `read` gives characters, and how many characters each replaces."""
        pieces, begins, end = list[str](), list[int](), 0
        for match in pattern.finditer(self.text):
            pieces.append(self.text[end : match.start()])
            begins += self.begins[end : match.start()]
            end = match.start()
            for character, width in read(match[0]):
                pieces.append(character)
                begins.append(self.begins[end])
                end += width
        return _DecodedView("".join(pieces) + self.text[end:], (*begins, *self.begins[end:]))


def _decode_views(text: str) -> Iterable[_DecodedView]:
    """Return the text, and all texts that it becomes by decoding escapes."""
    first = _DecodedView(text, tuple(range(len(text) + 1)))
    found, latest = {text: first}, [first]
    for _ in range(_NESTED):
        fresh = {
            view.text: view
            for each in latest
            for pattern, read in _ESCAPES
            if pattern.search(each.text)
            for view in [each.decode_escapes(pattern, read)]
            if view.text not in found
        }
        found |= fresh
        latest = list(fresh.values())
    return found.values()


def _merge_spans(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the sorted spans, with overlapping ones merged."""
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


def _decode_utf8(data: bytes, width: int) -> Iterator[tuple[str, int]]:
    """Yield the characters of UTF-8 bytes, each of which is written with `width` characters."""
    for character in data.decode("utf-8", "surrogateescape"):
        yield character, width * len(character.encode("utf-8", "surrogateescape"))


def _decode_percent(text: str) -> Iterable[tuple[str, int]]:
    return _decode_utf8(bytes.fromhex(text.replace("%", "")), 3)


def _decode_form(text: str) -> Iterable[tuple[str, int]]:
    return [(" ", 1)] if text == "+" else _decode_percent(text)


def _decode_byte_escapes(text: str) -> Iterable[tuple[str, int]]:
    return _decode_utf8(bytes.fromhex(text.replace("\\x", "")), 4)


def _decode_string_escape(text: str) -> Iterable[tuple[str, int]]:
    if len(text) == len(r"\ud83d\ude00"):
        pair = bytes.fromhex(text[2:6] + text[8:])
        return [(pair.decode("utf-16-be"), len(text))]
    if len(text) == 2:
        return [(_LETTERS.get(text[1], text[1]), 2)]
    point = int(text[2:], 16)
    return [(chr(point), len(text))] if point <= 0x10FFFF else [(character, 1) for character in text]


def _decode_entity(text: str) -> Iterable[tuple[str, int]]:
    character = html.unescape(text)
    return [(character, len(text))] if len(character) == 1 else [(each, 1) for each in text]


_ESCAPES: tuple[tuple[re.Pattern[str], Callable[[str], Iterable[tuple[str, int]]]], ...] = (
    (_PERCENT, _decode_percent),
    (_FORM, _decode_form),
    (_LITERAL, _decode_string_escape),
    (_BYTES, _decode_byte_escapes),
    (_ENTITY, _decode_entity),
)
