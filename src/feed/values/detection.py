"""Detect the BigQuery type of a JSON value: one detector per type, each returns the type or None."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

INT64 = range(-(2**63), 2**63)

# Narrower than datetime.fromisoformat, which also accepts `20231026` and week dates: here they are identifiers.
_DATE = r"\d{4}-\d\d-\d\d"
_LOCAL = _DATE + r"[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?"
ISO_DATE = re.compile(_DATE, re.ASCII)
ISO_DATETIME = re.compile(_LOCAL, re.ASCII)
# Some APIs write UTC twice: `+00:00Z`.
ISO_TIMESTAMP = re.compile(_LOCAL + r"(?:Z|[+-]00:?00Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)", re.ASCII)


def detect_boolean(value: Any) -> str | None:
    """Detect true and false."""
    return "BOOLEAN" if isinstance(value, bool) else None


def detect_integer(value: Any) -> str | None:
    """Detect an integer of at most 64 bits; a boolean is none."""
    return "INTEGER" if isinstance(value, int) and not isinstance(value, bool) and value in INT64 else None


def detect_float(value: Any) -> str | None:
    """Detect a number with a fraction or an exponent."""
    return "FLOAT" if isinstance(value, float) else None


def detect_timestamp(value: Any) -> str | None:
    """Detect an ISO 8601 date and time with an offset or Z."""
    return "TIMESTAMP" if _is_iso_time(value, ISO_TIMESTAMP) else None


def detect_datetime(value: Any) -> str | None:
    """Detect an ISO 8601 date and time without an offset."""
    return "DATETIME" if _is_iso_time(value, ISO_DATETIME) else None


def detect_date(value: Any) -> str | None:
    """Detect an ISO 8601 calendar date."""
    if not isinstance(value, str) or not ISO_DATE.fullmatch(value):
        return None
    try:
        date.fromisoformat(value)
    except ValueError:
        return None
    return "DATE"


def _is_iso_time(value: Any, pattern: re.Pattern[str]) -> bool:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(remove_second_zone(value))
    except ValueError:  # such as the 31st of February
        return False
    return True


def remove_second_zone(text: str) -> str:
    """Return a timestamp without a Z after its offset."""
    return text[:-1] if re.search(r"[+-]00:?00Z$", text) else text


DETECTORS = (detect_boolean, detect_integer, detect_float, detect_timestamp, detect_datetime, detect_date)


def detect_type(value: Any) -> str | None:
    """Return the type of a scalar (STRING if no other fits), None for null, which has no type."""
    if value is None:
        return None
    return next((found for detector in DETECTORS if (found := detector(value))), "STRING")


def detect_common_type(values: Iterable[Any]) -> str | None:
    """Return the type for all values: INTEGER and FLOAT give FLOAT, other mixtures STRING; None if all are null."""
    types = {detect_type(value) for value in values} - {None}
    if len(types) < 2:
        return next(iter(types), None)
    return "FLOAT" if types == {"INTEGER", "FLOAT"} else "STRING"
