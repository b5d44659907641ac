"""Convert a JSON value of which only parts fit its column."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from feed.model import Column
from feed.values.conversion import make_converter
from feed.values.errors import ConversionError
from feed.values.scalars import Converter

# The most errors of one value: an array of millions of invalid items must not exhaust the memory.
MAX_ERRORS = 100


class ConversionErrors:
    """The conversion errors of one value: the first MAX_ERRORS, and the number of further ones."""

    def __init__(self) -> None:
        self.first: list[ConversionError] = []
        self.more = 0

    def add(self, error: ConversionError) -> None:
        """Add one error."""
        if len(self.first) < MAX_ERRORS:
            self.first.append(error)
        else:
            self.more += 1


def convert_partially(column: Column, value: Any) -> tuple[Any, ConversionErrors]:
    """Return the native value without the parts that do not fit, and their conversion errors.

    An invalid field of an object becomes null, an invalid item of an array is left out (BigQuery arrays have no nulls),
    and any other value in place of an array becomes an empty array.
    """
    errors = ConversionErrors()
    return _convert(column, value, "", errors), errors


def _convert(column: Column, value: Any, path: str, errors: ConversionErrors) -> Any:
    if column.mode == "REPEATED":
        if type(value) is list:
            return _convert_items(_item_column(column), value, path, errors)
        if value != {}:
            errors.add(ConversionError(value, "an array", path))
        return []
    if column.type == "RECORD":
        if type(value) is dict:
            return {
                field.name: _convert_field(field, value.get(field.path[-1]), f"{path}.{field.name}", errors)
                for field in column.fields
            }
        if value != []:
            errors.add(ConversionError(value, "an object", path))
        return None
    try:
        return _cached_converter(column)(value)
    except ConversionError as error:
        errors.add(ConversionError(error.value, error.expected, path))
        return None


def _convert_field(field: Column, value: Any, path: str, errors: ConversionErrors) -> Any:
    if value is None:
        return [] if field.mode == "REPEATED" else None
    return _convert(field, value, path, errors)


def _convert_items(column: Column, items: list[Any], path: str, errors: ConversionErrors) -> list[Any]:
    natives = []
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        if item is None:
            errors.add(ConversionError(None, "no null (a BigQuery array has none)", where))
            continue
        native = _convert(column, item, where, errors)
        if native is not None:
            natives.append(native)
    return natives


@lru_cache(maxsize=1024)
def _item_column(column: Column) -> Column:
    return replace(column, mode="NULLABLE")


@lru_cache(maxsize=1024)
def _cached_converter(column: Column) -> Converter:
    return make_converter(column)
