"""Describe JSON values in messages."""

from typing import Any


def describe_value(value: Any) -> str:  # noqa: PLR0911 - one return per JSON type
    """Return what a value is, in about 120 characters at most."""
    match value:
        case None:
            return "null"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int():
            return f"the number {value}" if value.bit_length() < 256 else "a number of more than 76 digits"
        case float():
            return f"the number {value}"
        case str():
            text = value if len(value) <= 80 else value[:80] + "…"
            return "the text '" + text.encode("utf-8", "backslashreplace").decode() + "'"
        case list():
            return f"an array of {len(value)}" if value else "an empty array"
        case dict():
            return f"an object with {_list_keys(value)}" if value else "an empty object"
        case _:
            return f"a {type(value).__name__}"


def _list_keys(value: dict[Any, Any]) -> str:
    keys = [str(key)[:20].encode("utf-8", "backslashreplace").decode() for key in list(value)[:4]]
    return ", ".join(keys) + (", …" if len(value) > 4 else "")
