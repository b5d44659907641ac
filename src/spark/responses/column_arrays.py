"""Convert, check and store the values of one column as an Arrow array, with caches from response to response."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pyarrow as pa
from msgspec import UNSET

from feed import Column, make_converter

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_TYPE_CODES = {pa.int64(): "q", pa.float64(): "d", pa.timestamp("us", tz="UTC"): "q"}
_MAX_CONVERTED = 100_000  # cached values of a column
_NO_KEYS = frozenset({None, "", UNSET})


class UnexpectedShapeError(ValueError):
    """A response has something that only `parse_response` can handle, such as a value out of range."""


class ConversionCache(dict[Any, Any]):
    """JSON value → native value of a column, UTC times as microseconds. It is emptied when it has 100,000 values."""

    def __init__(self, column: Column) -> None:
        super().__init__({None: None})
        self._convert = make_converter(column)

    def __missing__(self, value: Any) -> Any:
        if value is UNSET:
            return UNSET
        native = self._convert(value)
        if isinstance(native, datetime) and native.fold:
            raise UnexpectedShapeError  # a local time in a repeated hour: the tick decides
        if isinstance(native, datetime) and native.tzinfo is not None:
            native = (native - EPOCH) // MICROSECOND
        if len(self) > _MAX_CONVERTED:
            self.clear()
            self[None] = None
        self[value] = native
        return native

    def convert_all(self, values: Sequence[Any]) -> list[Any]:
        """Return the native values of a response; fast if all are equal, such as the time of the response."""
        first = values[0]
        if first == values[-1] and values.count(first) == len(values):
            return [self[first]] * len(values)
        return list(map(self.__getitem__, values))


@dataclass(frozen=True)
class ValueLimits:
    """The range of a column's valid values; values outside need `parse_response`."""

    lowest: float = -inf
    highest: float = inf
    future: int | None = None  # microseconds after the tick

    @property
    def is_bounded(self) -> bool:
        """Whether any value can be out of range."""
        return (self.lowest, self.highest) != (-inf, inf)

    def check(self, values: Iterable[Any]) -> None:
        """Raise UnexpectedShapeError for a value out of range."""
        present = [value for value in values if value is not None and value is not UNSET]
        if present and not self.lowest <= min(present) <= max(present) <= self.highest:
            raise UnexpectedShapeError


class ArrayBuilder:
    """Builds the Arrow arrays of one column; the values of a key must exist and be unique."""

    def __init__(self, kind: pa.DataType, future: int | None = None, *, is_key: bool = False) -> None:
        self._kind, self._future, self._is_key = kind, future, is_key
        self._highest: float = 0
        self._code = _TYPE_CODES.get(kind)
        self._last: Sequence[Any] = ()
        self._array: pa.Array = pa.array([], kind)

    def build(self, values: Sequence[Any], tick: int) -> pa.Array:
        """Return a response's array; `tick` in microseconds. Raises UnexpectedShapeError, ValueError or TypeError."""
        # A response repeats most values of the previous one, in the same order.
        if values is not self._last and values != self._last:
            if self._is_key and (len(keys := set(values)) < len(values) or not keys.isdisjoint(_NO_KEYS)):
                raise UnexpectedShapeError
            try:
                built = self._build(values)
            except (TypeError, pa.ArrowException):
                built = self._build_with_nulls(values)
            self._last, self._array = values, built
        if self._future is not None and self._highest > tick + self._future:
            raise UnexpectedShapeError
        return self._array

    def _build(self, values: Sequence[Any]) -> pa.Array:
        if self._future is not None:
            self._highest = max(values)
        if self._code is None:
            return pa.array(values, self._kind)
        buffer = pa.py_buffer(array(self._code, values))
        return pa.Array.from_buffers(self._kind, len(values), [None, buffer])

    def _build_with_nulls(self, values: Sequence[Any]) -> pa.Array:
        present = [value for value in values if value is not UNSET]
        if not present:
            raise UnexpectedShapeError  # a field that is missing in all records is schema drift
        self._highest = 0
        if some := [value for value in present if value is not None]:
            self._build(some)  # raises for invalid values
        filled = [None if value is UNSET else value for value in values]
        return pa.array(filled, self._kind)
