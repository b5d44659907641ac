"""Read the roles of columns in source.toml: key, common names, bounds, and times of legacy objects."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from feed.model import SCALAR_TYPES, Box, Column, Common, Condition, Feed, Legacy
from feed.parsing.parser import parse_response
from feed.source.toml_table import Table, suggest
from feed.values.detection import detect_type

# Without [bounds]: how far from the sample's stations another one may be, in degrees.
_MARGIN = 0.5
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)

_COMMON_TYPES = {
    "station_id": ("STRING", "INTEGER"),
    "name": ("STRING",),
    "area": ("STRING",),
    "latitude": ("FLOAT", "INTEGER"),
    "longitude": ("FLOAT", "INTEGER"),
    "num_bikes_available": ("INTEGER",),
    "num_docks_available": ("INTEGER",),
    "is_operational": ("BOOLEAN",),
    "last_reported": ("TIMESTAMP",),
    "capacity": ("INTEGER",),
}


def read_key(source: Table, columns: Mapping[str, Column]) -> str | None:
    """Return the column named by `key`, None without a key. Raises FeedError."""
    if "key" not in source.table:
        return None
    return _check_column(
        source, "key", source.text("key"), columns, [t for t in SCALAR_TYPES if t != "FLOAT"]
    )


def _check_column(
    source: Table, key: str, name: str, columns: Mapping[str, Column], types: Iterable[str] = SCALAR_TYPES
) -> str:
    """Return `name` if it is a column with a single value of one of the types. Raises FeedError."""
    if name not in columns:
        source.refuse(key, repr(name), "a column: " + ", ".join(columns), suggest(name, columns))
    column = columns[name]
    if column.type not in types or column.mode == "REPEATED":
        source.refuse(
            key,
            f"column {name!r}, {column.mode} {column.type}",
            "a column with one " + " or ".join(types),
            f"set its type under [types]: {name} = …",
        )
    return name


def make_identifiers_strings(
    source: Table, columns: Iterable[Column], has_type: Container[str]
) -> list[Column]:
    """Return the columns; the key and the station's ID are STRING also if they are integers in the sample.

    Producers change IDs from numbers to UUIDs, and a table cannot change the type of a column. Columns in
    `has_type` keep the type that [types] sets.
    """
    common = source.table.get("common", {})
    names = {source.table.get("key"), common.get("station_id") if isinstance(common, dict) else None}
    return [
        replace(column, type="STRING", is_flag=False, is_numbered=True)
        if column.name in names
        and column.name not in has_type
        and (column.type, column.mode) == ("INTEGER", "NULLABLE")
        else column
        for column in columns
    ]


def read_common_columns(section: Table, columns: Mapping[str, Column]) -> Common:
    """Return the columns mapped under [common]. Raises FeedError."""
    names = [field.name for field in fields(Common)]
    section.only(*names)
    mapped: dict[str, Any] = {
        name: _read_condition(section.section(name), columns)
        if name == "is_operational" and isinstance(value, dict)
        else _check_column(section, name, section.text(name), columns, _COMMON_TYPES[name])
        for name, value in section.table.items()
    }
    if mapped and "station_id" not in mapped:
        section.refuse("station_id", "no such key", "this key, which [common] requires")
    if ("latitude" in mapped) != ("longitude" in mapped):
        section.refuse("latitude", "only one of latitude and longitude", "both or none of them")
    return Common(**mapped)


def _read_condition(section: Table, columns: Mapping[str, Column]) -> Condition:
    section.only("column", "equals")
    column = _check_column(
        section, "column", section.text("column"), columns, ("STRING", "INTEGER", "BOOLEAN")
    )
    equals = section.table.get("equals", [])
    values = equals if isinstance(equals, list) else [equals]
    kind = columns[column].type
    if not values or any(
        (detect_type(value) if kind != "STRING" else _detect_text(value)) != kind for value in values
    ):
        section.refuse("equals", repr(equals), f"{kind} like column {column!r}, or a list of such values")
    return Condition(column, tuple(values))


def _detect_text(value: Any) -> str | None:
    return "STRING" if isinstance(value, str) else None


def read_bounding_box(source: Table, feed: Feed) -> Box | None:
    """Return [bounds], or the extended area of the sample's stations; None for a feed without coordinates."""
    latitude, longitude = feed.common.latitude, feed.common.longitude
    if "bounds" in source.table:
        bounds = source.section("bounds")
        bounds.only("latitude", "longitude")
        if latitude is None or longitude is None:
            source.refuse("bounds", "bounds without coordinates", "latitude and longitude under [common]")
        return Box(*bounds.range("latitude", 90), *bounds.range("longitude", 180))
    if latitude is None or longitude is None:
        return None
    points = [(row[latitude], row[longitude]) for row in parse_response(feed, feed.sample, _ANY_TIME).rows]
    points = [point for point in points if None not in point]
    if not points:
        return None
    latitudes, longitudes = [p[0] for p in points], [p[1] for p in points]
    return Box(
        *(min(latitudes) - _MARGIN, max(latitudes) + _MARGIN),
        *(min(longitudes) - _MARGIN, max(longitudes) + _MARGIN),
        is_declared=False,
    )


def read_legacy_names(source: Table, columns: Mapping[str, Column]) -> Legacy | None:
    """Return [legacy], None without it. Raises FeedError."""
    if "legacy" not in source.table:
        return None
    legacy = source.section("legacy")
    legacy.only("pattern", "timezone", "times")
    pattern = legacy.text("pattern")
    moment = datetime(2023, 10, 26, 22, 51, 7)  # noqa: DTZ001 - a local time, as the pattern's are
    try:
        complete = datetime.strptime(moment.strftime(pattern), pattern) == moment  # noqa: DTZ007
    except ValueError:
        complete = False
    if not complete:
        legacy.refuse("pattern", repr(pattern), "a strftime pattern with %Y, %m, %d, %H, %M and %S")
    times = [_check_column(legacy, "times", name, columns, ("TIMESTAMP",)) for name in legacy.texts("times")]
    legacy.text("timezone")
    return Legacy(pattern, ZoneInfo(legacy.zone("timezone") or ""), tuple(times))
