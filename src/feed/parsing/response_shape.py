"""The shape of responses that match the sample: a tree from which a typed decoder can be generated.

A response with this shape can be decoded without inspecting each value; any other is left to `parse_response`.
"""

from dataclasses import dataclass
from typing import Any

from feed.model import Column, Feed
from feed.parsing.encoding import convert_to_utf8
from feed.parsing.json_decoding import decode_utf8
from feed.parsing.response_format import MAX_RECORDS
from feed.paths import FieldPath, Step, find_values
from feed.quality.drift import list_expected_fields


@dataclass(frozen=True)
class ObjectShape:
    """An object: the shape under each key; with `is_closed`, other keys are not allowed."""

    fields: dict[str, "Shape"]
    is_closed: bool


@dataclass(frozen=True)
class ArrayShape:
    """An array of exactly these items."""

    items: tuple["Shape", ...]


@dataclass(frozen=True)
class Ignored:
    """Any JSON value from which no column is taken."""


Shape = ObjectShape | ArrayShape | Column | Ignored


@dataclass(frozen=True)
class ResponseShape:
    """The keys that lead to the records, the shape of a record, the GBFS version, and the most records."""

    records: tuple[str, ...]
    record: ObjectShape
    gbfs_version: str | None = None  # that the document must declare, as `Feed.gbfs_versions`
    max_records: int = MAX_RECORDS


def infer_response_shape(feed: Feed) -> ResponseShape | None:
    """Return the shape of the feed's responses; None if the feed needs `parse_response`."""
    paths = (feed.records, *(column.path for column in feed.columns))
    has_choice = any(not isinstance(step, str | int) for path in paths for step in path)
    is_nested = any(column.type == "RECORD" or column.mode == "REPEATED" for column in feed.columns)
    is_simple = feed.response_format.is_json_array and not (
        feed.paging or feed.total or feed.join or feed.has_response_columns
    )
    if not is_simple or has_choice or is_nested:
        return None
    records = tuple(step for step in feed.records if isinstance(step, str))
    tree: dict[Any, Any] = {}
    for column in feed.columns:
        node = tree
        for step in column.path[:-1]:
            node = node.setdefault(step, {})
            if isinstance(node, Column):
                return None
        if column.path[-1] in node:
            return None  # two columns of one path, or one path inside of the other
        node[column.path[-1]] = column
    known = {each.path: each.known for each in list_expected_fields(feed)[0]}
    record = _build_shape(tree, (), known, _decode_first_record(feed))
    if len(records) < len(feed.records) or not isinstance(record, ObjectShape):
        return None
    if any(not isinstance(_get_shape(record, path), ObjectShape) for path in known):
        return None
    return ResponseShape(records, record, feed.gbfs_versions[0])


def _get_shape(shape: Shape | None, path: FieldPath) -> Shape | None:
    for step in path:
        shape = shape.fields.get(str(step)) if isinstance(shape, ObjectShape) else None
    return shape


def _decode_first_record(feed: Feed) -> Any:
    records = next(find_values(decode_utf8(convert_to_utf8(feed.sample)), feed.records))
    return records[0]


def _build_shape(
    tree: Any, path: FieldPath, known: dict[FieldPath, frozenset[Step]], record: Any
) -> Shape | None:
    if isinstance(tree, Column):
        return tree
    shapes = {key: _build_shape(below, (*path, key), known, record) for key, below in tree.items()}
    if None in shapes.values():
        return None
    if all(isinstance(key, int) for key in shapes):
        items = tuple(shapes.get(index) or Ignored() for index in range(max(shapes) + 1))
        return ArrayShape(items)
    if any(isinstance(key, int) for key in shapes):
        return None
    fields: dict[Any, Any] = {key: Ignored() for key in known.get(path, ())} | shapes
    # In the order of the sample: a decoder that expects this order finds the next field at once.
    order = [key for holder in find_values(record, path) if type(holder) is dict for key in holder]
    in_order = sorted(fields, key=lambda key: (order.index(key) if key in order else len(order), key))
    return ObjectShape({key: fields[key] for key in in_order}, is_closed=path in known)
