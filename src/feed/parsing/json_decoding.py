"""Decode JSON, with the same result for every decoder and every version of Python."""

import json
from itertools import accumulate
from typing import Any

# Decoders and Python versions fail at depths between 900 and 100,000; below that they agree.
MAX_DEPTH = 500
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_MARKS = bytes(set(range(256)) - {*b'[]{}"'})
_FEW_ROUNDS = 8
_FEW_ESCAPES = 10_000
_MAX_DIGITS = 4_300
_HUGE = 10**5_000


class DepthError(ValueError):
    """JSON that is nested deeper than MAX_DEPTH."""


def decode_json(text: str) -> Any:
    """Return the value of JSON text that `check_depth` accepts. Raises ValueError, DepthError.

    Very long integers are decoded too, although no column can hold them.
    """
    try:
        return _load_json(text)
    except RecursionError:
        raise DepthError(text[:100]) from None


def decode_utf8(body: bytes) -> Any:
    """Return the value of JSON in UTF-8 without a byte order mark. Raises as `decode_json`."""
    return decode_json(body.decode("utf-8", "surrogatepass"))


def _load_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a very long integer; `parse_int` for every integer would take twice as long
        return json.loads(text, parse_int=_parse_long_integer)


def check_depth(body: bytes) -> None:
    """Raise DepthError for JSON nested deeper than all decoders and Python versions accept."""
    marks = body.translate(None, _NO_MARKS)
    if len(marks) <= MAX_DEPTH:
        return
    if _may_escape_quotes(body):
        unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
        marks = unescaped.translate(None, _NO_MARKS)
    if _is_shallow(marks.replace(b'""', b"")):
        return
    brackets = b"".join(marks.split(b'"')[::2])
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise DepthError(body[:100])


def _may_escape_quotes(body: bytes) -> bool:
    """Return whether a backslash precedes a quote or another backslash; also true if there are very many."""
    count = body.count(b"\\")
    if not 0 < count <= _FEW_ESCAPES:
        return count > 0
    _, *parts = body.split(b"\\")
    return not {part[:1] for part in parts}.isdisjoint({b'"', b""})


def _is_shallow(brackets: bytes) -> bool:
    """Return whether brackets are nested in few levels only; faster than counting them.

    A bracket inside of a string leaves a quote, which no pair removes, so the result is False then; a quote at the end,
    where a string was truncated, is ignored.
    """
    brackets = brackets.removesuffix(b'"')
    for _ in range(_FEW_ROUNDS):  # each round removes at most two levels
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return len(brackets) + 2 * _FEW_ROUNDS <= MAX_DEPTH and b'"' not in brackets


def _parse_long_integer(digits: str) -> int:
    """Return the integer, or a huge one if it has more digits than Python accepts; no column can hold either."""
    if len(digits.removeprefix("-")) <= _MAX_DIGITS:
        return int(digits)
    return -_HUGE if digits[0] == "-" else _HUGE
