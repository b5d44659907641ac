"""Convert the records of one GBFS file to rows in the terms of version 3, and report what cannot be converted.

Invalid input is reported, never raised.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from feed import Column, ConversionError, Rejection, make_converter
from feed.parsing.outcome import format_json, truncate_text
from feed.values.description import describe_value
from gbfs.errors import GbfsError
from gbfs.files.decoding import Document, decode_file, read_time
from gbfs.files.model import FILES, FileModel
from gbfs.files.versions import UPGRADES, current_file_name

_ANY_LANGUAGE = "und"  # BCP 47: undetermined
_COORDINATES = (("lat", 90), ("lon", 180))
_TIME_TYPES = frozenset({"TIMESTAMP", "DATE"})


@dataclass(frozen=True)
class Reading:
    """The rows of one file: records == len(rows) + len(rejections) unless the whole file was rejected.

    `rejections` are the rejected records, or the rejected file (index None); `rejected_values` are values that became
    null in a row. Both are for the quarantine table.
    """

    file: str  # as in version 3
    version: str | None
    last_updated: datetime | None
    ttl_seconds: int
    records: int
    rows: list[dict[str, Any]]
    rejections: tuple[Rejection, ...]
    rejected_values: tuple[Rejection, ...]


def read_file(system: str, file: str, body: bytes, language: str = _ANY_LANGUAGE) -> Reading:
    """Read one file, such as station_status; its rows have native Python values.

    `system` is used in messages; `language` is that of texts in versions that do not state it. Raises KeyError for a
    file that is not in FILES.
    """
    model = FILES[current_file_name(file)]
    try:
        document = decode_file(body)
        records = _get_records(model, document)
    except GbfsError as error:
        found, _, expected = error.message.removeprefix("found ").partition("; expected ")
        fault = _Fault(error.reason, "", found, expected)
        whole = _make_rejection(f"{system}: {model.name}", None, fault, "response")
        return Reading(model.name, None, None, 0, 0, [], (whole,), ())
    reader = _RecordReader(system, model, document, language or _ANY_LANGUAGE)
    for index, record in enumerate(records):
        reader.read_record(index, record)
    return Reading(
        file=model.name,
        version=document.version,
        last_updated=document.last_updated,
        ttl_seconds=document.ttl_seconds,
        records=len(records),
        rows=reader.rows,
        rejections=tuple(reader.rejections),
        rejected_values=tuple(reader.rejected_values),
    )


def check_file(file: str, body: bytes) -> Document:
    """Return the document if `read_file` would accept the file as a whole. Raises GbfsError."""
    document = decode_file(body)
    _get_records(FILES[current_file_name(file)], document)
    return document


def format_json_rows(reading: Reading) -> list[dict[str, Any]]:
    """Return the rows with values that JSON can represent: times as RFC 3339."""
    times = _get_time_columns(reading.file)
    return [row | {name: to_json_value(row[name]) for name in times} for row in reading.rows]


def to_json_value(value: Any) -> Any:
    """Return a native value as JSON represents it: a time as RFC 3339."""
    return value.isoformat() if isinstance(value, datetime | date) else value


def _get_records(model: FileModel, document: Document) -> list[Any]:
    if model.records is None:
        return [document.data]
    older = {"vehicles": "bikes"}.get(model.records)
    records = document.data.get(model.records, document.data.get(older) if older else None)
    if not isinstance(records, list):
        where = f"data.{model.records}"
        raise GbfsError("no_records", f"{where}: found {describe_value(records)}; expected an array")
    return records


@dataclass(frozen=True)
class _Fault:
    """Why a value is null, or why its record is rejected."""

    reason: str
    field: str
    found: str
    expected: str
    value: Any = None


class _RejectedRecordError(ValueError):
    def __init__(self, fault: _Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class _RecordReader:
    """Converts the records of one file, one by one."""

    def __init__(self, system: str, model: FileModel, document: Document, language: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self.rejections: list[Rejection] = []
        self.rejected_values: list[Rejection] = []
        self._where, self._model, self._language = f"{system}: {model.name}", model, language
        self._upgrade = UPGRADES[document.version]
        is_3 = document.version.startswith("3")
        self._expected_fields = model.required_by_standard | (
            model.required_by_version_3 if is_3 else frozenset()
        )
        self._get_converters = _get_converters(model.name)
        self._first_of: dict[str, int] = {}

    def read_record(self, index: int, record: Any) -> None:
        found: list[_Fault] = []
        try:
            row = self._convert_record(record, found)
            self._reject_duplicate(row[self._model.key], index)
        except _RejectedRecordError as rejected:
            rejection = _make_rejection(self._where, index, rejected.fault, "record")
            self.rejections.append(replace(rejection, record=format_json(record)))
            return
        self.rows.append(row)
        self.rejected_values += [
            replace(_make_rejection(self._where, index, fault, "value"), value=format_json(fault.value))
            for fault in found
        ]

    def _convert_record(self, record: Any, faults: list[_Fault]) -> dict[str, Any]:
        if type(record) is not dict:
            raise _RejectedRecordError(_Fault("not_an_object", "", describe_value(record), "an object"))
        newer = self._upgrade(self._model.name, record, self._language)
        row: dict[str, Any] = {}
        for name, is_repeated, convert in self._get_converters:
            value = newer.get(name)
            row[name] = [] if is_repeated else None
            is_required = name in self._model.required_for_row
            if value is None or (value == "" and is_required):
                if is_required:
                    raise _RejectedRecordError(
                        _Fault("missing_field", name, describe_value(value), "a value")
                    )
                if name in self._expected_fields and name not in newer:
                    faults.append(
                        _Fault("missing_field", name, "nothing", "this field, which the standard requires")
                    )
                continue
            try:
                row[name] = convert(value)
            except ConversionError as conversion_error:
                found = describe_value(conversion_error.value)
                fault = _Fault(
                    "bad_value", name + conversion_error.path, found, conversion_error.expected, value
                )
                if is_required:
                    raise _RejectedRecordError(fault) from None
                faults.append(fault)
        _clear_invalid_coordinates(row, faults)
        return row

    def _reject_duplicate(self, key: str, index: int) -> None:
        first = self._first_of.setdefault(key, index)
        if first != index:
            expected = f"an identifier other than that of record {first}"
            raise _RejectedRecordError(
                _Fault("duplicate_key", self._model.key, describe_value(key), expected)
            )


def _make_rejection(where: str, index: int | None, fault: _Fault, scope: str) -> Rejection:
    record = "" if index is None else f", record {index}"
    field = f", {fault.field}" if fault.field else ""
    message = f"{where}{record} ({fault.reason}){field}: found {fault.found}; expected {fault.expected}"
    return Rejection(
        reason=fault.reason,
        index=index,
        field=fault.field,
        found=truncate_text(fault.found),
        expected=fault.expected,
        message=truncate_text(message),
        scope=scope,
    )


def _clear_invalid_coordinates(row: dict[str, Any], faults: list[_Fault]) -> None:
    """Set coordinates to null that are out of range or 0, 0, a placeholder."""
    if (latitude := row.get("lat")) is None or (longitude := row.get("lon")) is None:
        return
    for name, limit in _COORDINATES:
        if abs(row[name]) > limit:
            expected = f"degrees within -{limit} and {limit}"
            faults.append(_Fault("out_of_range", name, str(row[name]), expected, row[name]))
            row["lat"] = row["lon"] = None
            return
    if latitude == longitude == 0:
        faults.append(_Fault("out_of_range", "lat", "0, 0", "the coordinates of the station", 0))
        row["lat"] = row["lon"] = None


@lru_cache(maxsize=len(FILES))
def _get_time_columns(file: str) -> tuple[str, ...]:
    return tuple(column.name for column in FILES[file].columns if column.type in _TIME_TYPES)


@lru_cache(maxsize=len(FILES))
def _get_converters(file: str) -> tuple[tuple[str, bool, Callable[[Any], Any]], ...]:
    return tuple(
        (column.name, column.mode == "REPEATED", _make_converter(column)) for column in FILES[file].columns
    )


def _make_converter(column: Column) -> Callable[[Any], Any]:
    if column.type == "TIMESTAMP":
        return read_time
    convert = make_converter(column)
    if column.type != "INTEGER":
        return convert

    def convert_count(value: Any) -> int:
        count: int = convert(value)
        if count < 0:
            raise ConversionError(value, "a whole number of at least 0")
        return count

    return convert_count
