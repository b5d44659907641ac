"""From one answer to rows, and to a reason for whatever could not become one. Never raises on bad input."""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any

from feed.conversion import Converter, MisfitError, WholeConverter, converter, describe, whole_column
from feed.drift import Drift, find_drifts
from feed.model import COLLECTED_AT, Box, Feed
from feed.paths import FieldPath, path_text, values_at

# A hostile answer must not make a quarantine row or a log line that BigQuery or Cloud Logging refuses.
MAX_TEXT = 1_000
MAX_RECORD = 16_000
# Nor more rows than the collector's memory holds: a megabyte of `1,` is half a million records.
MAX_RECORDS = 50_000
MAX_REJECTED = 10_000
# Types whose native values may need another form in JSON. Readers of JSON keep whole numbers up to 2^53 exactly;
# beyond, BigQuery asks for text.
_UNLIKE_JSON = frozenset({"INTEGER", "TIMESTAMP", "DATETIME", "DATE", "TIME", "RECORD"})
_EXACT_NUMBER = 2**53
_UTF8_BOM = b"\xef\xbb\xbf"
_HTML = re.compile(rb"<!doctype\s+html|<html|<head|<body", re.IGNORECASE)
_CUT_TOKEN = re.compile(r"[-+.eE0-9]*|t(r(ue?)?)?|f(a(l(se?)?)?)?|n(u(ll?)?)?|N(aN?)?|-?I[a-z]*")
# What is left of a cut escape; whether its first letters are in it differs between versions of the decoder.
_CUT_ESCAPE = re.compile(r"\\?u?[0-9a-fA-F]{0,4}")


@dataclass(frozen=True)
class Rejection:
    """Why one record (its `index` from 0), or the whole answer (index None), cannot be used."""

    reason: str
    index: int | None
    field: str
    found: str
    expected: str
    message: str
    record: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What one answer gave: records == len(rows) + rejections with an index."""

    feed: str
    collected_at: datetime
    records: int
    rows: list[dict[str, Any]]
    rejections: tuple[Rejection, ...]
    drifts: tuple[Drift, ...]


class _FaultError(ValueError):
    """Why a record, or the whole answer, cannot be used."""

    def __init__(self, reason: str, field: str, found: str, expected: str) -> None:
        super().__init__(reason, field, found, expected)
        self.reason, self.field, self.found, self.expected = reason, field, found, expected


def parse(
    feed: Feed, body: bytes, collected_at: datetime, *, decode: Callable[[bytes], Any] = json.loads
) -> Outcome:
    """Rows of native values (collected_at, then the feed's columns), rejections and drifts of one answer.

    `decode` may be any JSON decoder that raises ValueError. ValueError only where collected_at has no zone.
    """
    tick = _utc(collected_at)
    try:
        records = _records(feed, body, decode)
    except _FaultError as fault:
        return _unusable(feed, tick, fault)
    reader = _reader(feed)
    drifts = find_drifts(feed, records)
    rows = reader.all_rows(records, tick)
    if rows is not None:
        return Outcome(feed.name, tick, len(records), rows, (), drifts)
    rows = []
    rejections: list[Rejection] = []
    first_of: dict[Any, int] = {}
    for index, record in enumerate(records):
        try:
            row = reader.row(record, tick)
            reader.refuse_duplicate(row, index, first_of)
        except _FaultError as fault:
            if len(rejections) == MAX_REJECTED:
                return _unusable(feed, tick, _too_many_rejected(feed))
            rejections.append(_rejection(feed, index, record, fault))
        else:
            rows.append(row)
    return Outcome(feed.name, tick, len(records), rows, tuple(rejections), drifts)


def unreadable(feed: Feed, collected_at: datetime, error: Exception) -> Outcome:
    """The outcome for stored bytes that could not even be unpacked."""
    fault = _FaultError("unreadable", "", str(error), "a gzip file or plain JSON")
    return _unusable(feed, _utc(collected_at), fault)


def answer_times(feed: Feed, body: bytes) -> tuple[datetime, ...]:
    """The times inside an answer that tell when it was made, sorted; none where it cannot be read.

    They are in the columns of [legacy] `times`, else the one mapped to last_reported.
    """
    names = feed.legacy.times if feed.legacy else ()
    if not names and feed.common.last_reported:
        names = (feed.common.last_reported,)
    try:
        records = _records(feed, body, json.loads)
    except _FaultError:
        return ()
    times: set[datetime] = set()
    for column in (feed.column(name) for name in names):
        convert = converter(column)
        for value in (value for record in records for value in values_at(record, column.path)):
            with suppress(MisfitError):
                times.add(convert(value))
    return tuple(sorted(times))


def load_rows(feed: Feed, outcome: Outcome) -> list[dict[str, Any]]:
    """The rows as JSON has them, for a BigQuery load job of newline-delimited JSON."""
    names = [column.name for column in (COLLECTED_AT, *feed.columns) if column.type in _UNLIKE_JSON]
    return [row | {name: _json_ready(row[name]) for name in names} for row in outcome.rows]


def quarantine_rows(outcome: Outcome, object_name: str) -> list[dict[str, Any]]:
    """The rejections as rows of the quarantine table, as JSON has them."""
    return [
        {
            "collected_at": outcome.collected_at.isoformat(),
            "feed": outcome.feed,
            "object": object_name,
            "record_index": rejection.index,
            "reason": rejection.reason,
            "field": rejection.field,
            "found": rejection.found,
            "expected": rejection.expected,
            "message": rejection.message,
            "record": rejection.record,
        }
        for rejection in outcome.rejections
    ]


# --- the whole answer -----------------------------------------------------------------------------


def _records(feed: Feed, body: bytes, decode: Callable[[bytes], Any]) -> list[Any]:
    where = path_text(feed.records) or "the answer"
    found = list(values_at(_decoded(body, decode), feed.records))
    if not found:
        raise _FaultError("no_records", where, "nothing there: " + _beginning(body), "an array of records")
    if type(found[0]) is not list:
        raise _FaultError("no_records", where, describe(found[0]), "an array of records")
    if not found[0]:
        raise _FaultError("empty", where, "an empty array", "at least one record")
    if len(found[0]) > MAX_RECORDS:
        raise _FaultError("too_many", where, f"{len(found[0])} records", f"at most {MAX_RECORDS}")
    return found[0]


def _too_many_rejected(feed: Feed) -> _FaultError:
    found = f"more than {MAX_REJECTED} records that cannot be used"
    return _FaultError("too_many", path_text(feed.records) or "the answer", found, "records as in the sample")


def _decoded(body: bytes, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(body)
    except (ValueError, RecursionError):
        pass
    # Decoders differ in what they take beside plain UTF-8 JSON (byte order marks, UTF-16, NaN, surrogates).
    # The last word is always the standard library's: the collector and the batch must give the same rows.
    try:
        return json.loads(body)
    except RecursionError:
        raise _FaultError("not_json", "", "JSON nested too deeply", "JSON") from None
    except ValueError as error:
        raise _not_json(body, error) from None


def _not_json(body: bytes, error: ValueError) -> _FaultError:
    start = body.removeprefix(_UTF8_BOM).lstrip()[:1_000]
    if not start:
        return _FaultError("empty", "", "no bytes" if not body else "only blanks", "JSON")
    if start.startswith(b"<") and _HTML.search(start):
        return _FaultError("html", "", "an HTML page: " + _beginning(start), "JSON")
    if start[:1] in b"{[" and _is_cut(error):
        return _FaultError(
            "truncated", "", f"JSON that ends after {len(body)} bytes", "JSON to its last bracket"
        )
    return _FaultError("not_json", "", f"{_beginning(start)} ({_clipped(str(error))})", "JSON")


def _is_cut(error: ValueError) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return error.reason == "unexpected end of data"
    if not isinstance(error, json.JSONDecodeError):
        return False
    if error.msg.startswith("Unterminated string"):
        return True
    cut = _CUT_ESCAPE if error.msg.startswith("Invalid \\") else _CUT_TOKEN
    return bool(cut.fullmatch(error.doc[error.pos :].strip()))


def _unusable(feed: Feed, tick: datetime, fault: _FaultError) -> Outcome:
    reason, field, expected = fault.reason, fault.field, fault.expected
    found, where = _clipped(fault.found), f", {field}" if field else ""
    message = f"{feed.name}: answer not usable ({reason}){where}: found {found}; expected {expected}"
    rejection = Rejection(reason, None, field, found, expected, _clipped(message))
    return Outcome(feed.name, tick, 0, [], (rejection,), ())


# --- one record -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    """A column, compiled."""

    name: str
    key: str | int  # in the object or array that holds its value
    convert: Converter
    convert_all: WholeConverter


@dataclass(frozen=True)
class _Reader:
    """A feed compiled for many records."""

    places: tuple[tuple[FieldPath, tuple[_Field, ...]], ...]  # the fields by the path of what holds them
    names: tuple[str, ...]  # of a row
    repeated: tuple[str, ...]
    key: str | None
    latitude: str
    longitude: str
    box: Box | None

    def all_rows(self, records: list[Any], tick: datetime) -> list[dict[str, Any]] | None:
        """Every record as a row, column by column, or None where one may be at fault: then ask `row`."""
        columns: dict[str, Sequence[Any]] = {"collected_at": [tick] * len(records)}
        try:
            for path, fields in self.places:
                holders = _holders(records, path)
                kinds = set(map(type, holders))
                for field in fields:
                    columns[field.name] = field.convert_all(_items(holders, kinds, field.key))
        except MisfitError:
            return None
        if self.key is not None:
            keys = set(columns[self.key])
            if len(keys) < len(records) or None in keys or "" in keys:
                return None
        if self.box is not None:
            latitudes = [value for value in columns[self.latitude] if value is not None]
            longitudes = [value for value in columns[self.longitude] if value is not None]
            if latitudes and longitudes:
                corners = (min(latitudes), min(longitudes)), (max(latitudes), max(longitudes))
                if not all(self.box.holds(*corner) for corner in corners):
                    return None
        in_order = [columns[name] for name in self.names]
        return [dict(zip(self.names, values, strict=True)) for values in zip(*in_order, strict=True)]

    def row(self, record: Any, tick: datetime) -> dict[str, Any]:
        """The record as a row; raises _FaultError."""
        if type(record) is not dict:
            raise _FaultError("not_an_object", "", describe(record), "an object")
        row: dict[str, Any] = dict.fromkeys(self.names)
        row["collected_at"] = tick
        for path, fields in self.places:
            holder = record
            for depth, step in enumerate(path):
                holder = _item(holder, step, path[:depth])
            for field in fields:
                row[field.name] = _converted(field, _item(holder, field.key, path))
        for each in self.repeated:
            if row[each] is None:
                row[each] = []
        if self.key is not None and row[self.key] in {None, ""}:
            raise _FaultError("missing_key", self.key, describe(row[self.key]), "a value: it is the key")
        if self.box is not None:
            latitude, longitude = row[self.latitude], row[self.longitude]
            if latitude is not None and longitude is not None and not self.box.holds(latitude, longitude):
                self.refuse_stray(self.box, latitude, longitude)
        return row

    def refuse_duplicate(self, row: dict[str, Any], index: int, first_of: dict[Any, int]) -> None:
        """Raise _FaultError for a key that an earlier row has; `first_of` remembers them."""
        if self.key is not None:
            first = first_of.setdefault(row[self.key], index)
            if first != index:
                found = describe(row[self.key])
                raise _FaultError("duplicate_key", self.key, found, f"a key that record {first} has not")

    def refuse_stray(self, box: Box, latitude: float, longitude: float) -> None:
        """Raise _FaultError for a point outside `box`, unless it may be a new station beyond the sample's."""
        found = f"{self.latitude} {latitude}, {self.longitude} {longitude}"
        extent = f"latitude {box.south:g} to {box.north:g}, longitude {box.west:g} to {box.east:g}"
        if box.holds(longitude, latitude):
            raise _FaultError("swapped_coordinates", self.latitude, found, extent)
        if box.declared:
            raise _FaultError("out_of_range", self.latitude, found, extent)
        if abs(latitude) > 90 or abs(longitude) > 180:
            expected = "latitude -90 to 90, longitude -180 to 180"
            raise _FaultError("out_of_range", self.latitude, found, expected)


@lru_cache(maxsize=32)
def _reader(feed: Feed) -> _Reader:
    places: dict[FieldPath, list[_Field]] = {}
    for column in feed.columns:
        field = _Field(column.name, column.path[-1], converter(column), whole_column(column))
        places.setdefault(column.path[:-1], []).append(field)
    located = feed.common.latitude is not None and feed.common.longitude is not None
    return _Reader(
        places=tuple((path, tuple(fields)) for path, fields in places.items()),
        names=tuple(column.name for column in (COLLECTED_AT, *feed.columns)),
        repeated=tuple(column.name for column in feed.columns if column.mode == "REPEATED"),
        key=feed.key,
        latitude=feed.common.latitude or "",
        longitude=feed.common.longitude or "",
        box=feed.box if located else None,
    )


def _holders(records: list[Any], path: FieldPath) -> list[Any]:
    holders = records
    for step in path:
        holders = _items(holders, set(map(type, holders)), step)
    return holders


def _items(holders: list[Any], kinds: set[type], key: str | int) -> list[Any]:
    """The item of each holder, None where it has none; MisfitError where one is not what `key` needs."""
    if type(key) is str and kinds == {dict}:
        return [holder.get(key) for holder in holders]
    if type(key) is int and kinds == {list}:
        return [holder[key] if key < len(holder) else None for holder in holders]
    raise MisfitError(holders, "objects" if type(key) is str else "arrays")


def _item(holder: Any, key: str | int, path: FieldPath) -> Any:
    """The item of one holder, which lies at `path`: None where either is null or absent; _FaultError."""
    if holder is None:
        return None
    if type(key) is str and type(holder) is dict:
        return holder.get(key)
    if type(key) is int and type(holder) is list:
        return holder[key] if key < len(holder) else None
    expected = "an array" if type(key) is int else "an object"
    raise _FaultError("bad_value", path_text(path), describe(holder), expected)


def _converted(field: _Field, value: Any) -> Any:
    try:
        return None if value is None else field.convert(value)
    except MisfitError as misfit:
        found, where = describe(misfit.value), field.name + misfit.path
        raise _FaultError("bad_value", where, found, misfit.expected) from None


def _rejection(feed: Feed, index: int, record: Any, fault: _FaultError) -> Rejection:
    field, found = _clipped(fault.field), _clipped(fault.found)
    place = next((path_text(column.path) for column in feed.columns if column.name == field), field)
    where = field if place == field else f"{field} (in the answer {place})"
    message = (
        f"{feed.name}: record {index} rejected ({fault.reason}){', ' if where else ''}{where}: "
        f"found {found}; expected {fault.expected}"
    )
    return Rejection(
        fault.reason, index, field, found, fault.expected, _clipped(message), _record_text(record)
    )


def _record_text(record: Any) -> str:
    try:
        text = json.dumps(record, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(describe(record), ensure_ascii=False)
    return _clipped(text, MAX_RECORD)


# --- small things ---------------------------------------------------------------------------------


def _clipped(text: str, limit: int = MAX_TEXT) -> str:
    """At most `limit` characters that UTF-8 can hold (a lone surrogate becomes its JSON escape)."""
    safe = text[:limit].encode("utf-8", "backslashreplace").decode()
    return safe if len(text) <= limit else safe[: limit - 1] + "…"


def _beginning(body: bytes) -> str:
    return " ".join(body[:160].decode("utf-8", "replace").split())


def _utc(collected_at: datetime) -> datetime:
    if collected_at.tzinfo is None:
        raise ValueError(f"collected_at {collected_at} has no zone: expected UTC")
    return collected_at.astimezone(UTC)


def _json_ready(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int) and abs(value) > _EXACT_NUMBER:
        return str(value)
    if isinstance(value, list):
        return [_json_ready(item) for item in value]
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    return value
