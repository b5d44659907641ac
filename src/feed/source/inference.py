"""Infer columns from sample records. Null decides no type; every column is NULLABLE or REPEATED."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from feed.errors import FeedError
from feed.model import COLLECTED_AT, Column
from feed.paths import FieldPath, find_values, format_path
from feed.values.detection import detect_common_type

SAMPLE = "sample.json"
# https://cloud.google.com/bigquery/docs/schemas#column_names and nested-repeated#limitations
_RESERVED_PREFIX = re.compile(r"_(TABLE_|FILE_|PARTITION|ROW_TIMESTAMP|_ROOT__|COLIDENTIFIER)", re.IGNORECASE)
MAX_NAME = 300
MAX_DEPTH = 15


@dataclass(frozen=True)
class TypeOverride:
    """The type of a column, as source.toml sets it."""

    type: str
    unit: str | None = None
    zone: str | None = None
    decimal: str = ""
    format: str = ""


@dataclass(frozen=True)
class ColumnOptions:
    """The options of the columns in source.toml."""

    feed: str
    lift: tuple[FieldPath, ...] = ()
    ignore: tuple[FieldPath, ...] = ()
    renames: Mapping[FieldPath, str] = field(default_factory=dict)
    overrides: Mapping[str, TypeOverride] = field(
        default_factory=dict
    )  # by column name, dotted inside a RECORD
    descriptions: Mapping[str, str] = field(default_factory=dict)  # by column name too
    column_paths: Mapping[str, FieldPath] = field(default_factory=dict)  # columns that are taken from a path
    zone: str | None = None  # of local times without an offset


def make_column_name(key: str) -> str:
    """Return the BigQuery column name for a key: `@id` → id, `Été 2` → Ete_2; "" if nothing remains."""
    ascii_key = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    leading = re.match("_*", ascii_key)
    name = (leading[0] if leading else "") + re.sub(r"[^A-Za-z0-9_]+", "_", ascii_key).strip("_")
    if not name.strip("_"):
        return ""
    if _RESERVED_PREFIX.match(name):
        name = name.lstrip("_")
    if name[0].isdigit():
        name = "_" + name
    return name[:MAX_NAME]


def infer_columns(records: list[dict[str, Any]], layout: ColumnOptions) -> list[Column]:
    """Return the columns of records in their order, then those taken from a path. Raises FeedError."""
    columns = list(_infer_object_columns(records, (), "", layout))
    columns += [
        _infer_column_at_path(records, name, path, layout) for name, path in layout.column_paths.items()
    ]
    _check_name_collisions(columns, layout.feed)
    return columns


def _infer_object_columns(
    objects: list[dict[str, Any]], parent: FieldPath, parent_name: str, layout: ColumnOptions
) -> Iterator[Column]:
    if len(parent) >= MAX_DEPTH:
        raise FeedError(
            layout.feed,
            SAMPLE,
            format_path(parent[:4]) + "…",
            "objects that are nested deeper",
            f"at most the {MAX_DEPTH} levels of a BigQuery table",
            "put it under `ignore`",
        )
    for key in dict.fromkeys(key for each in objects for key in each):
        path = (*parent, key)
        values = [each[key] for each in objects if key in each]
        if path in layout.ignore:
            continue
        if path in layout.lift:
            yield from _infer_object_columns(
                _require_objects(values, path, layout.feed), path, parent_name, layout
            )
        else:
            yield _infer_column(
                values, path, parent_name + _choose_column_name(path, layout), layout, parent_name
            )


def _choose_column_name(path: FieldPath, layout: ColumnOptions) -> str:
    key = str(path[-1])
    name = layout.renames.get(path) or make_column_name(key)
    if not name:
        raise FeedError(
            layout.feed,
            SAMPLE,
            format_path(path),
            f"the name {key!r}",
            "a name with an ASCII letter or digit, as BigQuery requires",
            "give it another name under [rename]",
        )
    return name


def _infer_column_at_path(
    records: list[dict[str, Any]], name: str, path: FieldPath, layout: ColumnOptions
) -> Column:
    values = [value for record in records for value in find_values(record, path)]
    if not values:
        raise FeedError(
            layout.feed,
            "source.toml",
            f"columns.{name}",
            f"{format_path(path)!r}, which no record of {SAMPLE} has",
            "a path in a record, such as geometry.coordinates[0]",
        )
    return _infer_column(values, path, name, layout, "", whole_path=True)


def _infer_column(
    values: list[Any],
    path: FieldPath,
    name: str,
    layout: ColumnOptions,
    parent_name: str,
    *,
    whole_path: bool = False,
) -> Column:
    """Return one column; `name` is its name in source.toml, dotted inside a RECORD."""
    override = layout.overrides.get(name)
    present = _drop_empty_values([value for value in values if value is not None])
    lists = [value for value in present if isinstance(value, list)]
    items = [item for each in lists for item in each if item is not None] if lists else present
    where = format_path(path)
    if lists and len(lists) < len(present):
        raise _make_mixed_error(layout.feed, where, "arrays and other values")
    if any(isinstance(item, list) for item in items):
        raise FeedError(
            layout.feed,
            SAMPLE,
            where,
            "an array of arrays",
            "at most one level, because BigQuery has no arrays of arrays",
            f'put "{where}" under `ignore`, or take single values, such as [columns] first = "{where}[0][0]"',
        )
    if lists and not items and override is None:
        raise FeedError(
            layout.feed,
            SAMPLE,
            where,
            "an array that is empty in every record",
            "an item, which determines the type of the column",
            f'add a record with one, put "{where}" under `ignore`, or set {name} = "STRING" under [types]',
        )
    fields: tuple[Column, ...] = ()
    found: str | None
    unit = zone = None
    if any(isinstance(item, dict) for item in items):
        if override:
            raise FeedError(
                layout.feed,
                "source.toml",
                f"types.{name}",
                f"{override.type} for a column of objects",
                "a column of single values",
                f"take one of its values under [columns], or ignore {where!r}",
            )
        found = "RECORD"
        fields = tuple(
            _infer_object_columns(_require_objects(items, path, layout.feed), path, f"{name}.", layout)
        )
        if not fields:
            raise FeedError(
                layout.feed,
                SAMPLE,
                where,
                "only empty objects",
                "objects with fields",
                f"put {where!r} under `ignore`",
            )
        _check_name_collisions(fields, layout.feed)
    else:
        found = override.type if override else detect_common_type(items)
        unit, zone = (override.unit, override.zone) if override else (None, None)
        if layout.zone and found in ({"TIMESTAMP"} if override else {"TIMESTAMP", "DATETIME"}) and not unit:
            found, zone = "TIMESTAMP", zone or layout.zone
    return Column(
        name=name.removeprefix(parent_name),
        type=found or "STRING",
        mode="REPEATED" if lists else "NULLABLE",
        path=path if whole_path or not parent_name else path[-1:],
        description=layout.descriptions.get(name, ""),
        fields=fields,
        unit=unit,
        zone=zone,
        observed=bool(items) or override is not None,
        decimal=override.decimal if override else "",
        format=override.format if override else "",
        is_flag=found == "INTEGER" and all(type(item) is int and item in {0, 1} for item in items),
    )


def _drop_empty_values(present: list[Any]) -> list[Any]:
    """Drop empty arrays among objects, and empty objects among arrays: PHP writes both alike."""
    for kind, other in ((dict, list), (list, dict)):
        rest = [value for value in present if value or not isinstance(value, other)]
        if rest and len(rest) < len(present) and all(isinstance(value, kind) for value in rest):
            return rest
    return present


def _require_objects(values: Iterable[Any], path: FieldPath, feed: str) -> list[dict[str, Any]]:
    present = _drop_empty_values([value for value in values if value is not None])
    objects = [value for value in present if isinstance(value, dict)]
    if len(objects) < len(present):
        raise _make_mixed_error(feed, format_path(path), "objects and other values")
    return objects


def _make_mixed_error(feed: str, where: str, found: str) -> FeedError:
    return FeedError(
        feed,
        SAMPLE,
        where,
        found,
        "values of one kind (all objects, all arrays, or all single values)",
        f'put "{where}" under `ignore`, or take single values of it under [columns]',
    )


def _check_name_collisions(columns: Iterable[Column], feed: str) -> None:
    taken = {COLLECTED_AT.name: f"{COLLECTED_AT.name} (every table's first column)"}
    for column in columns:
        where = format_path(column.path)
        other = taken.get(column.name.lower())
        taken[column.name.lower()] = where
        if other is not None:
            raise FeedError(
                feed,
                SAMPLE,
                where,
                f"column name {column.name!r}, which {other} has too",
                "names that differ in more than upper and lower case",
                "give one of them another name under [rename]",
            )
