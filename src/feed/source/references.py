"""Check source.toml against the sample: names must exist, and the sample itself must be valid."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from feed.errors import FeedError
from feed.model import Column, Feed
from feed.parsing.outcome import IMPLAUSIBLE
from feed.parsing.parser import parse_response
from feed.paths import FieldPath, format_path
from feed.source.inference import SAMPLE, ColumnOptions
from feed.source.toml_table import Table, suggest

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def check_references(source: Table, feed: Feed, layout: ColumnOptions, records: list[dict[str, Any]]) -> None:
    """Raise FeedError if source.toml names a column or field that does not exist."""
    names = list(_list_dotted_names(feed.columns, ""))
    for key, mapping in (("types", layout.overrides), ("descriptions", layout.descriptions)):
        for name in mapping:
            if name not in names:
                source.refuse(
                    f"{key}.{name}", "no such column", "one of " + ", ".join(names), suggest(name, names)
                )
    known_paths = {format_path(path): path for path in _list_field_paths(records, ())}
    for key, paths in (("lift", layout.lift), ("rename", tuple(layout.renames))):
        for path in paths:
            if format_path(path) not in known_paths:
                source.refuse(
                    key,
                    repr(format_path(path)),
                    f"a field of {SAMPLE}'s records",
                    suggest(format_path(path), known_paths),
                )
    for path in layout.lift:
        if path[:-1] and path[:-1] not in layout.lift:
            source.refuse(
                "lift",
                repr(format_path(path)),
                f"{format_path(path[:-1])!r} in `lift` too, because it contains this object",
            )


def _list_dotted_names(columns: Iterable[Column], prefix: str) -> Iterator[str]:
    for column in columns:
        yield prefix + column.name
        yield from _list_dotted_names(column.fields, f"{prefix}{column.name}.")


def _list_field_paths(value: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, list):
        for item in value:
            yield from _list_field_paths(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _list_field_paths(item, (*path, key))


def check_sample(feed: Feed) -> None:
    """Raise FeedError if a value or record of the sample is rejected."""
    rejections = parse_response(feed, feed.sample, _ANY_TIME).rejections
    for rejection in (each for each in rejections if each.reason != IMPLAUSIBLE):
        raise FeedError(
            feed.name,
            SAMPLE,
            f"record {rejection.index}, {rejection.field}",
            rejection.found,
            rejection.expected,
            "the sample must be valid: correct it or source.toml",
        )
