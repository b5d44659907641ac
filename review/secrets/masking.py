"""Hide secrets: values marked sensitive are masked where they are marked and wherever else they occur.

Terraform's JSON holds every secret in plain text and marks only where each one belongs. So their values are
collected first, from the whole document, and then hidden in every text that a review may show: as they are, within
longer texts, and as URLs, base64, hexadecimal digits, HTML or JSON would write them.

Different secrets get different numbers, so that a change of one is still seen as a change; no text shows the number.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from review.findings.text import END, HIDDEN, MORE, NAME, UNKNOWN, format_value
from review.secrets.names import IDENTITIES, INDEX, WORDS, mark_names
from review.secrets.spellings import list_spellings

SHORTEST = 4  # characters of a secret that is searched for within other texts
MOST_MASKED = 10_000  # texts whose masked form is kept: most occur in many places of a review
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
        self._names: set[str] = set()
        self._short: dict[str, int] = {}
        self._short_pattern: re.Pattern[str] | None = None
        self._masked = functools.lru_cache(MOST_MASKED)(self._mask_spellings)

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
            self._masked.cache_clear()
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

    def allow_names(self, names: Iterable[str]) -> None:
        """Leave these names where they name a resource, see `hide_arguments`, even if they equal a secret."""
        self._names = {each for each in names if each in self._added and WORDS.fullmatch(each)}

    def mask(self, text: str) -> str:
        """Return `text` with each spelling of each secret hidden; overlapping ones are hidden as one."""
        if len(text) < 2 or not self._numbers or text in self._public:
            return text
        if "[" in text and INDEX.sub("", text) in self._public:
            return INDEX.sub(lambda key: key[0] if key[1] in self._names else self._masked(key[0]), text)
        parts = text.split(NAME)
        if len(parts) % 2:  # every other part is a name between its signs
            return "".join(each if index % 2 else self._masked(each) for index, each in enumerate(parts))
        return self._masked(text.replace(NAME, ""))

    def _mask_spellings(self, text: str) -> str:
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

    def hide_arguments(self, values: Any, *marks: Any) -> Any:
        """Return the arguments of a resource as `hide` does, with names that equal a secret left in identities."""
        hidden = self.hide(values, *marks)
        if not self._names or not isinstance(hidden, dict):
            return hidden
        for key in IDENTITIES & values.keys():
            if any(isinstance(mark, Mapping) and _has_mark(mark.get(key)) for mark in marks):
                continue
            value = values[key]
            if isinstance(value, str):
                hidden[key] = self._show_names(value)
            elif isinstance(value, list):
                hidden[key] = [
                    self._show_names(each) if isinstance(each, str) else self.hide(each) for each in value
                ]
        return hidden

    def _show_names(self, text: str) -> str:
        """Return a text with its names between signs, and every other secret hidden."""
        parts = mark_names(text, self._names).split(NAME)
        return NAME.join(each if index % 2 else self._masked(each) for index, each in enumerate(parts))

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
