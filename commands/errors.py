"""The errors of a command line."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_SHOWN = 60


class UsageError(Exception):
    """An option, a variable or a target is invalid; the message says which, why, and what is accepted.

    What to do: type the option, variable or target as the message says; `make help` lists what there is.
    """


def quote_value(value: str) -> str:
    """Return a value in quotation marks, without control characters and at most 60 characters long."""
    return repr(value if len(value) <= MOST_SHOWN else f"{value[: MOST_SHOWN - 1]}…")


def format_suggestion(value: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "dev"?)` for the known name that resembles the value, or ""."""
    names = list(known)
    # Very long values are not compared: that is slow, and no name resembles them.
    folded = {name.casefold(): name for name in names}
    close = get_close_matches(value.casefold(), folded, n=1) if len(value) <= MOST_SHOWN else []
    return f' (did you mean "{folded[close[0]]}"?)' if close else ""
