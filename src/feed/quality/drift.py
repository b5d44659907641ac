"""Schema drift: fields of a response without a column, columns without a field, and changed types."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from feed.model import Column, Common, Condition, Feed
from feed.paths import FieldPath, Step, find_values, format_path
from feed.values.conversion import make_converter
from feed.values.description import describe_value
from feed.values.errors import ConversionError

# Limits what a hostile response can write to the log.
MAX_DRIFTS = 100
MAX_NAME = 300


@dataclass(frozen=True)
class SchemaDrift:
    """One difference between a response and the sample; its rows are loaded nevertheless."""

    kind: str  # such as unknown_field, missing_field or type_changed
    field: str
    found: str
    expected: str
    message: str
    is_severe: bool = False  # the key, a column of [common], or all values of a column are lost


@dataclass(frozen=True)
class ExpectedFields:
    """The objects at `path` of a record (through arrays), and their known keys."""

    path: FieldPath
    known: frozenset[Step]
    needed: dict[str, str]  # key → the column (or lifted object) that has no value if no object has the key


def find_schema_drift(
    feed: Feed, records: list[Any], mismatched: Collection[str] = ()
) -> tuple[SchemaDrift, ...]:
    """Return the differences, severe ones first: at most MAX_DRIFTS, and one more if there are others.

    `mismatched` has the columns (with the path inside of them) and the paths of which a value was rejected.
    """
    drifts = [
        *_find_type_changes(feed, records, mismatched),
        *islice(_find_field_changes(feed, records), MAX_DRIFTS + 1),
    ]
    found = sorted(drifts, key=lambda drift: not drift.is_severe)[: MAX_DRIFTS + 1]
    if len(found) > MAX_DRIFTS:
        found[-1] = _make_drift(
            feed, "unknown_field", "…", f"more than {MAX_DRIFTS} differences", "the sample's fields"
        )
    return tuple(found)


def _find_field_changes(feed: Feed, records: list[Any]) -> Iterator[SchemaDrift]:
    expected, located = list_expected_fields(feed)
    records = [record for record in records if type(record) is dict]
    if not records:
        return
    for each in expected:
        # The records of one response have a handful of shapes: the work from here on is per shape.
        shapes = {tuple(holder): holder for holder in _collect_objects(records, each.path)}
        present = {key: holder[key] for holder in shapes.values() for key in holder}
        for key, value in present.items():
            if key not in each.known:
                path = format_path((*each.path, key))
                yield _make_drift(feed, "unknown_field", path, describe_value(value), "a field of the sample")
        for key, name in each.needed.items():
            if shapes and key not in present:
                yield _make_missing_drift(feed, name, (*each.path, key))
    for column in located:
        if not any(True for record in records for _ in find_values(record, column.path)):
            yield _make_missing_drift(feed, column.name, column.path)


def _make_missing_drift(feed: Feed, name: str, path: FieldPath) -> SchemaDrift:
    is_severe = any(column.path[: len(path)] == path for column in _list_common_columns(feed))
    expected = f"a value or null at {format_path(path)}"
    return _make_drift(feed, "missing_field", name, "it in no record", expected, is_severe=is_severe)


@lru_cache(maxsize=32)
def _list_common_columns(feed: Feed) -> tuple[Column, ...]:
    """Return the columns of the key and of [common]."""
    mapped = (getattr(feed.common, each.name) for each in fields(Common))
    names = {each.column if isinstance(each, Condition) else each for each in mapped} | {feed.key}
    return tuple(column for column in feed.columns if column.name in names)


def _find_type_changes(feed: Feed, records: list[Any], mismatched: Collection[str]) -> Iterator[SchemaDrift]:
    """Yield the columns, and the objects that contain columns, of which no value has the expected type."""
    if not mismatched:
        return
    names = {re.split(r"[.\[]", field, maxsplit=1)[0] for field in mismatched}
    expected = [
        _ExpectedType(column.path, column.name, _make_fit_check(column), _describe_column_type(column))
        for column in feed.columns
        if column.name in names
    ]
    steps = {
        column.path[:depth]: column.path[depth]
        for column in feed.columns
        for depth in range(1, len(column.path))
    }
    for path, step in steps.items():
        if format_path(path) in mismatched:
            kind, name = (dict, "an object") if isinstance(step, str) else (list, "an array")
            expected.append(_ExpectedType(path, format_path(path), partial(_has_type, kind), name))
    for each in expected:
        values = [
            value for record in records for value in find_values(record, each.path) if value is not None
        ]
        if values and not any(each.fits(value) for value in values):
            kinds = Counter(describe_json_type(value) for value in values)
            found = " and ".join(
                f"{kind} in {count} of {len(records)} records" for kind, count in kinds.items()
            )
            yield _make_drift(feed, "type_changed", each.name, found, each.expected, is_severe=True)


@dataclass(frozen=True)
class _ExpectedType:
    """The expected type of the values at a path."""

    path: FieldPath
    name: str
    fits: Callable[[Any], bool]
    expected: str


def _describe_column_type(column: Column) -> str:
    kind = f"{column.type} in {column.unit}" if column.unit else column.type
    return f"REPEATED {kind}" if column.mode == "REPEATED" else kind


def _make_fit_check(column: Column) -> Callable[[Any], bool]:
    convert = make_converter(column)

    def fits(value: Any) -> bool:
        try:
            convert(value)
        except ConversionError:
            return False
        return True

    return fits


def _has_type(kind: type, value: Any) -> bool:
    return type(value) is kind


def describe_json_type(value: Any) -> str:
    """Return the name of a JSON value's type, for messages."""
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a text", list: "an array"}
    return names.get(type(value), "an object")


def _make_drift(
    feed: Feed, kind: str, field: str, found: str, expected: str, *, is_severe: bool = False
) -> SchemaDrift:
    field = field[:MAX_NAME].encode("utf-8", "backslashreplace").decode()
    message = f"{feed.name}: {kind} {field}: found {found}; expected {expected}"
    return SchemaDrift(kind, field, found, expected, message, is_severe)


def _collect_objects(objects: list[dict[Any, Any]], path: FieldPath) -> list[dict[Any, Any]]:
    """Return the objects at `path` of each object, through arrays."""
    for step in path:  # an index is no key of an object, so it finds nothing
        values = [holder[step] for holder in objects if step in holder]
        items = [item for value in values for item in (value if type(value) is list else (value,))]
        objects = [item for item in items if type(item) is dict]
    return objects


@lru_cache(maxsize=32)
def list_expected_fields(feed: Feed) -> tuple[tuple[ExpectedFields, ...], tuple[Column, ...]]:
    """Return the expected fields of all objects that columns come from, and the columns from any other path.

    A difference from these is schema drift.
    """
    columns = list(_flatten_columns(feed.columns, (), ""))
    holders = [(), *feed.lift, *(path for path, _, column in columns if column.fields)]
    known_paths = [*(path for path, _, _ in columns), *feed.lift, *feed.ignore]
    needs = [*((path, name) for path, name, _ in columns), *((path, format_path(path)) for path in feed.lift)]
    expected = tuple(
        ExpectedFields(
            path=holder,
            known=frozenset(path[len(holder)] for path in known_paths if _is_below(path, holder)),
            needed={str(path[-1]): name for path, name in needs if path[:-1] == holder},
        )
        for holder in holders
    )
    located = tuple(column for column in feed.columns if column.path[:-1] not in holders)
    return expected, located


def _is_below(path: FieldPath, holder: FieldPath) -> bool:
    return len(path) > len(holder) and path[: len(holder)] == holder


def _flatten_columns(
    columns: Iterable[Column], parent: FieldPath, prefix: str
) -> Iterator[tuple[FieldPath, str, Column]]:
    for column in columns:
        path = (*parent, *column.path)
        yield path, prefix + column.name, column
        yield from _flatten_columns(column.fields, path, f"{prefix}{column.name}.")
