"""The error of a settings file, and how its values are written in a message."""

import difflib
from collections.abc import Iterable
from pathlib import Path

MOST_SHOWN = 200  # characters of a value in a message

# A value that cannot be used: its key, the value, and what is accepted instead.
Problem = tuple[str, object, str]


class SettingsError(ValueError):
    """A settings file is invalid; the message says which file and key, what was found, and what is accepted.

    What to do: correct the key in the file that the message names; docs/settings.md has what each key accepts.
    """

    def __init__(self, file: Path | str, key: str, found: object, accepted: str) -> None:
        self.file, self.key, self.found, self.accepted = str(file), key, found, accepted
        super().__init__(f"{_shorten_path(file)}: {key}: found {_format_value(found)}, accepted: {accepted}")


def format_choices(found: str, accepted: Iterable[str]) -> str:
    names = sorted(accepted)
    if not names:
        return "nothing, as there is none"
    close = difflib.get_close_matches(found, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    shown = ", ".join(names) if len(names) <= 20 else f"one of {len(names)} names, such as {names[0]}"
    return f"{shown}{hint}"


def _format_value(found: object) -> str:
    bare = ("nothing", "an unknown key")
    if isinstance(found, str) and found in bare:
        return found
    text = repr(found)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def _shorten_path(file: Path | str) -> Path | str:
    """Return a file as the user names it, relative to the working folder where it lies below."""
    path = Path(file)
    return path.relative_to(here) if path.is_relative_to(here := Path.cwd()) else file
