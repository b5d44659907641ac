"""From JSON text to values, the same with every decoder and every version of Python."""

import json
from itertools import accumulate
from typing import Any

# Decoders and versions of Python give up between some 900 and 100,000 levels: below it they agree.
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
    """The value that a text writes, within the depth of `check_depth`. Raises ValueError, DepthError.

    An integer of any length is an integer, which no column holds if it is very long.
    """
    try:
        return _loads(text)
    except RecursionError:
        raise DepthError(text[:100]) from None


def decode_utf8(body: bytes) -> Any:
    """The value that JSON in UTF-8, without a byte order mark, writes. Raises as `decode_json`."""
    return decode_json(body.decode("utf-8", "surrogatepass"))


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a long integer: reading each by a function of ours takes twice as long
        return json.loads(text, parse_int=_integer)


def check_depth(body: bytes) -> None:
    """DepthError for JSON that is nested deeper than every decoder, of every version of Python, can follow."""
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
    """Whether a backslash stands before a quote or another backslash; true as well where there are very many."""
    count = body.count(b"\\")
    if not 0 < count <= _FEW_ESCAPES:
        return count > 0
    _, *parts = body.split(b"\\")
    return not {part[:1] for part in parts}.isdisjoint({b'"', b""})


def _is_shallow(brackets: bytes) -> bool:
    """Whether brackets are in pairs of few levels, but for a few: quicker than counting them.

    A quote that is left, since a bracket stands in a text, is a mark that no pair takes away; but for one at the end,
    where a text is cut off.
    """
    brackets = brackets.removesuffix(b'"')
    for _ in range(_FEW_ROUNDS):  # each takes away two levels at most
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return len(brackets) + 2 * _FEW_ROUNDS <= MAX_DEPTH and b'"' not in brackets


def _integer(digits: str) -> int:
    """Python refuses to read more digits than these; no column holds such a number, so any as large does."""
    if len(digits.removeprefix("-")) <= _MAX_DIGITS:
        return int(digits)
    return -_HUGE if digits[0] == "-" else _HUGE
