"""From one file of GBFS to rows in the terms of version 3, and to a reason for whatever does not fit.

Never raises on bad input.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from feed import Column, MisfitError, Rejection, converter
from feed.conversion import describe
from feed.outcome import clipped, json_text
from gbfs.documents import Document, decode, read_time
from gbfs.errors import GbfsError
from gbfs.model import FILES, FileModel
from gbfs.versions import UPGRADES, newest_name

_ANY_LANGUAGE = "und"  # BCP 47: undetermined
_COORDINATES = (("lat", 90), ("lon", 180))


@dataclass(frozen=True)
class Reading:
    """What one file gave: records == len(rows) + len(rejections) where the file could be read at all.

    `rejections` are records that have no row, or the whole file (index None); `issues` are values that became null
    in a row that is kept. Both belong into the quarantine table.
    """

    file: str  # as version 3 spells it
    version: str | None
    last_updated: datetime | None
    ttl_seconds: int
    records: int
    rows: list[dict[str, Any]]
    rejections: tuple[Rejection, ...]
    issues: tuple[Rejection, ...]


def read_file(system: str, file: str, body: bytes, language: str = _ANY_LANGUAGE) -> Reading:
    """Return the rows of native values of one file, such as station_status.

    `system` is for messages; `language` is that of texts whose version does not say theirs. KeyError for a file that
    is not in FILES.
    """
    model = FILES[newest_name(file)]
    try:
        document = decode(body)
        records = _records(model, document)
    except GbfsError as error:
        found, _, expected = error.message.removeprefix("found ").partition("; expected ")
        fault = _Fault(error.reason, "", found, expected)
        whole = _rejection(f"{system}: {model.name}", None, fault, "response")
        return Reading(model.name, None, None, 0, 0, [], (whole,), ())
    reader = _Reader(system, model, document, language or _ANY_LANGUAGE)
    for index, record in enumerate(records):
        reader.read(index, record)
    return Reading(
        file=model.name,
        version=document.version,
        last_updated=document.last_updated,
        ttl_seconds=document.ttl_seconds,
        records=len(records),
        rows=reader.rows,
        rejections=tuple(reader.rejections),
        issues=tuple(reader.issues),
    )


def check_file(file: str, body: bytes) -> Document:
    """Return the document of a file whose records can be read one by one, as `read_file` does. Raises GbfsError."""
    document = decode(body)
    _records(FILES[newest_name(file)], document)
    return document


def load_rows(reading: Reading) -> list[dict[str, Any]]:
    """Return the rows as JSON has them: times as RFC 3339 texts."""
    return [{name: json_ready(value) for name, value in row.items()} for row in reading.rows]


def json_ready(value: Any) -> Any:
    """Return a native value as JSON has it: a time as RFC 3339."""
    return value.isoformat() if isinstance(value, datetime | date) else value


def _records(model: FileModel, document: Document) -> list[Any]:
    if model.records is None:
        return [document.data]
    older = {"vehicles": "bikes"}.get(model.records)
    records = document.data.get(model.records, document.data.get(older) if older else None)
    if not isinstance(records, list):
        where = f"data.{model.records}"
        raise GbfsError("no_records", f"{where}: found {describe(records)}; expected an array")
    return records


@dataclass(frozen=True)
class _Fault:
    """Why a value, or the record that needs it, cannot be used."""

    reason: str
    field: str
    found: str
    expected: str
    value: Any = None


class _UnfitRecordError(ValueError):
    def __init__(self, fault: _Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class _Reader:
    """Collects the rows of one file."""

    def __init__(self, system: str, model: FileModel, document: Document, language: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self.rejections: list[Rejection] = []
        self.issues: list[Rejection] = []
        self._where, self._model, self._language = f"{system}: {model.name}", model, language
        self._upgrade = UPGRADES[document.version]
        is_3 = document.version.startswith("3")
        self._required = model.required | (model.required_since_3 if is_3 else frozenset())
        self._converters = _converters(model.name)
        self._first_of: dict[str, int] = {}

    def read(self, index: int, record: Any) -> None:
        found: list[_Fault] = []
        try:
            row = self._row(record, found)
            self._refuse_duplicate(row[self._model.key], index)
        except _UnfitRecordError as unfit:
            rejection = _rejection(self._where, index, unfit.fault, "record")
            self.rejections.append(replace(rejection, record=json_text(record)))
            return
        self.rows.append(row)
        self.issues += [
            replace(_rejection(self._where, index, fault, "value"), value=json_text(fault.value))
            for fault in found
        ]

    def _row(self, record: Any, faults: list[_Fault]) -> dict[str, Any]:
        if type(record) is not dict:
            raise _UnfitRecordError(_Fault("not_an_object", "", describe(record), "an object"))
        newer = self._upgrade(self._model.name, record, self._language)
        row: dict[str, Any] = {}
        for name, is_repeated, convert in self._converters:
            value = newer.get(name)
            row[name] = [] if is_repeated else None
            is_needed = name in self._model.needed
            if value is None or (value == "" and is_needed):
                if is_needed:
                    raise _UnfitRecordError(_Fault("missing_field", name, describe(value), "a value"))
                if name in self._required and name not in newer:
                    faults.append(
                        _Fault("missing_field", name, "nothing", "this field, which the standard requires")
                    )
                continue
            try:
                row[name] = convert(value)
            except MisfitError as misfit:
                found = describe(misfit.value)
                fault = _Fault("bad_value", name + misfit.path, found, misfit.expected, value)
                if is_needed:
                    raise _UnfitRecordError(fault) from None
                faults.append(fault)
        _clear_impossible_place(row, faults)
        return row

    def _refuse_duplicate(self, key: str, index: int) -> None:
        first = self._first_of.setdefault(key, index)
        if first != index:
            expected = f"an identifier that record {first} does not have"
            raise _UnfitRecordError(_Fault("duplicate_key", self._model.key, describe(key), expected))


def _rejection(where: str, index: int | None, fault: _Fault, scope: str) -> Rejection:
    record = "" if index is None else f", record {index}"
    field = f", {fault.field}" if fault.field else ""
    message = f"{where}{record} ({fault.reason}){field}: found {fault.found}; expected {fault.expected}"
    return Rejection(
        reason=fault.reason,
        index=index,
        field=fault.field,
        found=clipped(fault.found),
        expected=fault.expected,
        message=clipped(message),
        scope=scope,
    )


def _clear_impossible_place(row: dict[str, Any], faults: list[_Fault]) -> None:
    """Set a place to null that is outside of the globe, or at 0, 0 in the sea: placeholders, both."""
    if (latitude := row.get("lat")) is None or (longitude := row.get("lon")) is None:
        return
    for name, limit in _COORDINATES:
        if abs(row[name]) > limit:
            expected = f"degrees within -{limit} and {limit}"
            faults.append(_Fault("out_of_range", name, str(row[name]), expected, row[name]))
            row["lat"] = row["lon"] = None
            return
    if latitude == longitude == 0:
        faults.append(_Fault("out_of_range", "lat", "0, 0", "the place of the station", 0))
        row["lat"] = row["lon"] = None


@lru_cache(maxsize=len(FILES))
def _converters(file: str) -> tuple[tuple[str, bool, Callable[[Any], Any]], ...]:
    return tuple(
        (column.name, column.mode == "REPEATED", _converter(column)) for column in FILES[file].columns
    )


def _converter(column: Column) -> Callable[[Any], Any]:
    if column.type == "TIMESTAMP":
        return read_time
    convert = converter(column)
    if column.type != "INTEGER":
        return convert

    def convert_count(value: Any) -> int:
        count: int = convert(value)
        if count < 0:
            raise MisfitError(value, "a whole number of at least 0")
        return count

    return convert_count
