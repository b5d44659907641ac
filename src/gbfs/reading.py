"""From one file of GBFS to rows in the terms of version 3, and to a reason for whatever does not fit.

Never raises on bad input.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from feed import Column, MisfitError, Rejection, converter
from feed.conversion import describe
from gbfs.documents import Document, decode, read_time
from gbfs.errors import GbfsError
from gbfs.model import FILES, FileModel
from gbfs.versions import UPGRADES, newest_name

MAX_TEXT = 1_000
MAX_RECORD = 16_000
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
        whole = _rejection(system, model.name, None, reason=error.reason, field="", message=error.message)
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


def load_rows(reading: Reading) -> list[dict[str, Any]]:
    """Return the rows as JSON has them: times as RFC 3339 texts."""
    return [{name: _json_ready(value) for name, value in row.items()} for row in reading.rows]


def _json_ready(value: Any) -> Any:
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


class _UnfitRecordError(ValueError):
    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(reason, field, message)
        self.reason, self.field, self.message = reason, field, message


class _Reader:
    """Collects the rows of one file."""

    def __init__(self, system: str, model: FileModel, document: Document, language: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self.rejections: list[Rejection] = []
        self.issues: list[Rejection] = []
        self._system, self._model, self._language = system, model, language
        self._upgrade = UPGRADES[document.version]
        is_3 = document.version.startswith("3")
        self._required = model.required | (model.required_since_3 if is_3 else frozenset())
        self._converters = _converters(model.name)
        self._first_of: dict[str, int] = {}

    def read(self, index: int, record: Any) -> None:
        found: list[tuple[str, str, str]] = []
        try:
            row = self._row(record, found)
            self._refuse_duplicate(row[self._model.key], index)
        except _UnfitRecordError as unfit:
            self.rejections.append(self._rejected(index, unfit.reason, unfit.field, unfit.message, record))
            return
        self.rows.append(row)
        self.issues += [self._rejected(index, *issue, record) for issue in found]

    def _row(self, record: Any, issues: list[tuple[str, str, str]]) -> dict[str, Any]:
        if type(record) is not dict:
            raise _UnfitRecordError("not_an_object", "", f"found {describe(record)}; expected an object")
        newer = self._upgrade(self._model.name, record, self._language)
        row: dict[str, Any] = {}
        for name, is_repeated, convert in self._converters:
            value = newer.get(name)
            row[name] = [] if is_repeated else None
            if value is None or (value == "" and name in self._model.needed):
                if name in self._model.needed:
                    raise _UnfitRecordError(
                        "missing_field", name, f"found {describe(value)}; expected a value"
                    )
                if name in self._required and name not in newer:
                    issues.append(("missing_field", name, "found nothing; the standard requires this field"))
                continue
            try:
                row[name] = convert(value)
            except MisfitError as misfit:
                told = f"found {describe(misfit.value)}; expected {misfit.expected}"
                if name in self._model.needed:
                    raise _UnfitRecordError("bad_value", name + misfit.path, told) from None
                issues.append(("bad_value", name + misfit.path, told))
        _clear_impossible_place(row, issues)
        return row

    def _refuse_duplicate(self, key: str, index: int) -> None:
        first = self._first_of.setdefault(key, index)
        if first != index:
            message = f"found {describe(key)}; record {first} has the same"
            raise _UnfitRecordError("duplicate_key", self._model.key, message)

    def _rejected(self, index: int, reason: str, field: str, message: str, record: Any) -> Rejection:
        return _rejection(
            self._system,
            self._model.name,
            index,
            reason=reason,
            field=field,
            message=message,
            record=record,
        )


def _rejection(
    system: str, file: str, index: int | None, *, reason: str, field: str, message: str, record: Any = None
) -> Rejection:
    found, _, expected = message.removeprefix("found ").partition("; expected ")
    where = file if index is None else f"{file}, record {index}"
    return Rejection(
        reason=reason,
        index=index,
        field=field,
        found=_clipped(found, MAX_TEXT),
        expected=expected,
        message=_clipped(f"{system}: {where} ({reason}){', ' if field else ''}{field}: {message}", MAX_TEXT),
        record=None if index is None else _clipped(json.dumps(record, ensure_ascii=False), MAX_RECORD),
    )


def _clear_impossible_place(row: dict[str, Any], issues: list[tuple[str, str, str]]) -> None:
    """Set a place to null that is outside of the globe, or at 0, 0 in the sea: placeholders, both."""
    if (latitude := row.get("lat")) is None or (longitude := row.get("lon")) is None:
        return
    for name, limit in _COORDINATES:
        if abs(row[name]) > limit:
            told = f"found {row[name]}; expected degrees within -{limit} and {limit}"
            issues.append(("out_of_range", name, told))
            row["lat"] = row["lon"] = None
            return
    if latitude == longitude == 0:
        issues.append(("out_of_range", "lat", "found 0, 0; expected the place of the station"))
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


def _clipped(text: str, limit: int) -> str:
    """Return at most `limit` characters that UTF-8 can hold."""
    safe = text[:limit].encode("utf-8", "backslashreplace").decode()
    return safe if len(text) <= limit else safe[: limit - 1] + "…"
