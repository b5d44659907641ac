"""One system's station_status, minute after minute: only what differs from the response before is read.

Two responses in a row share nearly all of their records, byte for byte but for `last_reported`. What is said of a
response is what `gbfs.read_file` says of it; whatever is not clean is left to that.
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
_MAX_TIMES = 10_000  # remembered: stations report at the same few times


class _Data(msgspec.Struct):
    stations: list[msgspec.Raw]


class _Body(msgspec.Struct):
    data: _Data


_DECODER = msgspec.json.Decoder(_Body)


@dataclass(frozen=True)
class Minute:
    """What one response said; `candidates` are the stations that may have changed, None: any may, or be gone."""

    reading: Reading
    candidates: list[str] | None
    columns: list[pa.Array]  # of STATION_STATUS, in its order


@dataclass
class _Previous:
    """The response before: its frame's version, and of each record its bytes but the time, and its row."""

    version: str
    keys: list[bytes]
    rows: list[dict[str, Any]]
    columns: list[pa.Array]


class StationsReader:
    """Reads the responses of one system, in order."""

    def __init__(self, system_id: str) -> None:
        self._system_id = system_id
        self._known: _Previous | None = None
        self._times: dict[bytes, datetime] = {}

    def read(self, body: bytes) -> Minute:
        """Return what a response says, as `read_file` does."""
        split = _split_records(body)
        if split is not None and self._known is not None:
            minute = self._read_like(self._known, split)
            if minute is not None:
                return minute
        reading = read_file(self._system_id, STATION_STATUS.name, body)
        columns = _make_columns(reading.rows)
        self._known = self._learn(reading, split, columns)
        return Minute(reading, None, columns)

    def _read_like(self, known: _Previous, split: "_Split") -> Minute | None:
        """Return what a response says whose records are as many as known; None where that is not simple."""
        if len(split.records) != len(known.keys):
            return None
        keys, tokens = zip(*map(_cut_time, split.records), strict=True) if split.records else ((), ())
        changed = [number for number, key in enumerate(keys) if key is None or key != known.keys[number]]
        read = read_file(self._system_id, STATION_STATUS.name, split.body_of(changed))
        if read.version != known.version or read.records != len(changed) or not _has_no_errors(read):
            return None
        rows = list(known.rows)
        for number, token in enumerate(tokens):
            if token is not None:
                moment = self._time(token)
                if moment is None:
                    return None
                rows[number] = {**rows[number], REPORTED: moment}
        for number, row in zip(changed, read.rows, strict=True):
            if row["station_id"] != known.rows[number]["station_id"] or not self._is_plain(
                row, keys[number], tokens[number]
            ):
                return None
            rows[number] = row
        columns = _update_columns(known, rows, changed)
        self._known = _Previous(known.version, list(keys), rows, columns)
        reading = replace(read, records=len(rows), rows=rows)
        return Minute(reading, [row["station_id"] for row in read.rows], columns)

    def _learn(self, reading: Reading, split: "_Split | None", columns: list[pa.Array]) -> _Previous | None:
        if split is None or reading.version is None or not _has_no_errors(reading):
            return None
        if len(split.records) != len(reading.rows):
            return None
        keys = []
        for record, row in zip(split.records, reading.rows, strict=True):
            key, token = _cut_time(record)
            if key is None or not self._is_plain(row, key, token):
                return None
            keys.append(key)
        return _Previous(reading.version, keys, reading.rows, columns)

    def _is_plain(self, row: dict[str, Any], key: bytes | None, token: bytes | None) -> bool:
        """Return whether the row's time is the one that was cut out of its record."""
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
    """A response, cut into its records and what is around them."""

    before: bytes
    records: Sequence[bytes]
    after: bytes

    def body_of(self, numbers: Sequence[int]) -> bytes:
        """Return the response with these records only."""
        return self.before + b",".join(self.records[number] for number in numbers) + self.after


def _split_records(body: bytes) -> _Split | None:
    """Return the parts of a response; None where its records do not lie in it one after another, alike separated."""
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
    """Return a record without the value of last_reported, and that value; None and None where that is not simple."""
    count = record.count(b'"last_reported"')
    if count > 1 or b"\\" in record:
        return None, None
    match = _REPORTED.search(record) if count else None
    if match is None:
        return record, None
    start, end = match.span(1)
    return record[:start] + record[end:], match[1]


def _has_no_errors(reading: Reading) -> bool:
    return not reading.rejections and not reading.issues


def _make_columns(rows: Sequence[dict[str, Any]]) -> list[pa.Array]:
    return [to_array([row[field.name] for row in rows], field.type) for field in _COLUMNS]


def _update_columns(known: _Previous, rows: list[dict[str, Any]], changed: Sequence[int]) -> list[pa.Array]:
    """Return the columns, those in which nothing has changed as they were."""
    columns = []
    for field, column in zip(_COLUMNS, known.columns, strict=True):
        name = field.name
        is_same = name != REPORTED and all(
            rows[number][name] == known.rows[number][name] for number in changed
        )
        columns.append(column if is_same else to_array([row[name] for row in rows], field.type))
    return columns
