"""How an answer's shape left the sample's: fields without a column, columns without a field."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from feed.conversion import describe
from feed.model import Column, Feed
from feed.paths import FieldPath, path_text, values_at

# A hostile answer must not make more log lines than a person reads.
MAX_DRIFTS = 100
MAX_NAME = 300


@dataclass(frozen=True)
class Drift:
    """One difference between the answer and the sample; the rows went on."""

    kind: str  # unknown_field or missing_field
    field: str
    found: str
    expected: str
    message: str


@dataclass(frozen=True)
class Expected:
    """The objects at `path` (of a record, through arrays), and the keys known there."""

    path: FieldPath
    known: frozenset[str | int]
    needed: dict[str, str]  # key → column (or lifted object) that has nothing where every object lacks it


def find_drifts(feed: Feed, records: list[Any]) -> tuple[Drift, ...]:
    """Unknown fields, and fields that no record has any more: at most MAX_DRIFTS, and a last that says so."""
    found = list(islice(_drifts(feed, records), MAX_DRIFTS + 1))
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
    return _drift(feed, "missing_field", name, "it in no record", f"a value or null at {path_text(path)}")


def _drift(feed: Feed, kind: str, field: str, found: str, expected: str) -> Drift:
    field = field[:MAX_NAME].encode("utf-8", "backslashreplace").decode()
    return Drift(
        kind, field, found, expected, f"{feed.name}: {kind} {field}: found {found}; expected {expected}"
    )


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
