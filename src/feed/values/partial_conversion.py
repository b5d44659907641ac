"""A column's native value from a JSON value of which only a part fits."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from feed.model import Column
from feed.values.conversion import ConversionError, Converter, make_converter

# Of one value; an array of millions of wrong items must not fill the memory.
MAX_ERRORS = 100


class ConversionErrors:
    """The parts of one value that do not fit: the first MAX_MISFITS, and how many more there are."""

    def __init__(self) -> None:
        self.first: list[ConversionError] = []
        self.more = 0

    def add(self, misfit: ConversionError) -> None:
        """Take note of one."""
        if len(self.first) < MAX_ERRORS:
            self.first.append(misfit)
        else:
            self.more += 1


def convert_partially(column: Column, value: Any) -> tuple[Any, ConversionErrors]:
    """The native value without the parts that do not fit, and these parts.

    A field of an object becomes null, an item of an array is left out (a BigQuery array has no null), an array
    that is none becomes an empty one.
    """
    misfits = ConversionErrors()
    return _convert(column, value, "", misfits), misfits


def _convert(column: Column, value: Any, path: str, misfits: ConversionErrors) -> Any:
    if column.mode == "REPEATED":
        if type(value) is list:
            return _convert_items(_item_column(column), value, path, misfits)
        if value != {}:
            misfits.add(ConversionError(value, "an array", path))
        return []
    if column.type == "RECORD":
        if type(value) is dict:
            return {
                field.name: _convert_field(field, value.get(field.path[-1]), f"{path}.{field.name}", misfits)
                for field in column.fields
            }
        if value != []:
            misfits.add(ConversionError(value, "an object", path))
        return None
    try:
        return _cached_converter(column)(value)
    except ConversionError as misfit:
        misfits.add(ConversionError(misfit.value, misfit.expected, path))
        return None


def _convert_field(field: Column, value: Any, path: str, misfits: ConversionErrors) -> Any:
    if value is None:
        return [] if field.mode == "REPEATED" else None
    return _convert(field, value, path, misfits)


def _convert_items(column: Column, items: list[Any], path: str, misfits: ConversionErrors) -> list[Any]:
    natives = []
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        if item is None:
            misfits.add(ConversionError(None, "no null (a BigQuery array has none)", where))
            continue
        native = _convert(column, item, where, misfits)
        if native is not None:
            natives.append(native)
    return natives


@lru_cache(maxsize=1024)
def _item_column(column: Column) -> Column:
    return replace(column, mode="NULLABLE")


@lru_cache(maxsize=1024)
def _cached_converter(column: Column) -> Converter:
    return make_converter(column)
