"""From the bytes of one response to its records, or to the reason why there are none."""

import json
import re
from collections.abc import Callable
from typing import Any

from feed.conversion import describe
from feed.model import Feed
from feed.outcome import FaultError, clipped
from feed.paths import path_text, values_at

# More rows than these do not fit in the collector's memory: a megabyte of `1,` is half a million records.
MAX_RECORDS = 50_000
_UTF8_BOM = b"\xef\xbb\xbf"
_HTML = re.compile(rb"<!doctype\s+html|<html|<head|<body", re.IGNORECASE)
_CUT_TOKEN = re.compile(r"[-+.eE0-9]*|t(r(ue?)?)?|f(a(l(se?)?)?)?|n(u(ll?)?)?|N(aN?)?|-?I[a-z]*")
# What is left of a cut escape; whether its first letters are in it differs between versions of the decoder.
_CUT_ESCAPE = re.compile(r"\\?u?[0-9a-fA-F]{0,4}")

Decode = Callable[[bytes], Any]


def read_records(feed: Feed, body: bytes, decode: Decode) -> list[Any]:
    """The response's array of records, of any JSON values; FaultError where it has none."""
    where = place_of_records(feed)
    found = list(values_at(_decoded(body, decode), feed.records))
    if not found:
        raise unusable("no_records", where, "nothing there: " + _beginning(body), "an array of records")
    if type(found[0]) is not list:
        raise unusable("no_records", where, describe(found[0]), "an array of records")
    if not found[0]:
        raise unusable("empty", where, "an empty array", "at least one record")
    if len(found[0]) > MAX_RECORDS:
        raise unusable("too_many", where, f"{len(found[0])} records", f"at most {MAX_RECORDS}")
    return found[0]


def place_of_records(feed: Feed) -> str:
    """Where the records are, for messages."""
    return path_text(feed.records) or "the answer"


def unusable(reason: str, field: str, found: str, expected: str) -> FaultError:
    """The fault of a whole response."""
    return FaultError(reason, field, found, expected, "response")


def _decoded(body: bytes, decode: Decode) -> Any:
    try:
        return decode(body)
    except (ValueError, RecursionError):
        pass
    # Decoders differ in what they take beside plain UTF-8 JSON (byte order marks, UTF-16, NaN, surrogates).
    # The last word is always the standard library's: the collector and the batch must give the same rows.
    try:
        return json.loads(body)
    except RecursionError:
        raise unusable("not_json", "", "JSON nested too deeply", "JSON") from None
    except ValueError as error:
        raise _not_json(body, error) from None


def _not_json(body: bytes, error: ValueError) -> FaultError:
    start = body.removeprefix(_UTF8_BOM).lstrip()[:1_000]
    if not start:
        return unusable("empty", "", "no bytes" if not body else "only blanks", "JSON")
    if start.startswith(b"<") and _HTML.search(start):
        return unusable("html", "", "an HTML page: " + _beginning(start), "JSON")
    if start[:1] in b"{[" and _is_cut(error):
        return unusable(
            "truncated", "", f"JSON that ends after {len(body)} bytes", "JSON to its last bracket"
        )
    return unusable("not_json", "", f"{_beginning(start)} ({clipped(str(error))})", "JSON")


def _is_cut(error: ValueError) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return error.reason == "unexpected end of data"
    if not isinstance(error, json.JSONDecodeError):
        return False
    if error.msg.startswith("Unterminated string"):
        return True
    cut = _CUT_ESCAPE if error.msg.startswith("Invalid \\") else _CUT_TOKEN
    return bool(cut.fullmatch(error.doc[error.pos :].strip()))


def _beginning(body: bytes) -> str:
    return " ".join(body[:160].decode("utf-8", "replace").split())
