"""source.toml against the sample: names that exist, and a sample that is usable itself."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from feed.errors import FeedError
from feed.inference import SAMPLE, Layout
from feed.model import Column, Feed
from feed.outcome import IMPLAUSIBLE
from feed.parsing import parse
from feed.paths import FieldPath, path_text
from feed.toml_table import Table, suggestion

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def refuse_unknown_references(
    source: Table, feed: Feed, layout: Layout, records: list[dict[str, Any]]
) -> None:
    """What source.toml says of a column or a field must be of one that there is."""
    names = list(_dotted_names(feed.columns, ""))
    for key, mapping in (("types", layout.overrides), ("descriptions", layout.descriptions)):
        for name in mapping:
            if name not in names:
                source.refuse(
                    f"{key}.{name}", "no such column", "one of " + ", ".join(names), suggestion(name, names)
                )
    places = {path_text(path): path for path in _field_paths(records, ())}
    for key, paths in (("lift", layout.lift), ("rename", tuple(layout.renames))):
        for path in paths:
            if path_text(path) not in places:
                source.refuse(
                    key,
                    repr(path_text(path)),
                    f"a field of {SAMPLE}'s records",
                    suggestion(path_text(path), places),
                )
    for path in layout.lift:
        if path[:-1] and path[:-1] not in layout.lift:
            source.refuse(
                "lift", repr(path_text(path)), f"{path_text(path[:-1])!r} lifted too, for it to be reached"
            )


def _dotted_names(columns: Iterable[Column], prefix: str) -> Iterator[str]:
    for column in columns:
        yield prefix + column.name
        yield from _dotted_names(column.fields, f"{prefix}{column.name}.")


def _field_paths(value: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, list):
        for item in value:
            yield from _field_paths(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _field_paths(item, (*path, key))


def refuse_unfit_sample(feed: Feed) -> None:
    """Raise FeedError where the sample itself has a value or a record that is rejected."""
    rejections = parse(feed, feed.sample, _ANY_TIME).rejections
    for rejection in (each for each in rejections if each.reason != IMPLAUSIBLE):
        raise FeedError(
            feed.name,
            SAMPLE,
            f"record {rejection.index}, {rejection.field}",
            rejection.found,
            rejection.expected,
            "the sample itself must be usable: fix it or source.toml",
        )
