"""How an answer's shape left the sample's: fields without a column, columns without a field."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from feed.conversion import MisfitError, converter, describe
from feed.model import Column, Common, Condition, Feed
from feed.paths import FieldPath, Step, path_text, values_at

# A hostile answer must not make more log lines than a person reads.
MAX_DRIFTS = 100
MAX_NAME = 300


@dataclass(frozen=True)
class Drift:
    """One difference between the answer and the sample; the rows went on."""

    kind: str  # unknown_field, missing_field or type_changed
    field: str
    found: str
    expected: str
    message: str
    is_severe: bool = False  # a column of the view availability, or all values of a column, are lost


@dataclass(frozen=True)
class Expected:
    """The objects at `path` (of a record, through arrays), and the keys known there."""

    path: FieldPath
    known: frozenset[Step]
    needed: dict[str, str]  # key → column (or lifted object) that has nothing where every object lacks it


def find_drifts(feed: Feed, records: list[Any], mismatched: Collection[str] = ()) -> tuple[Drift, ...]:
    """The severe ones first, then unknown fields and other missing ones: at most MAX_DRIFTS, and a last that says so.

    `mismatched` names the columns (with a path inside of them) and places of which a value was rejected.
    """
    drifts = [*_type_changes(feed, records, mismatched), *islice(_drifts(feed, records), MAX_DRIFTS + 1)]
    found = sorted(drifts, key=lambda drift: not drift.is_severe)[: MAX_DRIFTS + 1]
    if len(found) > MAX_DRIFTS:
        found[-1] = _drift(
            feed, "unknown_field", "…", f"more than {MAX_DRIFTS} differences", "the sample's fields"
        )
    return tuple(found)


def _drifts(feed: Feed, records: list[Any]) -> Iterator[Drift]:
    expected, placed = expectations(feed)
    records = [record for record in records if type(record) is dict]
    if not records:
        return
    for each in expected:
        # The records of one answer have a handful of shapes: all work after this line is per shape.
        shapes = {tuple(holder): holder for holder in _objects(records, each.path)}
        present = {key: holder[key] for holder in shapes.values() for key in holder}
        for key, value in present.items():
            if key not in each.known:
                place = path_text((*each.path, key))
                yield _drift(feed, "unknown_field", place, describe(value), "a field of the sample")
        for key, name in each.needed.items():
            if shapes and key not in present:
                yield _missing(feed, name, (*each.path, key))
    for column in placed:
        if not any(True for record in records for _ in values_at(record, column.path)):
            yield _missing(feed, column.name, column.path)


def _missing(feed: Feed, name: str, path: FieldPath) -> Drift:
    is_severe = any(column.path[: len(path)] == path for column in _common_columns(feed))
    expected = f"a value or null at {path_text(path)}"
    return _drift(feed, "missing_field", name, "it in no record", expected, is_severe=is_severe)


@lru_cache(maxsize=32)
def _common_columns(feed: Feed) -> tuple[Column, ...]:
    """The columns that the view availability and the key are made from."""
    mapped = (getattr(feed.common, each.name) for each in fields(Common))
    names = {each.column if isinstance(each, Condition) else each for each in mapped} | {feed.key}
    return tuple(column for column in feed.columns if column.name in names)


def _type_changes(feed: Feed, records: list[Any], mismatched: Collection[str]) -> Iterator[Drift]:
    """Columns, and objects that hold columns, of which no value fits any more."""
    if not mismatched:
        return
    names = {re.split(r"[.\[]", field, maxsplit=1)[0] for field in mismatched}
    expected = [
        _Kind(column.path, column.name, _fits(column), _type_name(column))
        for column in feed.columns
        if column.name in names
    ]
    steps = {
        column.path[:depth]: column.path[depth]
        for column in feed.columns
        for depth in range(1, len(column.path))
    }
    for path, step in steps.items():
        if path_text(path) in mismatched:
            kind, name = (dict, "an object") if isinstance(step, str) else (list, "an array")
            expected.append(_Kind(path, path_text(path), partial(_is_of, kind), name))
    for each in expected:
        values = [value for record in records for value in values_at(record, each.path) if value is not None]
        if values and not any(each.fits(value) for value in values):
            kinds = Counter(json_type(value) for value in values)
            found = " and ".join(
                f"{kind} in {count} of {len(records)} records" for kind, count in kinds.items()
            )
            yield _drift(feed, "type_changed", each.name, found, each.expected, is_severe=True)


@dataclass(frozen=True)
class _Kind:
    """What values at one place have to be."""

    path: FieldPath
    name: str
    fits: Callable[[Any], bool]
    expected: str


def _type_name(column: Column) -> str:
    kind = f"{column.type} in {column.unit}" if column.unit else column.type
    return f"REPEATED {kind}" if column.mode == "REPEATED" else kind


def _fits(column: Column) -> Callable[[Any], bool]:
    convert = converter(column)

    def fits(value: Any) -> bool:
        try:
            convert(value)
        except MisfitError:
            return False
        return True

    return fits


def _is_of(kind: type, value: Any) -> bool:
    return type(value) is kind


def json_type(value: Any) -> str:
    """The name of a JSON value's type, for messages."""
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a text", list: "an array"}
    return names.get(type(value), "an object")


def _drift(feed: Feed, kind: str, field: str, found: str, expected: str, *, is_severe: bool = False) -> Drift:
    field = field[:MAX_NAME].encode("utf-8", "backslashreplace").decode()
    message = f"{feed.name}: {kind} {field}: found {found}; expected {expected}"
    return Drift(kind, field, found, expected, message, is_severe)


def _objects(objects: list[dict[Any, Any]], path: FieldPath) -> list[dict[Any, Any]]:
    """The objects at `path` of each object, through arrays."""
    for step in path:  # a step by index finds no key of an object, hence nothing
        values = [holder[step] for holder in objects if step in holder]
        items = [item for value in values for item in (value if type(value) is list else (value,))]
        objects = [item for item in items if type(item) is dict]
    return objects


@lru_cache(maxsize=32)
def expectations(feed: Feed) -> tuple[tuple[Expected, ...], tuple[Column, ...]]:
    """What to expect of every object that gives columns, and the columns taken from some other place.

    Any difference from it is a drift; `find_drifts` tells which.
    """
    columns = list(_flattened(feed.columns, (), ""))
    holders = [(), *feed.lift, *(path for path, _, column in columns if column.fields)]
    known_paths = [*(path for path, _, _ in columns), *feed.lift, *feed.ignore]
    needs = [*((path, name) for path, name, _ in columns), *((path, path_text(path)) for path in feed.lift)]
    expected = tuple(
        Expected(
            path=holder,
            known=frozenset(path[len(holder)] for path in known_paths if _is_below(path, holder)),
            needed={str(path[-1]): name for path, name in needs if path[:-1] == holder},
        )
        for holder in holders
    )
    placed = tuple(column for column in feed.columns if column.path[:-1] not in holders)
    return expected, placed


def _is_below(path: FieldPath, holder: FieldPath) -> bool:
    return len(path) > len(holder) and path[: len(holder)] == holder


def _flattened(
    columns: Iterable[Column], parent: FieldPath, prefix: str
) -> Iterator[tuple[FieldPath, str, Column]]:
    for column in columns:
        path = (*parent, *column.path)
        yield path, prefix + column.name, column
        yield from _flattened(column.fields, path, f"{prefix}{column.name}.")
