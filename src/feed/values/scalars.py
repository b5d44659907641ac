"""Convert single JSON values to native Python values, without loss."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any

from feed.values.detection import INT64, ISO_DATE, ISO_DATETIME, ISO_TIMESTAMP, remove_second_zone
from feed.values.errors import ConversionError

Converter = Callable[[Any], Any]

LOWEST_INT64, HIGHEST_INT64 = INT64[0], INT64[-1]
_EXACT_FLOAT = 2**53
CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
_ISO_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?", re.ASCII)
# A response repeats a few timestamps for hundreds of stations.
CACHED_TIMES = 8192


def to_string(value: Any) -> str:
    """Return a string unchanged, and numbers and booleans as JSON text."""
    if type(value) is str:
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConversionError(value, "text that UTF-8 can encode (it has a lone surrogate)") from None
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and value.bit_length() < 256:
        return str(value)
    if type(value) is float and math.isfinite(value):
        return repr(value)
    raise ConversionError(value, "a STRING")


def to_identifier(value: Any) -> str:
    """As `to_string`; 12.0 becomes "12" as 12 does, because it is the same ID."""
    is_whole = type(value) is float and value.is_integer() and abs(value) <= _EXACT_FLOAT
    return to_string(int(value) if is_whole else value)


def to_integer(value: Any) -> int:
    """Return an integer of at most 64 bits from 136, 136.0 or "136"; a boolean is refused."""
    if type(value) is int and LOWEST_INT64 <= value <= HIGHEST_INT64:
        return value
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return int(value)
    if type(value) is str and CANONICAL_INTEGER.fullmatch(value) and int(value) in INT64:
        return int(value)
    raise ConversionError(value, "an INTEGER (a whole number of at most 64 bits)")


def to_float(value: Any) -> float:
    """Return a finite number from a number, or from a string that has one in the syntax of JSON."""
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and -_EXACT_FLOAT <= value <= _EXACT_FLOAT:
        return float(value)
    if type(value) is str and _JSON_NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    raise ConversionError(value, "a FLOAT (a finite number)")


def to_boolean(value: Any) -> bool:
    """Return a boolean from true, false, "true", "false", 1 or 0 (as in GBFS 1)."""
    if type(value) is bool:
        return value
    if type(value) is int and value in {0, 1}:
        return value == 1
    if type(value) is str and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ConversionError(value, "a BOOLEAN (true or false)")


@lru_cache(maxsize=CACHED_TIMES)
def parse_timestamp(text: str) -> datetime:
    if not ISO_TIMESTAMP.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(remove_second_zone(text)).astimezone(UTC)


def to_timestamp(value: Any) -> datetime:
    """Return a UTC time from ISO 8601 with an offset."""
    if type(value) is str:
        try:
            return parse_timestamp(value)
        except (ValueError, OverflowError):
            pass
    raise ConversionError(value, "a TIMESTAMP (ISO 8601 with an offset, such as 2023-09-08T08:36:00+02:00)")


@lru_cache(maxsize=CACHED_TIMES)
def parse_datetime(text: str) -> datetime:
    if not ISO_DATETIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def to_datetime(value: Any) -> datetime:
    """Return a naive time from ISO 8601 without an offset."""
    if type(value) is str:
        try:
            return parse_datetime(value)
        except ValueError:
            pass
    raise ConversionError(value, "a DATETIME (ISO 8601 without an offset, such as 2023-09-08T08:36:00)")


def to_date(value: Any) -> date:
    """Return a date from an ISO 8601 calendar date."""
    if type(value) is str and ISO_DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ConversionError(value, "a DATE (such as 2023-09-08)")


def to_time(value: Any) -> time:
    """Return a time from an ISO 8601 time of day without an offset."""
    if type(value) is str and _ISO_TIME.fullmatch(value):
        return time.fromisoformat(value)
    raise ConversionError(value, "a TIME (such as 08:36:00)")


def to_flag(value: Any) -> int:
    """As `to_integer`; true and false become 1 and 0, which GBFS 1 used instead."""
    return int(value) if type(value) is bool else to_integer(value)


def to_decimal_comma_float(value: Any) -> float:
    """As `to_float`, from a string with a decimal comma; a point is refused, because it may group thousands."""
    if type(value) is not str:
        return to_float(value)
    if "." in value:
        raise ConversionError(value, "a FLOAT (a finite number, with a comma before its fraction)")
    return to_float(value.replace(",", ".", 1))
