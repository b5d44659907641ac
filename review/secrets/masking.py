"""Hide secrets: values marked sensitive are masked where they are marked and wherever else they occur.

Terraform's JSON holds every secret in plain text and marks only where each one belongs. So their values are
collected first, from the whole document, and then hidden in every text that a review may show: as they are, within
longer texts, and as URLs, base64, hexadecimal digits, HTML or JSON would write them.

Different secrets get different numbers, so that a change of one is still seen as a change; no text shows the number.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from review.findings.text import END, HIDDEN, MORE, UNKNOWN, format_value

SHORTEST = 4  # characters of a secret that is searched for within other texts
SHORTEST_LINE = 12  # characters of a line of a longer secret that is searched for by itself
MOST_FEW = 40  # spellings up to which searching for each is faster than comparing at each position of a text
NAMES = re.compile(
    r"(?:^|[_\-.])(?:pg_?pass|password|passwd|passphrase|pwd|secret|secret_?key|secret_?data|token|pat|credentials?|"
    r"api_?key|access_?key|private_?key|auth_?key|client_?secret|encryption_?key|shared_?key|service_?key|"
    r"(?:jwt_?)?signing(?:_?key)?|hmac_?key|cookie_?secret|webhook(?:_?url)?|authorization)(?:_?(?:value|b64))?$",
    re.IGNORECASE,
)
_ALNUM = "A-Za-z0-9"


class Secrets:
    """The secrets of a document; `mask` hides them in a text, `hide` in a whole value."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._added: set[str] = set()
        self._spellings: dict[str, int] = {}
        self._by_start: dict[str, list[str]] = {}
        self._public: set[str] = set()
        self._short: dict[str, int] = {}
        self._short_pattern: re.Pattern[str] | None = None

    def __len__(self) -> int:
        return len(self._added)

    def placeholder(self, value: Any) -> str:
        """Return the sign that replaces a secret value: the same for equal values."""
        text = format_value(value)
        number = self._numbers.setdefault(text, len(self._numbers) + 1)
        return f"{HIDDEN}{number}{END}"

    def add(self, value: Any) -> None:
        """Remember a secret value: each text and number inside it."""
        for leaf in _list_scalars(value):
            text = format_value(leaf)
            if not text or UNKNOWN in text or text in self._spellings:
                continue
            self._added.add(text)
            number = self._numbers.setdefault(text, len(self._numbers) + 1)
            if len(text) < SHORTEST:
                if isinstance(leaf, str) and len(text) > 1:
                    self._short[text] = number
                    self._short_pattern = None
                continue
            for spelling in list_spellings(text):
                if len(spelling) >= SHORTEST and spelling not in self._spellings:
                    self._spellings[spelling] = number
                    self._by_start.setdefault(spelling[:SHORTEST], []).append(spelling)

    def exempt(self, names: Iterable[str]) -> None:
        """Do not mask these texts where they are a whole value: the name of a resource is not a secret.

        A secret that equals a resource's name would otherwise hide which resource it is.
        """
        self._public.update(names)

    def mask(self, text: str) -> str:
        """Return `text` with each spelling of each secret hidden; overlapping ones are hidden as one."""
        if len(text) < 2 or not self._numbers or text in self._public:
            return text
        address, bracket, index = text.partition("[")
        if bracket and address in self._public:
            return f"{address}[{self._masked(index)}"
        return self._masked(text)

    def _masked(self, text: str) -> str:
        found = [*self._found(text), *self._cut_off(text)]
        if found:
            text = _replace_matches(text, found)
        if self._short:
            text = self._pattern().sub(lambda short: f"{HIDDEN}{self._short[short[0]]}{END}", text)
        return text

    def _found(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Yield start, end and number of every spelling in `text`."""
        if len(self._spellings) <= MOST_FEW:
            candidates = [each for each in self._spellings if each in text]
        else:
            starts = {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)}
            candidates = [
                spelling
                for start in sorted(starts & self._by_start.keys())
                for spelling in self._by_start[start]
                if spelling in text
            ]
        for spelling in candidates:
            at = text.find(spelling)
            while at >= 0:
                yield at, at + len(spelling), self._spellings[spelling]
                at = text.find(spelling, at + 1)

    def _cut_off(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Yield the beginning of a secret at the end of a text that was truncated within it."""
        if not text.endswith(MORE):
            return
        for at in range(len(text) - 1 - SHORTEST):
            for spelling in self._by_start.get(text[at : at + SHORTEST], ()):
                if spelling.startswith(text[at:-1]):
                    yield at, len(text) - 1, self._spellings[spelling]

    def _pattern(self) -> re.Pattern[str]:
        if self._short_pattern is None:
            words = "|".join(re.escape(each) for each in sorted(self._short, key=len, reverse=True))
            self._short_pattern = re.compile(f"(?<![{_ALNUM}{HIDDEN}])(?:{words})(?![{_ALNUM}{END}])")
        return self._short_pattern

    def hide(self, value: Any, *marks: Any) -> Any:
        """Return `value` with what the marks cover replaced by its sign, and every other text masked."""
        if any(mark is True for mark in marks):
            return value if value is None else self.placeholder(value)
        if isinstance(value, Mapping):
            inside = [mark for mark in marks if isinstance(mark, Mapping)]
            # Keys are kept, since the review compares by argument name; they are masked when shown.
            return {key: self.hide(each, *(mark.get(key) for mark in inside)) for key, each in value.items()}
        if isinstance(value, list):
            rows = [mark for mark in marks if isinstance(mark, list)]
            return [
                self.hide(each, *(mark[index] for mark in rows if index < len(mark)))
                for index, each in enumerate(value)
            ]
        if value is not None and any(_has_mark(mark) for mark in marks):
            return self.placeholder(value)  # the mark is deeper than the value: the value is damaged
        return self._hide_leaf(value)

    def _hide_leaf(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            masked = self.mask(str(value))
            return value if masked == str(value) else masked
        return value


def find_marked_values(value: Any, mark: Any) -> Iterator[Any]:
    """Yield each part of `value` that a mark of the same shape covers."""
    if mark is True:
        yield value
    elif isinstance(mark, Mapping):
        if isinstance(value, Mapping):
            for key, inside in mark.items():
                yield from find_marked_values(value.get(key), inside)
        elif _has_mark(mark):
            yield value
    elif isinstance(mark, list):
        if isinstance(value, list):
            for each, inside in zip(value, mark, strict=False):
                yield from find_marked_values(each, inside)
        elif _has_mark(mark):
            yield value


def find_named_secrets(value: Any, name: str = "") -> Iterator[str]:
    """Yield texts without a mark, below names that only a secret has (`DB_PASSWORD`)."""
    if isinstance(value, Mapping):
        called = value.get("name")
        if isinstance(called, str) and NAMES.search(called):
            yield from find_named_secrets(
                value.get("value"), called
            )  # an environment variable in a list of them
        for key, inside in value.items():
            yield from find_named_secrets(inside, key)
    elif isinstance(value, list):
        for each in value:
            yield from find_named_secrets(each, name)
    elif (
        isinstance(value, str)
        and len(value) >= 6
        and name != "secret"  # the argument `secret` of Google's types is the name of a secret
        and NAMES.search(name)
        and not _is_reference(value)
    ):
        yield value.removeprefix("Bearer ").removeprefix("Basic ")


def _is_reference(value: str) -> bool:
    """Return whether a text only refers to a secret: an expression, a resource path, a version."""
    return (
        "${" in value
        or value.startswith(("projects/", "roles/", "http://", "https://", "gs://"))
        or value in ("latest", "enabled")
    )


def list_spellings(secret: str) -> set[str]:
    """Return the ways in which a text may hold a secret."""
    texts = {secret, secret.strip()}
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        texts.update(line for line in lines if len(line) >= SHORTEST_LINE)
    for each in list(texts):
        escaped = json.dumps(each)[1:-1]
        unescaped = json.dumps(each, ensure_ascii=False)[1:-1]
        go = unescaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        texts |= {
            escaped,
            unescaped,
            go,
            json.dumps(escaped)[1:-1],
            json.dumps(unescaped, ensure_ascii=False)[1:-1],
        }
        texts |= {html.escape(each), html.escape(each, quote=False), each.replace("'", "'\"'\"'")}
        coded = each.encode("utf-8", "surrogatepass")
        for safe in ("", "/", "/:@!$&'()*+,;="):
            texts |= {quote(coded, safe), quote_plus(coded, safe)}
        texts |= {_lowercase_percent_escapes(found) for found in list(texts) if "%" in found}
        texts |= {coded.hex(), coded.hex().upper()}
    for each in {secret, secret.strip()}:
        texts |= _list_base64_spellings(each.encode("utf-8", "surrogatepass"))
    return texts


def _lowercase_percent_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _list_base64_spellings(secret: bytes) -> set[str]:
    """Return the base64 encodings of a secret at each of the three offsets within a group of bytes."""
    found: set[str] = set()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + secret).decode().rstrip("=")
        whole = (
            (before + len(secret)) * 8 // 6
        )  # the characters that do not depend on what follows the secret
        core = coded[-(-before * 8 // 6) : whole]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return found


def _replace_matches(text: str, found: Iterable[tuple[int, int, int]]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, number in sorted(found, key=lambda each: (each[0], -each[1])):
        if end <= at:
            continue
        if start >= at:
            parts += [text[at:start], f"{HIDDEN}{number}{END}"]
        at = end
    return "".join([*parts, text[at:]])


def _has_mark(mark: Any) -> bool:
    if isinstance(mark, Mapping):
        return any(_has_mark(each) for each in mark.values())
    return any(_has_mark(each) for each in mark) if isinstance(mark, list) else mark is True


def _list_scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _list_scalars(each)
    elif isinstance(value, list):
        for each in value:
            yield from _list_scalars(each)
    elif value is not None and not isinstance(value, bool):
        yield value
