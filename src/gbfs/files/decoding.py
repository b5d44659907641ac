"""Decode a GBFS file: its common fields last_updated, ttl and version, and its data."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feed import ConversionError
from feed.parsing.encoding import convert_to_utf8
from feed.parsing.json_decoding import decode_utf8
from feed.values.description import describe_value
from feed.values.scalars import to_timestamp
from gbfs.errors import GbfsError
from gbfs.files.versions import VERSIONS, recognize_version

MAX_TTL_S = 86_400
# A time outside of these years is an error, such as milliseconds read as seconds.
_EARLIEST, _LATEST = 946_684_800, 4_102_444_800  # 2000-01-01 and 2100-01-01, in seconds since 1970
_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)
_TIME = "a time: POSIX seconds or RFC 3339, from 2000 to 2100"


@dataclass(frozen=True)
class Document:
    """A decoded file; `last_updated` is None and `ttl_seconds` 0 where the file gives none."""

    version: str  # one of VERSIONS
    last_updated: datetime | None
    ttl_seconds: int
    data: dict[str, Any]


def read_time(value: Any) -> datetime:
    """Parse POSIX seconds (until 2.3) or RFC 3339 (since 3.0) and return the time in UTC.

    Milliseconds are recognized, since as seconds they would lie after the year 5000. Raises ConversionError.
    """
    if type(value) is str and not _DIGITS.fullmatch(value):
        moment = to_timestamp(value)
        if not _EARLIEST <= moment.timestamp() < _LATEST:
            raise ConversionError(value, _TIME)
        return moment
    if type(value) not in {int, float, str}:
        raise ConversionError(value, _TIME)
    seconds = int(value) if type(value) is str else value
    if not _EARLIEST <= seconds < _LATEST:
        # Compared before division: an integer of hundreds of digits does not fit a float.
        if not _EARLIEST * 1_000 <= seconds < _LATEST * 1_000:
            raise ConversionError(value, _TIME)
        seconds /= 1_000
    return datetime.fromtimestamp(seconds, UTC)


def decode_file(body: bytes) -> Document:
    """Decode the body of a file. Raises GbfsError: empty, html, not_json, no_data or unknown_version."""
    content = _decode_json(body)
    if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
        found = describe_value(content.get("data") if isinstance(content, dict) else content)
        raise GbfsError("no_data", f"found {found}; expected a JSON object whose `data` is an object")
    version = recognize_version(content.get("version"))
    if version is None:
        found = describe_value(content["version"])
        raise GbfsError("unknown_version", f"version: found {found}; expected one of {', '.join(VERSIONS)}")
    return Document(
        version,
        _read_last_updated(content.get("last_updated")),
        _read_ttl(content.get("ttl")),
        content["data"],
    )


def _decode_json(body: bytes) -> Any:
    start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:200]
    if not start:
        raise GbfsError("empty", "found an empty body; expected JSON")
    try:
        return decode_utf8(convert_to_utf8(body))
    except ValueError as error:
        beginning = " ".join(start.decode("utf-8", "replace").split())[:120]
        if start.startswith(b"<"):
            raise GbfsError("html", f"found an HTML page: {beginning}; expected JSON") from None
        raise GbfsError("not_json", f"found {beginning} ({error}); expected JSON") from None


def _read_last_updated(value: Any) -> datetime | None:
    try:
        return read_time(value)
    except (ConversionError, ValueError):
        return None


def _read_ttl(value: Any) -> int:
    """Return the seconds: 0 for a ttl that is not a positive number, at most a day."""
    if type(value) not in {int, float} or not value > 0:
        return 0
    return int(min(value, MAX_TTL_S))
