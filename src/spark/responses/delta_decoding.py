"""Decode only the values that changed since the previous response.

Two consecutive responses share nearly all of their text: keys, names, coordinates. They are compared as bytes, comma by
comma. Differences must be inside of column values; only these values are decoded, which is twice as fast as decoding
the whole response. If anything else differs, the result is None and the whole response must be decoded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UNSET

_COMMA = ord(",")
_MAX_MISSES = 4, 1_024  # mismatches before the baseline is replaced: initial value, and maximum
_MAX_GROWTH = 2**20  # bytes by which a response may be longer than the baseline
_MAX_TOKENS = 100_000  # cached values per column
_MAX_TOKEN = 64  # bytes of a cached value: numbers and times, no long strings

Values = dict[int, Sequence[Any]]  # by column: a value per record


@dataclass
class _Baseline:
    """A decoded response: its text, the positions of its commas, and where the column values are.

    A gap is the text between two commas, or between a comma and an end; it contains at most one value. `lead` and
    `tail` are the distances of a value from both ends of its gap, so they are valid for every response that matches.
    """

    text: np.ndarray[Any, Any]
    bounds: np.ndarray[Any, Any]  # -1, the positions of the commas, and the length of the text
    values: Values
    value_of: np.ndarray[Any, Any]  # by gap: the index of its value, or -1
    gap: np.ndarray[Any, Any]  # by value, column after column; likewise `lead`, `tail` and `record`
    lead: np.ndarray[Any, Any]
    tail: np.ndarray[Any, Any]
    record: np.ndarray[Any, Any]
    stops: np.ndarray[Any, Any]  # by column: the number of values up to its last one


class _TokenCache(dict[bytes, Any]):
    """JSON text of a value → the value; short texts are decoded once."""

    def __init__(self, read: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, token: bytes) -> Any:
        value = self._read(token)
        if len(token) <= _MAX_TOKEN:
            if len(self) >= _MAX_TOKENS:
                self.clear()
            self[token] = value
        return value


class DeltaDecoder:
    """Decodes responses by their differences from the previous one (the baseline).

    `find_values` returns the text of each column's values, in the order of records, as views into the response.
    `readers` decode such a text, by column; they raise ValueError or TypeError for an invalid value.
    """

    def __init__(
        self, find_values: Callable[[bytes], Values], readers: Sequence[Callable[[bytes], Any]]
    ) -> None:
        self._find_values = find_values
        self._tokens = [_TokenCache(read) for read in readers]
        self._baseline: _Baseline | None = None
        self._misses, self._allowed_misses = 0, _MAX_MISSES[0]

    def decode(self, body: bytes) -> Values | None:
        """Return the values of a response, None if it does not match; unchanged columns are the same objects."""
        known = self._baseline
        if known is None:
            return None
        values = self._decode_changes(known, body)
        if values is None:
            self._misses += 1
        else:
            self._misses, self._allowed_misses = 0, _MAX_MISSES[0]
        return values

    def set_baseline(self, body: bytes, values: Values) -> None:
        """Use a decoded response as baseline, if there is none or none of the last responses matched."""
        if self._baseline is None or self._misses >= self._allowed_misses:
            if self._baseline is not None:
                self._allowed_misses = min(2 * self._allowed_misses, _MAX_MISSES[1])
            self._baseline, self._misses = _make_baseline(body, values, self._find_values(body)), 0

    def _decode_changes(self, known: _Baseline, body: bytes) -> Values | None:
        if len(body) > len(known.text) + _MAX_GROWTH:  # checked before memory of its size is allocated
            return None
        text = np.frombuffer(body, np.uint8)
        is_comma = text == _COMMA
        if np.count_nonzero(is_comma) + 2 != len(known.bounds):
            return None
        bounds = _find_bounds(is_comma)
        changed = _find_changed_values(known, text, bounds)
        if changed is None:
            return None
        try:
            values = self._decode_changed_values(known, body, bounds, changed)
        except (ValueError, TypeError):
            return None
        known.text, known.bounds, known.values = text, bounds, values
        return values

    def _decode_changed_values(
        self, known: _Baseline, body: bytes, bounds: np.ndarray[Any, Any], changed: np.ndarray[Any, Any]
    ) -> Values:
        gaps = known.gap[changed]
        starts = bounds[gaps] + known.lead[changed]
        ends = bounds[gaps + 1] - known.tail[changed]
        stops = changed.searchsorted(known.stops).tolist()
        values = dict(known.values)
        start = 0
        for column, stop in enumerate(stops):
            if stop > start:
                values[column] = self._update_column(
                    column,
                    values[column],
                    known.record[changed[start:stop]],
                    _Tokens(body, starts[start:stop], ends[start:stop]),
                )
                start = stop
        return values

    def _update_column(
        self, column: int, values: Sequence[Any], records: np.ndarray[Any, Any], tokens: "_Tokens"
    ) -> list[Any]:
        """Return a column's values with the new values of some records."""
        read = self._tokens[column].__getitem__
        # One new value for all records, such as the time of the response.
        if len(records) == len(values) and tokens.are_equal():
            return [read(tokens.first())] * len(values)
        updated = list(values)
        for record, value in zip(records.tolist(), map(read, tokens.list_all()), strict=True):
            updated[record] = value
        return updated


@dataclass(frozen=True)
class _Tokens:
    """The JSON texts of some values of a response."""

    body: bytes
    starts: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]

    def are_equal(self) -> bool:
        """Return whether all texts are the same; no object is created for each one."""
        length = self.ends[0] - self.starts[0]
        if length > _MAX_TOKEN or (self.ends - self.starts != length).any():
            return False
        texts = np.frombuffer(self.body, np.uint8)[self.starts[:, None] + np.arange(length)]
        return bool((texts == texts[0]).all())

    def first(self) -> bytes:
        """Return the first text."""
        return self.body[self.starts[0] : self.ends[0]]

    def list_all(self) -> list[bytes]:
        """Return the texts in order."""
        return [
            self.body[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        ]


def _find_bounds(is_comma: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found = is_comma.nonzero()[0]
    bounds = np.empty(len(found) + 2, np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = -1, found, len(is_comma)
    return bounds


def _find_changed_values(
    known: _Baseline, text: np.ndarray[Any, Any], bounds: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any] | None:
    """Return the values whose text differs, in order; None if anything else differs."""
    shift = bounds - known.bounds
    resized = known.value_of[np.flatnonzero(shift[1:] != shift[:-1])]
    gaps = known.gap[resized]
    if len(resized) and resized.min() < 0:
        return None
    # Between two values of changed length, both texts have the same length.
    old_starts, old_ends = (
        known.bounds[gaps] + known.lead[resized],
        known.bounds[gaps + 1] - known.tail[resized],
    )
    starts, ends = bounds[gaps] + known.lead[resized], bounds[gaps + 1] - known.tail[resized]
    if (starts > ends).any():
        return None
    differs = np.zeros(-(-len(known.text) // 8) * 8, np.bool_)
    runs = zip(
        [0, *old_ends.tolist()],
        [*old_starts.tolist(), len(known.text)],
        [0, *ends.tolist()],
        [*starts.tolist(), len(text)],
        strict=True,
    )
    for old_from, old_to, new_from, new_to in runs:
        np.not_equal(known.text[old_from:old_to], text[new_from:new_to], out=differs[old_from:old_to])
    positions = _find_set_flags(differs)
    gaps = known.bounds.searchsorted(positions, "right") - 1
    values = known.value_of[gaps]
    is_within = values >= 0
    is_within &= positions >= known.bounds[gaps] + known.lead[values]
    is_within &= positions < known.bounds[gaps + 1] - known.tail[values]
    if not is_within.all():
        return None
    is_changed = np.zeros(len(known.gap), np.bool_)
    is_changed[values] = is_changed[resized] = True
    return np.flatnonzero(is_changed)


def _find_set_flags(flags: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the positions of set flags; their number is a multiple of eight, and eight are tested at once."""
    eights = np.flatnonzero(flags.view(np.uint64) != 0)  # four times as fast as one by one
    found = np.flatnonzero(flags.reshape(-1, 8)[eights])
    positions: np.ndarray[Any, Any] = eights[found >> 3] * 8 + (found & 7)
    return positions


def _make_baseline(body: bytes, values: Values, positions: Values) -> _Baseline | None:
    text = np.frombuffer(body, np.uint8)
    bounds = _find_bounds(text == _COMMA)
    origin = _get_address(body)
    found = [
        (_get_address(raw) - origin, len(raw), record)
        for column in range(len(positions))
        for record, raw in enumerate(map(_view_bytes, positions[column]))
        if raw is not None
    ]
    starts, lengths, records = (np.array(each, np.int64) for each in zip(*found, strict=True))
    counts = [sum(raw is not UNSET for raw in positions[column]) for column in range(len(positions))]
    gaps = bounds.searchsorted(starts, "right") - 1
    # A value with a comma inside (a string) must not change.
    is_whole = starts + lengths <= bounds[gaps + 1]
    value_of = np.full(len(bounds) - 1, -1)
    value_of[gaps[is_whole]] = np.flatnonzero(is_whole)
    if np.count_nonzero(value_of >= 0) < np.count_nonzero(is_whole):
        return None  # two values in one gap, which valid JSON cannot have
    lead, tail = starts - bounds[gaps], bounds[gaps + 1] - starts - lengths
    return _Baseline(text, bounds, dict(values), value_of, gaps, lead, tail, records, np.cumsum(counts))


def _view_bytes(raw: Any) -> memoryview | None:
    return None if raw is UNSET else memoryview(raw)


def _get_address(view: Any) -> int:
    address: int = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    return address
