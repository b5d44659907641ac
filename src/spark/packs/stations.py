"""Read one system's station_status, minute after minute: only records that differ from the previous response.

Two consecutive responses share nearly all of their records, byte for byte except for `last_reported`. The result is
that of `gbfs.read_file`, which reads every response that has errors or another structure.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from feed import ConversionError
from gbfs import Reading, read_file, read_time
from gbfs.files.model import STATION_STATUS
from gbfs.tables import STATION_STATUS_TABLE
from spark.parquet import arrow_schema, to_array

REPORTED = "last_reported"
SCHEMA = arrow_schema(STATION_STATUS_TABLE.schema)
_COLUMNS = [field for field in SCHEMA if field.name in STATION_STATUS.column_names]
_REPORTED = re.compile(rb'"last_reported"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9][-+.0-9eE]*)')
_MAX_TIMES = 10_000  # cached: stations report at the same few times


class _Data(msgspec.Struct):
    stations: list[msgspec.Raw]


class _Body(msgspec.Struct):
    data: _Data


_DECODER = msgspec.json.Decoder(_Body)


@dataclass(frozen=True)
class Minute:
    """The content of one response; `candidates` are the stations that may have changed, None: any station."""

    reading: Reading
    candidates: list[str] | None
    columns: list[pa.Array]  # of STATION_STATUS, in its order


@dataclass
class _Previous:
    """The previous response: its version, and of each record its bytes, with and without the time, and its row."""

    version: str
    records: Sequence[bytes]
    keys: list[bytes]
    rows: list[dict[str, Any]]
    columns: list[pa.Array]


class StationsReader:
    """Reads the responses of one system, in order."""

    def __init__(self, system_id: str) -> None:
        self._system_id = system_id
        self._previous: _Previous | None = None
        self._times: dict[bytes, datetime] = {}

    def read(self, body: bytes) -> Minute:
        """Return the content of a response, equal to that of `read_file`."""
        split = _split_records(body)
        if split is not None and self._previous is not None:
            minute = self._read_changes(self._previous, split)
            if minute is not None:
                return minute
        reading = read_file(self._system_id, STATION_STATUS.name, body)
        columns = _make_columns(reading.rows)
        self._previous = self._make_previous(reading, split, columns)
        return Minute(reading, None, columns)

    def _read_changes(self, previous: _Previous, split: "_Split") -> Minute | None:
        """Read the changed records of a response with as many records as before; None if it needs `read_file`."""
        if len(split.records) != len(previous.keys):
            return None
        keys, rows = list(previous.keys), list(previous.rows)
        changed: list[int] = []
        tokens: dict[int, bytes | None] = {}  # by number of a record with another time or other values
        for number, (record, known) in enumerate(zip(split.records, previous.records, strict=True)):
            if record == known:
                continue
            key, tokens[number] = _cut_time(record)
            if key is None:
                return None
            if key != keys[number]:
                keys[number] = key
                changed.append(number)
        read = read_file(self._system_id, STATION_STATUS.name, split.body_of(changed))
        if read.version != previous.version or read.records != len(changed) or not _has_no_errors(read):
            return None
        for number, token in tokens.items():
            if token is not None:
                moment = self._time(token)
                if moment is None:
                    return None
                rows[number] = {**rows[number], REPORTED: moment}
        for number, row in zip(changed, read.rows, strict=True):
            if row["station_id"] != previous.rows[number]["station_id"] or not self._has_expected_time(
                row, keys[number], tokens[number]
            ):
                return None
            rows[number] = row
        columns = _update_columns(previous, rows, changed, is_reported_again=bool(tokens))
        self._previous = _Previous(previous.version, split.records, keys, rows, columns)
        reading = replace(read, records=len(rows), rows=rows)
        return Minute(reading, [row["station_id"] for row in read.rows], columns)

    def _make_previous(
        self, reading: Reading, split: "_Split | None", columns: list[pa.Array]
    ) -> _Previous | None:
        if split is None or reading.version is None or not _has_no_errors(reading):
            return None
        if len(split.records) != len(reading.rows):
            return None
        keys = []
        for record, row in zip(split.records, reading.rows, strict=True):
            key, token = _cut_time(record)
            if key is None or not self._has_expected_time(row, key, token):
                return None
            keys.append(key)
        return _Previous(reading.version, split.records, keys, reading.rows, columns)

    def _has_expected_time(self, row: dict[str, Any], key: bytes | None, token: bytes | None) -> bool:
        """Return whether the row's time equals the one that was removed from its record."""
        return key is not None and row[REPORTED] == (None if token is None else self._time(token))

    def _time(self, token: bytes) -> datetime | None:
        if (known := self._times.get(token)) is not None:
            return known
        try:
            moment = read_time(json.loads(token))
        except (ConversionError, ValueError):
            return None
        if len(self._times) >= _MAX_TIMES:
            self._times.clear()
        self._times[token] = moment
        return moment


@dataclass(frozen=True)
class _Split:
    """A response, split into its records and the text around them."""

    before: bytes
    records: Sequence[bytes]
    after: bytes

    def body_of(self, numbers: Sequence[int]) -> bytes:
        """Return the response with only these records."""
        return self.before + b",".join(self.records[number] for number in numbers) + self.after


def _split_records(body: bytes) -> _Split | None:
    """Split a response; None if its records are not one after another with the same separator."""
    try:
        records = [bytes(record) for record in _DECODER.decode(body).data.stations]
    except msgspec.DecodeError:
        return None
    if not records:
        return None
    start = body.find(records[0])
    end = body.rfind(records[-1]) + len(records[-1])
    separator = b""
    if len(records) > 1:
        after_first = start + len(records[0])
        separator = body[after_first : body.find(records[1], after_first)]
    if body[start:end] != separator.join(records):
        return None
    return _Split(body[:start], records, body[end:])


def _cut_time(record: bytes) -> tuple[bytes | None, bytes | None]:
    """Return a record without the value of last_reported, and that value; None and None if it is ambiguous."""
    count = record.count(b'"last_reported"')
    if count > 1 or b"\\" in record:
        return None, None
    match = _REPORTED.search(record) if count else None
    if match is None:
        return record, None
    start, end = match.span(1)
    return record[:start] + record[end:], match[1]


def _has_no_errors(reading: Reading) -> bool:
    return not reading.rejections and not reading.rejected_values


def _make_columns(rows: Sequence[dict[str, Any]]) -> list[pa.Array]:
    return [to_array([row[field.name] for row in rows], field.type) for field in _COLUMNS]


def _update_columns(
    previous: _Previous, rows: list[dict[str, Any]], changed: Sequence[int], *, is_reported_again: bool
) -> list[pa.Array]:
    """Return the columns; unchanged ones are reused."""
    columns = []
    for field, column in zip(_COLUMNS, previous.columns, strict=True):
        name = field.name
        is_same = not (name == REPORTED and is_reported_again) and all(
            rows[number][name] == previous.rows[number][name] for number in changed
        )
        columns.append(column if is_same else to_array([row[name] for row in rows], field.type))
    return columns
