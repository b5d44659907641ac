"""Make converters from JSON values to a column's native Python values; without loss, or a ConversionError.

Native values: str, int, float, bool, datetime (UTC for TIMESTAMP, naive for DATETIME), date, time, list,
dict. Times keep microseconds, which is what BigQuery stores.
"""

import math
from collections.abc import Callable
from types import NoneType
from typing import Any

from feed.model import EPOCH_UNITS, Column
from feed.values.errors import ConversionError
from feed.values.scalars import (
    HIGHEST_INT64,
    LOWEST_INT64,
    Converter,
    parse_timestamp,
    to_boolean,
    to_date,
    to_datetime,
    to_decimal_comma_float,
    to_flag,
    to_float,
    to_identifier,
    to_integer,
    to_string,
    to_time,
    to_timestamp,
)
from feed.values.timestamps import (
    make_epoch_converter,
    make_format_converter,
    make_local_time_converter,
)

ColumnConverter = Callable[[list[Any]], list[Any]]


def make_converter(column: Column) -> Converter:
    """Return a function that converts a non-null JSON value to a native value or raises ConversionError."""
    if column.type == "RECORD":
        convert = _make_record_converter(column)
    elif column.unit:
        convert = make_epoch_converter(EPOCH_UNITS[column.unit], column.unit)
    elif column.format:
        convert = make_format_converter(column.format, column.zone)
    elif column.zone:
        convert = make_local_time_converter(column.zone)
    elif column.decimal:
        convert = to_decimal_comma_float
    elif column.is_flag:
        convert = to_flag
    elif column.is_numbered:
        convert = to_identifier
    else:
        convert = _SCALARS[column.type]
    return _make_array_converter(convert) if column.mode == "REPEATED" else convert


def make_column_converter(column: Column) -> ColumnConverter:
    """As `make_converter`, for all values of a column at once; null stays null ([] if REPEATED).

    Much faster: in most responses all values have the native type already, so checking their types avoids a call per
    value.
    """
    convert = make_converter(column)
    if column.mode == "REPEATED":
        return lambda values: [[] if value is None else convert(value) for value in values]
    if column.type == "TIMESTAMP" and not column.unit and not column.zone and not column.format:
        return _convert_timestamps
    has_own_format = column.unit or column.zone or column.format
    kind, are_valid = (None, None) if has_own_format else _NEEDS_NO_CONVERSION.get(column.type, (None, None))

    def convert_all(values: list[Any]) -> list[Any]:
        kinds = set(map(type, values))
        if kinds <= {NoneType}:
            return values
        if are_valid is not None and kinds <= {kind, NoneType}:
            present = values if NoneType not in kinds else [value for value in values if value is not None]
            if are_valid(present):
                return values
        return [None if value is None else convert(value) for value in values]

    return convert_all


def _convert_timestamps(values: list[Any]) -> list[Any]:
    try:
        return list(map(parse_timestamp, values))
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


# Type → the Python type that needs no conversion, and the check that such values must pass.
_NEEDS_NO_CONVERSION: dict[str, tuple[type, Callable[[list[Any]], bool]]] = {
    "STRING": (str, _are_encodable),
    "INTEGER": (int, lambda values: min(values) >= LOWEST_INT64 and max(values) <= HIGHEST_INT64),
    "FLOAT": (float, lambda values: all(map(math.isfinite, values))),
    "BOOLEAN": (bool, lambda _: True),
}
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


def _make_array_converter(convert: Converter) -> Converter:
    def convert_all(value: Any) -> list[Any]:
        if value == {}:  # PHP writes empty objects and empty arrays alike
            return []
        if type(value) is not list:
            raise ConversionError(value, "an array")
        converted = []
        for index, item in enumerate(value):
            if item is None:
                raise ConversionError(None, "no null (a BigQuery array has none)", f"[{index}]")
            try:
                converted.append(convert(item))
            except ConversionError as error:
                raise ConversionError(error.value, error.expected, f"[{index}]{error.path}") from None
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
            except ConversionError as error:
                raise ConversionError(error.value, error.expected, f".{name}{error.path}") from None
        return record

    return convert
