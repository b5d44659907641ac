"""Answers that are as the sample: decoded into typed objects, and from these into a table's Arrow columns.

Four times as fast as dictionaries, rows, and columns of these. Whatever is not exactly as the sample is not
for this module: None means that `feed.parse_response` must look, and what it says is the outcome.
"""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf
from typing import Any

import msgspec
import pyarrow as pa
from isal import isal_zlib
from msgspec import UNSET, Raw, UnsetType

from feed import (
    ArrayShape,
    Column,
    Feed,
    ObjectShape,
    ResponseShape,
    Shape,
    check_depth,
    decompress,
    infer_response_shape,
    make_converter,
    station_schema,
)
from spark.parquet import arrow_schema
from spark.responses.delta_decoding import DeltaDecoder, Values

_GZIP = 31  # wbits: with gzip's header and checksum
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
# JSON's own type of the values of a column; times are text, or a number of some unit.
_JSON_TYPES = {"INTEGER": int, "FLOAT": float, "BOOLEAN": bool}
_UNCONVERTED_TYPES = ("STRING", "INTEGER", "FLOAT", "BOOLEAN")
_TYPE_CODES = {pa.int64(): "q", pa.float64(): "d", pa.timestamp("us", tz="UTC"): "q"}
_LARGEST_FLOAT = 2.0**53 - 1  # beyond it a float may have been a whole number that no FLOAT column takes
_MAX_CONVERTED = 100_000  # values remembered of a column
_NO_KEYS = frozenset({None, "", UNSET})


class UnexpectedShapeError(ValueError):
    """An answer has something that only `parse` knows how to deal with."""


def decompress_fast(data: bytes, limit: int) -> bytes:
    """As `feed.decompress`, in half the time where the data is one whole gzip file. Raises RawError as it does."""
    try:
        unpacker = isal_zlib.decompressobj(_GZIP)
        body: bytes = unpacker.decompress(data, limit + 1)
        if unpacker.eof and not unpacker.unused_data and len(body) <= limit:
            return body
    except isal_zlib.error:  # type: ignore[misc]  # its stub has an instance, not the class
        pass
    return decompress(data, limit)


class _ConversionCache(dict[Any, Any]):
    """JSON value → the column's native one, UTC times as microseconds; each is converted once."""

    def __init__(self, column: Column) -> None:
        super().__init__({None: None})
        self._convert = make_converter(column)

    def __missing__(self, value: Any) -> Any:
        if value is UNSET:
            return UNSET
        native = self._convert(value)
        if isinstance(native, datetime) and native.fold:
            raise UnexpectedShapeError  # a local time that happened twice: the tick decides
        if isinstance(native, datetime) and native.tzinfo is not None:
            native = (native - _EPOCH) // _MICROSECOND
        if len(self) > _MAX_CONVERTED:
            self.clear()
            self[None] = None
        self[value] = native
        return native

    def all(self, values: Sequence[Any]) -> list[Any]:
        """Those of all of an answer's values, of which there may be but one: when it was made, say."""
        first = values[0]
        if first == values[-1] and values.count(first) == len(values):
            return [self[first]] * len(values)
        return list(map(self.__getitem__, values))


@dataclass(frozen=True)
class _Limits:
    """Within which nothing is wrong with a column's value; what lies outside is for `parse` to judge."""

    lowest: float = -inf
    highest: float = inf
    future: int | None = None  # microseconds after the tick

    @property
    def is_bounded(self) -> bool:
        """Whether there are values outside."""
        return (self.lowest, self.highest) != (-inf, inf)

    def check(self, values: Iterable[Any]) -> None:
        """UnlikeSampleError for a value outside."""
        present = [value for value in values if value is not None and value is not UNSET]
        if present and not self.lowest <= min(present) <= max(present) <= self.highest:
            raise UnexpectedShapeError


class _ArrayBuilder:
    """Makes the Arrow arrays of one column; of a key's, where each value is there and is another."""

    def __init__(self, kind: pa.DataType, future: int | None = None, *, is_key: bool = False) -> None:
        self._kind, self._future, self._is_key = kind, future, is_key
        self._highest: float = 0
        self._code = _TYPE_CODES.get(kind)
        self._last: Sequence[Any] = ()
        self._array: pa.Array = pa.array([], kind)

    def of(self, values: Sequence[Any], tick: int) -> pa.Array:
        """The array of a response's values; `tick` in microseconds. UnlikeSampleError, ValueError or TypeError."""
        # An answer repeats most of what the one before had, in the same order.
        if values is not self._last and values != self._last:
            if self._is_key and (len(keys := set(values)) < len(values) or not keys.isdisjoint(_NO_KEYS)):
                raise UnexpectedShapeError
            try:
                made = self._made(values)
            except (TypeError, pa.ArrowException):
                made = self._made_with_nulls(values)
            self._last, self._array = values, made
        if self._future is not None and self._highest > tick + self._future:
            raise UnexpectedShapeError
        return self._array

    def _made(self, values: Sequence[Any]) -> pa.Array:
        if self._future is not None:
            self._highest = max(values)
        if self._code is None:
            return pa.array(values, self._kind)
        buffer = pa.py_buffer(array(self._code, values))
        return pa.Array.from_buffers(self._kind, len(values), [None, buffer])

    def _made_with_nulls(self, values: Sequence[Any]) -> pa.Array:
        present = [value for value in values if value is not UNSET]
        if not present:
            raise UnexpectedShapeError  # a field that all records lack is a drift
        self._highest = 0
        if some := [value for value in present if value is not None]:
            self._made(some)  # for what it raises
        filled = [None if value is UNSET else value for value in values]
        return pa.array(filled, self._kind)


@dataclass(frozen=True)
class _Node:
    """What objects or arrays hold that is needed: lists of it, each a column's or of what is to be looked into."""

    take: Callable[[Sequence[Any]], Sequence[Sequence[Any]]]
    children: tuple["int | _Node", ...]


def _compile_node(children: Mapping[str, "int | _Node | None"]) -> _Node:
    """A node of children by how they are reached, `.f0` or `[0]`.

    Written out as code, as dataclasses are: it takes a third of the time of what reaches by name or place.
    """
    needed = {reach: child for reach, child in children.items() if child is not None}
    lists = "".join(f"[holder{reach} for holder in holders], " for reach in needed)
    return _Node(eval(f"lambda holders: ({lists})"), tuple(needed.values()))  # noqa: S307 - names of our own


@dataclass(frozen=True)
class _ValueReader:
    """Answers → the values of each column, one for each record."""

    shape: ResponseShape
    decode: Callable[[bytes], Any]
    record: _Node

    def values(self, body: bytes) -> Values:
        """Raises UnlikeSampleError, or msgspec's errors."""
        records = self.decode(body)
        for _ in self.shape.records:
            records = records.f0
        if not 0 < len(records) <= self.shape.max_records:
            raise UnexpectedShapeError
        values: Values = {}
        _collect_values(self.record, records, values)
        return values


@dataclass(frozen=True)
class Decoder:
    """One feed's answers → Arrow columns in the order and types of its table, `collected_at` not among them."""

    reader: _ValueReader
    converted: Mapping[int, _ConversionCache]  # by column, where JSON's value is not the table's
    limits: Mapping[int, _Limits]  # by column, where there are any
    likeness: DeltaDecoder
    arrays: tuple[_ArrayBuilder, ...]

    def columns(self, body: bytes, tick: datetime) -> list[pa.Array] | None:
        """An array for each column, where `parse` would reject nothing and find no drift; else None."""
        at = (tick - _EPOCH) // _MICROSECOND
        try:
            values = self.likeness.values(body)
            if values is None:
                if not body.isascii():
                    body.decode()  # what is skipped is not checked otherwise
                check_depth(body)
                values = self.reader.values(body)
                values |= {place: each.all(values[place]) for place, each in self.converted.items()}
                for place, limits in self.limits.items():
                    limits.check(values[place])
                self.likeness.learn(body, values)
            return [arrays.of(values[place], at) for place, arrays in enumerate(self.arrays)]
        except (ValueError, TypeError, RecursionError, OverflowError):
            return None  # UnlikeSampleError, msgspec's, Arrow's and the conversion's errors are among them


def _collect_values(node: _Node, holders: Sequence[Any], values: dict[int, Sequence[Any]]) -> None:
    """Put the values of each column below `node` into `values`, one for each holder."""
    for child, items in zip(node.children, node.take(holders), strict=True):
        if isinstance(child, _Node):
            _collect_values(child, items, values)
        else:
            values[child] = items


@lru_cache(maxsize=32)
def make_decoder(feed: Feed) -> Decoder | None:
    """The decoder of the feed's answers; None where only `parse` can read them."""
    shape = infer_response_shape(feed)
    if shape is None:
        return None
    types = [_get_json_type(column) for column in feed.columns]
    converted = {
        place: _ConversionCache(column)
        for place, column in enumerate(feed.columns)
        if column.type not in _UNCONVERTED_TYPES or column.unit
    }
    places = _make_value_reader(shape, feed, [Raw] * len(types))
    kinds = arrow_schema(station_schema(feed)).types[1:]
    limits = [_make_limits(feed, column) for column in feed.columns]
    reads = [
        _make_token_reader(
            kind, converted.get(place), limits[place].check if limits[place].is_bounded else None
        )
        for place, kind in enumerate(types)
    ]
    return Decoder(
        _make_value_reader(shape, feed, types),
        converted,
        {place: each for place, each in enumerate(limits) if each.is_bounded},
        DeltaDecoder(places.values, reads),
        tuple(
            _ArrayBuilder(kind, each.future, is_key=column.name == feed.key)
            for column, kind, each in zip(feed.columns, kinds, limits, strict=True)
        ),
    )


def _make_token_reader(
    kind: Any, converted: _ConversionCache | None, check: Callable[[Iterable[Any]], None] | None
) -> Callable[[bytes], Any]:
    """What reads one value's own text, once for each text: what is checked here costs nothing when it comes again."""
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode
    if converted is None and check is None:
        return decode

    def read(token: bytes) -> Any:
        value = decode(token)
        if converted is not None:
            value = converted[value]
        if check is not None:
            check((value,))
        return value

    return read


def _make_limits(feed: Feed, column: Column) -> _Limits:
    lowest, highest, future = -inf, inf, None
    if column.type == "FLOAT":
        lowest, highest = -_LARGEST_FLOAT, _LARGEST_FLOAT
    if feed.box is not None and column.name == feed.common.latitude:
        lowest, highest = feed.box.south, feed.box.north
    if feed.box is not None and column.name == feed.common.longitude:
        lowest, highest = feed.box.west, feed.box.east
    if (rule := column.rule) is not None:
        lowest = max(lowest, -inf if rule.minimum is None else rule.minimum)
        highest = min(highest, inf if rule.maximum is None else rule.maximum)
        if rule.not_before is not None:
            lowest = (rule.not_before - _EPOCH) // _MICROSECOND
        if rule.not_in_future is not None:
            future = rule.not_in_future // _MICROSECOND
    return _Limits(lowest, highest, future)


def _get_json_type(column: Column) -> Any:
    kind = int if column.unit else _JSON_TYPES.get(column.type, str)
    return kind | None


def _make_value_reader(shape: ResponseShape, feed: Feed, types: Sequence[Any]) -> _ValueReader:
    """What decodes each column's values into its type of `types`."""
    record_type, record = _compile_shape(shape.record, feed, types)
    answer: Any = list[record_type]  # type: ignore[valid-type]  # made just now
    for key in reversed(shape.records):
        answer = msgspec.defstruct("Answer", [("f0", answer)], rename={"f0": key}, gc=False)
    return _ValueReader(shape, msgspec.json.Decoder(answer).decode, record)


def _compile_shape(shape: Shape, feed: Feed, types: Sequence[Any]) -> tuple[Any, Any]:
    """The type to decode a shape into, and what to do with what was decoded."""
    match shape:
        case Column():
            place = feed.columns.index(shape)
            return types[place], place
        case ArrayShape(items):
            item_types, nodes = zip(*(_compile_shape(item, feed, types) for item in items), strict=True)
            places = {f"[{index}]": node for index, node in enumerate(nodes)}
            return tuple[item_types], _compile_node(places)  # type: ignore[valid-type]  # made just now
        case ObjectShape(fields, is_closed):
            children: dict[str, Any] = {}
            members: list[Any] = []
            for number, below in enumerate(fields.values()):
                kind, child = _compile_shape(below, feed, types)
                children[f".f{number}"] = child
                is_needed = isinstance(child, _Node)
                members.append((f"f{number}", kind) if is_needed else (f"f{number}", kind | UnsetType, UNSET))
            names = {f"f{number}": str(key) for number, key in enumerate(fields)}
            made = msgspec.defstruct(
                "Object", members, rename=names, forbid_unknown_fields=is_closed, kw_only=True, gc=False
            )
            return made, _compile_node(children)
        case _:
            return Raw, None
