"""From a JSON value to a column's native Python value, without loss, or a MisfitError.

Native values: str, int, float, bool, datetime (UTC for TIMESTAMP, naive for DATETIME), date, time, list,
dict. Times keep microseconds, which is what BigQuery stores.
"""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from types import NoneType
from typing import Any
from zoneinfo import ZoneInfo

from feed.model import EPOCH_UNITS, Column
from feed.values.detection import INT64, ISO_DATE, ISO_DATETIME, ISO_TIMESTAMP, remove_second_zone

Converter = Callable[[Any], Any]
ColumnConverter = Callable[[list[Any]], list[Any]]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOWEST_INT64, _HIGHEST_INT64 = INT64[0], INT64[-1]
_EXACT_FLOAT = 2**53
_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
_ISO_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?", re.ASCII)
# An answer repeats its few timestamps over hundreds of stations.
_CACHED_TIMES = 8192


class ConversionError(ValueError):
    """A value that a column cannot hold; `path` says where inside the column's own value."""

    def __init__(self, value: Any, expected: str, path: str = "") -> None:
        super().__init__(value, expected, path)
        self.value, self.expected, self.path = value, expected, path


def describe_value(value: Any) -> str:  # noqa: PLR0911 - one return a JSON type
    """What a value is, in at most some 120 characters: for messages."""
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


def make_converter(column: Column) -> Converter:
    """The function that turns a non-null JSON value into the column's native value, or raises MisfitError."""
    if column.type == "RECORD":
        convert = _make_record_converter(column)
    elif column.unit:
        convert = _make_epoch_converter(EPOCH_UNITS[column.unit], column.unit)
    elif column.format:
        convert = _make_format_converter(column.format, column.zone)
    elif column.zone:
        convert = _make_local_time_converter(column.zone)
    elif column.decimal:
        convert = _convert_decimal_comma
    elif column.is_flag:
        convert = _to_flag
    else:
        convert = _SCALARS[column.type]
    return _make_array_converter(convert) if column.mode == "REPEATED" else convert


def make_column_converter(column: Column) -> ColumnConverter:
    """As `make_converter`, for all values of a column at once, null staying null ([] where REPEATED): far faster.

    Most answers hold what the sample did, so that a look at the values' types spares a call a value.
    """
    convert = make_converter(column)
    if column.mode == "REPEATED":
        return lambda values: [[] if value is None else convert(value) for value in values]
    if column.type == "TIMESTAMP" and not column.unit and not column.zone and not column.format:
        return _convert_timestamps
    is_own = column.unit or column.zone or column.format
    kind, holds = (None, None) if is_own else _NEEDS_NO_CONVERSION.get(column.type, (None, None))

    def convert_all(values: list[Any]) -> list[Any]:
        kinds = set(map(type, values))
        if kinds <= {NoneType}:
            return values
        if holds is not None and kinds <= {kind, NoneType}:
            present = values if NoneType not in kinds else [value for value in values if value is not None]
            if holds(present):
                return values
        return [None if value is None else convert(value) for value in values]

    return convert_all


def _convert_timestamps(values: list[Any]) -> list[Any]:
    try:
        return list(map(_parse_timestamp, values))
    except (ValueError, TypeError, OverflowError):
        return [None if value is None else to_timestamp(value) for value in values]


def _are_encodable(texts: list[str]) -> bool:
    text = "".join(texts)
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Type → the Python type that needs no conversion, and what must hold of such values beside.
_NEEDS_NO_CONVERSION: dict[str, tuple[type, Callable[[list[Any]], bool]]] = {
    "STRING": (str, _are_encodable),
    "INTEGER": (int, lambda values: min(values) >= _LOWEST_INT64 and max(values) <= _HIGHEST_INT64),
    "FLOAT": (float, lambda values: all(map(math.isfinite, values))),
    "BOOLEAN": (bool, lambda _: True),
}


def to_string(value: Any) -> str:
    """Text as it is; numbers and booleans as JSON writes them."""
    if type(value) is str:
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConversionError(value, "text that UTF-8 can hold (it has a lone surrogate)") from None
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and value.bit_length() < 256:
        return str(value)
    if type(value) is float and math.isfinite(value):
        return repr(value)
    raise ConversionError(value, "a STRING")


def to_integer(value: Any) -> int:
    """A whole number within 64 bits: 136, 136.0 or "136"; never a boolean."""
    if type(value) is int and _LOWEST_INT64 <= value <= _HIGHEST_INT64:
        return value
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return int(value)
    if type(value) is str and _CANONICAL_INTEGER.fullmatch(value) and int(value) in INT64:
        return int(value)
    raise ConversionError(value, "an INTEGER (a whole number of at most 64 bits)")


def to_float(value: Any) -> float:
    """A finite number, or text that writes one as JSON does."""
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and -_EXACT_FLOAT <= value <= _EXACT_FLOAT:
        return float(value)
    if type(value) is str and _JSON_NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    raise ConversionError(value, "a FLOAT (a finite number)")


def to_boolean(value: Any) -> bool:
    """true, false, "true", "false", 1 or 0 (GBFS 1 has the latter)."""
    if type(value) is bool:
        return value
    if type(value) is int and value in {0, 1}:
        return value == 1
    if type(value) is str and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ConversionError(value, "a BOOLEAN (true or false)")


@lru_cache(maxsize=_CACHED_TIMES)
def _parse_timestamp(text: str) -> datetime:
    if not ISO_TIMESTAMP.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(remove_second_zone(text)).astimezone(UTC)


def to_timestamp(value: Any) -> datetime:
    """ISO 8601 with an offset → UTC."""
    if type(value) is str:
        try:
            return _parse_timestamp(value)
        except (ValueError, OverflowError):
            pass
    raise ConversionError(value, "a TIMESTAMP (ISO 8601 with an offset, such as 2023-09-08T08:36:00+02:00)")


@lru_cache(maxsize=_CACHED_TIMES)
def _parse_datetime(text: str) -> datetime:
    if not ISO_DATETIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def to_datetime(value: Any) -> datetime:
    """ISO 8601 without an offset."""
    if type(value) is str:
        try:
            return _parse_datetime(value)
        except ValueError:
            pass
    raise ConversionError(value, "a DATETIME (ISO 8601 without an offset, such as 2023-09-08T08:36:00)")


def to_date(value: Any) -> date:
    """An ISO 8601 calendar date."""
    if type(value) is str and ISO_DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ConversionError(value, "a DATE (such as 2023-09-08)")


def to_time(value: Any) -> time:
    """An ISO 8601 time of day without an offset."""
    if type(value) is str and _ISO_TIME.fullmatch(value):
        return time.fromisoformat(value)
    raise ConversionError(value, "a TIME (such as 08:36:00)")


def _to_flag(value: Any) -> int:
    """As `to_integer`; true and false are 1 and 0, which GBFS 1 had in their place."""
    return int(value) if type(value) is bool else to_integer(value)


_SCALARS: dict[str, Converter] = {
    "STRING": to_string,
    "INTEGER": to_integer,
    "FLOAT": to_float,
    "BOOLEAN": to_boolean,
    "TIMESTAMP": to_timestamp,
    "DATETIME": to_datetime,
    "DATE": to_date,
    "TIME": to_time,
}


def _convert_decimal_comma(value: Any) -> float:
    """As `to_float`, of text with a comma before its fraction; a point, which may group thousands, fits nothing."""
    if type(value) is not str:
        return to_float(value)
    if "." in value:
        raise ConversionError(value, "a FLOAT (a finite number, with a comma before its fraction)")
    return to_float(value.replace(",", ".", 1))


def _make_format_converter(pattern: str, zone: str | None) -> Converter:
    """Times as `pattern` writes them, without an offset of `zone`; ISO 8601 as elsewhere."""
    local = _make_local_time_converter(zone or "UTC")

    def convert(value: Any) -> datetime:
        if type(value) is str:
            with suppress(ValueError, OverflowError):
                moment = datetime.strptime(value, pattern)  # noqa: DTZ007 - zoned below, where it has no offset
                if moment.tzinfo is not None:
                    return moment.astimezone(UTC)
                utc: datetime = local(moment.isoformat())
                return utc
        raise ConversionError(value, f"a TIMESTAMP written as {pattern}")

    return convert


def _make_epoch_converter(microseconds: int, unit: str) -> Converter:
    def convert(value: Any) -> datetime:
        number = int(value) if type(value) is str and _CANONICAL_INTEGER.fullmatch(value) else value
        if type(number) is str:  # GBFS 3 has RFC 3339 where the versions before had seconds
            with suppress(ValueError, OverflowError):
                return _parse_timestamp(number)
        if type(number) is int or (type(number) is float and math.isfinite(number)):
            try:
                return EPOCH + timedelta(microseconds=round(number * microseconds))
            except OverflowError:
                pass
        raise ConversionError(value, f"a TIMESTAMP as {unit} since 1970, within the years 1 to 9999")

    return convert


def _make_local_time_converter(zone: str) -> Converter:
    """Times without an offset are of `zone`, the first of an hour that happens twice.

    Such a time has `fold` 1, as a mark for `resolve_repeated_hour`, which knows the tick.
    """
    local = ZoneInfo(zone)

    @lru_cache(maxsize=_CACHED_TIMES)
    def utc(text: str) -> datetime:
        if ISO_TIMESTAMP.fullmatch(text):
            return _parse_timestamp(text)
        naive = _parse_datetime(text)
        moment = naive.replace(tzinfo=local).astimezone(UTC)
        if moment.astimezone(local).replace(tzinfo=None) != naive:
            raise ValueError("skipped when summer time begins")
        is_twice = naive.replace(tzinfo=local, fold=1).astimezone(UTC) > moment
        return moment.replace(fold=int(is_twice))

    def convert(value: Any) -> datetime:
        if type(value) is str:
            try:
                return utc(value)
            except (ValueError, OverflowError):
                pass
        raise ConversionError(
            value, f"a TIMESTAMP (ISO 8601; without an offset: a local time that exists in {zone})"
        )

    return convert


def resolve_repeated_hour(moment: Any, zone: str, latest: datetime) -> Any:
    """Of a local time that happened twice the last one that is not after `latest`; any other value as it is."""
    if moment is None or not moment.fold:
        return moment
    second = moment.astimezone(ZoneInfo(zone)).replace(fold=1).astimezone(UTC)
    return second if second <= latest else moment.replace(fold=0)


def _make_array_converter(convert: Converter) -> Converter:
    def convert_all(value: Any) -> list[Any]:
        if value == {}:  # PHP writes an empty object and an empty array alike
            return []
        if type(value) is not list:
            raise ConversionError(value, "an array")
        converted = []
        for index, item in enumerate(value):
            if item is None:
                raise ConversionError(None, "no null (a BigQuery array has none)", f"[{index}]")
            try:
                converted.append(convert(item))
            except ConversionError as misfit:
                raise ConversionError(misfit.value, misfit.expected, f"[{index}]{misfit.path}") from None
        return converted

    return convert_all


def _make_record_converter(column: Column) -> Converter:
    fields = [
        (field.name, field.path[-1], field.mode == "REPEATED", make_converter(field))
        for field in column.fields
    ]

    def convert(value: Any) -> dict[str, Any] | None:
        if value == []:
            return None
        if type(value) is not dict:
            raise ConversionError(value, "an object")
        record: dict[str, Any] = {}
        for name, key, repeated, convert_field in fields:
            item = value.get(key)
            try:
                record[name] = ([] if repeated else None) if item is None else convert_field(item)
            except ConversionError as misfit:
                raise ConversionError(misfit.value, misfit.expected, f".{name}{misfit.path}") from None
        return record

    return convert
