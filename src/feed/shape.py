"""What an answer looks like where it is as the sample: a tree that a typed decoder can be made from.

An answer of this shape gives rows without a look at each value; any other is for `parse`, which says why.
"""

from dataclasses import dataclass
from typing import Any

from feed.arrangement import MAX_RECORDS
from feed.decoding import decode_utf8
from feed.drift import expectations
from feed.encoding import as_utf8
from feed.model import Column, Feed
from feed.paths import FieldPath, Step, values_at


@dataclass(frozen=True)
class ObjectShape:
    """An object: the shape of what lies under each key; where `is_closed`, no other key may be there."""

    fields: dict[str, "Shape"]
    is_closed: bool


@dataclass(frozen=True)
class ArrayShape:
    """An array of exactly these items."""

    items: tuple["Shape", ...]


@dataclass(frozen=True)
class Ignored:
    """Any JSON value, which no column is taken from."""


Shape = ObjectShape | ArrayShape | Column | Ignored


@dataclass(frozen=True)
class AnswerShape:
    """Where the records lie (keys of objects only), what each looks like, and how many there may be."""

    records: tuple[str, ...]
    record: ObjectShape
    max_records: int = MAX_RECORDS


def answer_shape(feed: Feed) -> AnswerShape | None:
    """The shape of the feed's answers; None where it has columns or places that `parse` alone can follow."""
    paths = (feed.records, *(column.path for column in feed.columns))
    has_choice = any(not isinstance(step, str | int) for path in paths for step in path)
    is_nested = any(column.type == "RECORD" or column.mode == "REPEATED" for column in feed.columns)
    is_simple = feed.arrangement.is_plain and not (
        feed.paging or feed.total or feed.join or feed.takes_of_response
    )
    if not is_simple or has_choice or is_nested:
        return None
    records = tuple(step for step in feed.records if isinstance(step, str))
    tree: dict[Any, Any] = {}
    for column in feed.columns:
        place = tree
        for step in column.path[:-1]:
            place = place.setdefault(step, {})
            if isinstance(place, Column):
                return None
        if column.path[-1] in place:
            return None  # two columns of one place, or one inside of the other's
        place[column.path[-1]] = column
    known = {each.path: each.known for each in expectations(feed)[0]}
    record = _shape(tree, (), known, _first_record(feed))
    if len(records) < len(feed.records) or not isinstance(record, ObjectShape):
        return None
    if any(not isinstance(_at(record, path), ObjectShape) for path in known):
        return None
    return AnswerShape(records, record)


def _at(shape: Shape | None, path: FieldPath) -> Shape | None:
    for step in path:
        shape = shape.fields.get(str(step)) if isinstance(shape, ObjectShape) else None
    return shape


def _first_record(feed: Feed) -> Any:
    records = next(values_at(decode_utf8(as_utf8(feed.sample)), feed.records))
    return records[0]


def _shape(tree: Any, path: FieldPath, known: dict[FieldPath, frozenset[Step]], record: Any) -> Shape | None:
    if isinstance(tree, Column):
        return tree
    shapes = {key: _shape(below, (*path, key), known, record) for key, below in tree.items()}
    if None in shapes.values():
        return None
    if all(isinstance(key, int) for key in shapes):
        items = tuple(shapes.get(index) or Ignored() for index in range(max(shapes) + 1))
        return ArrayShape(items)
    if any(isinstance(key, int) for key in shapes):
        return None
    fields: dict[Any, Any] = {key: Ignored() for key in known.get(path, ())} | shapes
    # In the order of the sample, in which a decoder that expects the next field finds it.
    order = [key for holder in values_at(record, path) if type(holder) is dict for key in holder]
    in_order = sorted(fields, key=lambda key: (order.index(key) if key in order else len(order), key))
    return ObjectShape({key: fields[key] for key in in_order}, is_closed=path in known)
