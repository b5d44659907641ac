"""Read typed keys of a TOML table of source.toml. A wrong key raises FeedError with its name."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from feed.errors import FeedError
from feed.paths import FieldPath, parse_path
from feed.values.description import describe_value


@dataclass(frozen=True)
class Table:
    """A TOML table with typed accessors; `prefix` is its name, for messages."""

    feed: str
    file: str
    table: Mapping[str, Any]
    prefix: str = ""

    def refuse(self, key: str, found: str, expected: str, hint: str = "") -> NoReturn:
        """Raise FeedError for one key."""
        raise FeedError(self.feed, self.file, f"key {self.prefix}{key}", found, expected, hint)

    def only(self, *accepted: str) -> None:
        """Raise FeedError for the first key that is not accepted."""
        for key in self.table:
            if key not in accepted:
                self.refuse(key, "an unknown key", "one of " + ", ".join(accepted), suggest(key, accepted))

    def text(self, key: str, default: str | None = None) -> str:
        """Return the string under a key."""
        value = self.value(key, default)
        if not isinstance(value, str):
            self.refuse(key, describe_value(value), "a string")
        return value

    def number(self, key: str, default: int, most: int) -> int:
        """Return the whole number under a key, from 0 to `most`."""
        value = self.table.get(key, default)
        if type(value) is not int or not 0 <= value <= most:
            self.refuse(key, repr(value), f"a whole number from 0 to {most}")
        return int(value)

    def texts(self, key: str) -> list[str]:
        """Return the list of strings under a key, [] without the key."""
        value = self.value(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.refuse(key, describe_value(value), "a list of strings")
        return value

    def section(self, key: str) -> "Table":
        """Return the table under a key, an empty one without the key."""
        value = self.value(key, {})
        if not isinstance(value, dict):
            self.refuse(key, describe_value(value), f"a table [{self.prefix}{key}]")
        return Table(self.feed, self.file, value, f"{self.prefix}{key}.")

    def choice(self, key: str, accepted: Iterable[str], default: str | None = None) -> str:
        """Return the string under a key, which must be one of `accepted`."""
        value, choices = self.text(key, default), list(accepted)
        if value not in choices:
            self.refuse(key, repr(value), "one of " + ", ".join(choices), suggest(value, choices))
        return value

    def range(self, key: str, limit: float) -> tuple[float, float]:
        """Return the pair [lowest, highest] under a key, within -limit and limit."""
        value = self.value(key)
        numbers = isinstance(value, list) and all(type(each) in {int, float} for each in value)
        if not numbers or len(value) != 2 or not -limit <= value[0] < value[1] <= limit:
            self.refuse(key, repr(value), f"[lowest, highest] within -{limit:g} and {limit:g}")
        return float(value[0]), float(value[1])

    def path(self, key: str) -> FieldPath:
        """Return the path under a key."""
        return self.as_path(key, self.text(key))

    def paths(self, key: str) -> tuple[FieldPath, ...]:
        """Return the paths under a key, () without the key."""
        return tuple(self.as_path(key, each) for each in self.texts(key))

    def as_path(self, key: str, text: str) -> FieldPath:
        """Return the path in `text`; `key` is for the message."""
        try:
            return parse_path(text)
        except ValueError as error:
            self.refuse(key, repr(text), "a path such as data.stations", str(error))

    def zone(self, key: str, default: str | None = None) -> str | None:
        """Return the IANA time zone under a key."""
        if key not in self.table:
            return default
        name = self.text(key)
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            self.refuse(key, repr(name), "an IANA time zone such as Europe/Paris")
        return name

    def value(self, key: str, default: Any = None) -> Any:
        """Return the value under a key; without a default the key is required."""
        if key not in self.table and default is None:
            self.refuse(key, "no such key", "this key, which is required", suggest(key, self.table))
        return self.table.get(key, default)


def suggest(word: str, accepted: Iterable[str]) -> str:
    """Return `did you mean 'records'?`, or "" if no accepted word is similar."""
    near = difflib.get_close_matches(word, list(accepted), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
