"""A column's native value from a JSON value of which only a part fits."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from feed.conversion import Converter, MisfitError, converter
from feed.model import Column

# Of one value; an array of millions of wrong items must not fill the memory.
MAX_MISFITS = 100


class Misfits:
    """The parts of one value that do not fit: the first MAX_MISFITS, and how many more there are."""

    def __init__(self) -> None:
        self.first: list[MisfitError] = []
        self.more = 0

    def add(self, misfit: MisfitError) -> None:
        """Take note of one."""
        if len(self.first) < MAX_MISFITS:
            self.first.append(misfit)
        else:
            self.more += 1


def salvage(column: Column, value: Any) -> tuple[Any, Misfits]:
    """The native value without the parts that do not fit, and these parts.

    A field of an object becomes null, an item of an array is left out (a BigQuery array has no null), an array
    that is none becomes an empty one.
    """
    misfits = Misfits()
    return _salvaged(column, value, "", misfits), misfits


def _salvaged(column: Column, value: Any, path: str, misfits: Misfits) -> Any:
    if column.mode == "REPEATED":
        if type(value) is list:
            return _salvaged_items(_item_column(column), value, path, misfits)
        if value != {}:
            misfits.add(MisfitError(value, "an array", path))
        return []
    if column.type == "RECORD":
        if type(value) is dict:
            return {
                field.name: _salvaged_field(field, value.get(field.path[-1]), f"{path}.{field.name}", misfits)
                for field in column.fields
            }
        if value != []:
            misfits.add(MisfitError(value, "an object", path))
        return None
    try:
        return _converter(column)(value)
    except MisfitError as misfit:
        misfits.add(MisfitError(misfit.value, misfit.expected, path))
        return None


def _salvaged_field(field: Column, value: Any, path: str, misfits: Misfits) -> Any:
    if value is None:
        return [] if field.mode == "REPEATED" else None
    return _salvaged(field, value, path, misfits)


def _salvaged_items(column: Column, items: list[Any], path: str, misfits: Misfits) -> list[Any]:
    natives = []
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        if item is None:
            misfits.add(MisfitError(None, "no null (a BigQuery array has none)", where))
            continue
        native = _salvaged(column, item, where, misfits)
        if native is not None:
            natives.append(native)
    return natives


@lru_cache(maxsize=1024)
def _item_column(column: Column) -> Column:
    return replace(column, mode="NULLABLE")


@lru_cache(maxsize=1024)
def _converter(column: Column) -> Converter:
    return converter(column)
