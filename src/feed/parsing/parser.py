"""Parse one response into rows and rejections. Invalid input never raises an exception."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from feed.model import Feed
from feed.parsing.outcome import (
    IMPLAUSIBLE,
    MAX_TEXT,
    FaultError,
    Outcome,
    Rejection,
    format_json,
    truncate_text,
)
from feed.parsing.response import (
    Decode,
    decode_json_utf8,
    describe_records_path,
    make_response_fault,
    read_response,
)
from feed.parsing.row_reader import RowReader, make_row_reader
from feed.paths import find_values, format_path
from feed.quality.drift import find_schema_drift
from feed.values.conversion import make_converter
from feed.values.description import describe_value
from feed.values.errors import ConversionError

# The most rejections of one response.
MAX_REJECTED = 10_000
# The most duplicate keys that are listed one by one; the others are summarized in one rejection.
MAX_DUPLICATES = 20
# What happened to a record with an invalid value, by reason; for messages.
_KEPT_AS = {IMPLAUSIBLE: "kept as it is", "swapped_coordinates": "kept with its coordinates exchanged"}


def parse_response(
    feed: Feed,
    body: bytes,
    collected_at: datetime,
    *,
    charset: str = "",
    decode: Decode = decode_json_utf8,
) -> Outcome:
    """Return rows of native values (collected_at, then the feed's columns), rejections and schema drift.

    `charset` is that of the Content-Type, `decode` a JSON decoder that raises ValueError. Raises ValueError only if
    collected_at has no time zone.
    """
    tick = _to_utc(collected_at)
    try:
        response = read_response(feed, body, decode, charset)
        records, reader = response.records, make_row_reader(feed)
        lost_pages = tuple(_make_page_rejection(feed, fault) for fault in response.lost_pages)
        rows = reader.read_all(records, tick)
        if rows is not None:
            drifts = (*response.drifts, *find_schema_drift(feed, records))
            return Outcome(
                feed.name, tick, len(records), rows, lost_pages, drifts, response.unmatched, response.unused
            )
        read = _RecordParser(feed, reader, tick)
        for index, record in enumerate(records):
            read.add(index, record)
    except FaultError as fault:
        return _make_unusable_outcome(feed, tick, fault)
    drifts = (*response.drifts, *find_schema_drift(feed, records, read.mismatched))
    rejections = (*lost_pages, *read.list_rejections())
    return Outcome(
        feed.name, tick, len(records), read.rows, rejections, drifts, response.unmatched, response.unused
    )


def make_unreadable_outcome(feed: Feed, collected_at: datetime, error: Exception) -> Outcome:
    """Return the outcome of stored bytes that cannot be decompressed."""
    fault = make_response_fault("unreadable", "", str(error), "a gzip file or plain JSON")
    return _make_unusable_outcome(feed, _to_utc(collected_at), fault)


def extract_report_times(feed: Feed, body: bytes) -> tuple[datetime, ...]:
    """Return the sorted times in a response that show when it was created; () if it cannot be read.

    They are in the columns of [legacy] `times`, or else in the one mapped to last_reported.
    """
    names = feed.legacy.times if feed.legacy else ()
    if not names and feed.common.last_reported:
        names = (feed.common.last_reported,)
    try:
        records = read_response(feed, body, decode_json_utf8).records
    except FaultError:
        return ()
    times: set[datetime] = set()
    for column in (feed.column(name) for name in names):
        convert = make_converter(column)
        for value in (value for record in records for value in find_values(record, column.path)):
            with suppress(ConversionError):
                times.add(convert(value))
    return tuple(sorted(times))


@dataclass
class _RecordParser:
    """Parses one response, record by record."""

    feed: Feed
    reader: RowReader
    tick: datetime
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    mismatched: set[str] = field(default_factory=set)  # columns with a type mismatch
    _first_of: dict[Any, int] = field(default_factory=dict)  # key → record
    _rejected: int = 0  # rejected records; `_values` and `_duplicates` count rejections
    _duplicates: int = 0
    _values: int = 0
    _more_values: int = 0

    def add(self, index: int, record: Any) -> None:
        """Convert a record to a row, or reject it. Raises FaultError if that makes the whole response unusable."""
        try:
            row, faults = self.reader.read_row(record, self.tick)
            self._check_unique(row, index)
        except FaultError as error:
            if error.scope == "response":
                error.found = f"{error.found} in record {index}"
                raise
            self._note_mismatch(error)
            self._reject(index, record, error)
            return
        self.rows.append(row)
        for fault in faults:
            self._note_mismatch(fault)
            if self._values < MAX_REJECTED:
                self._values += 1
                self.rejections.append(_make_rejection(self.feed, index, None, fault))
            else:
                self._more_values += fault.occurrences

    def list_rejections(self) -> tuple[Rejection, ...]:
        """Return the rejections of values and records, and a summary of those over the limits."""
        rest = []
        if (duplicates := self._duplicates - MAX_DUPLICATES) > 0:
            found = f"{duplicates} more records with a duplicate key"
            fault = FaultError("duplicate_key", self.reader.key or "", found, "each key once")
            fault.occurrences = duplicates
            rest.append(_make_rejection(self.feed, None, None, fault))
        if self._more_values:
            found = f"{self._more_values} more rejected or implausible values"
            expected = f"at most {MAX_REJECTED} in a response"
            fault = FaultError("too_many", "", found, expected, "value", None, self._more_values)
            rest.append(_make_rejection(self.feed, None, None, fault))
        return (*self.rejections, *rest)

    def _check_unique(self, row: dict[str, Any], index: int) -> None:
        key = self.reader.key
        if key is None:
            return
        first = self._first_of.setdefault(row[key], index)
        if first != index:
            found = describe_value(row[key])
            raise FaultError("duplicate_key", key, found, f"a unique key; record {first} has the same")

    def _note_mismatch(self, fault: FaultError) -> None:
        if fault.reason == "bad_value":
            self.mismatched.add(fault.field)

    def _reject(self, index: int, record: Any, fault: FaultError) -> None:
        if fault.reason == "duplicate_key":
            self._duplicates += 1
            if self._duplicates > MAX_DUPLICATES:
                return
        if self._rejected == MAX_REJECTED:
            found = f"more than {MAX_REJECTED} rejected records"
            raise make_response_fault(
                "too_many", describe_records_path(self.feed), found, "records as in the sample"
            )
        self._rejected += 1
        self.rejections.append(_make_rejection(self.feed, index, record, fault))


def _make_unusable_outcome(feed: Feed, tick: datetime, fault: FaultError) -> Outcome:
    return Outcome(feed.name, tick, 0, [], (_make_whole_rejection(feed, fault, "response"),), ())


def _make_page_rejection(feed: Feed, fault: FaultError) -> Rejection:
    """Return the rejection of a page; how many records it would have had is not known."""
    return _make_whole_rejection(feed, fault, "page")


def _make_whole_rejection(feed: Feed, fault: FaultError, scope: str) -> Rejection:
    reason, expected = fault.reason, fault.expected
    field_path, found = truncate_text(fault.field), truncate_text(fault.found)
    where = f", {field_path}" if field_path else ""
    message = f"{feed.name}: unusable {scope} ({reason}){where}: found {found}; expected {expected}"
    return Rejection(reason, None, field_path, found, expected, truncate_text(message), scope=scope)


def _make_rejection(feed: Feed, index: int | None, record: Any, fault: FaultError) -> Rejection:
    """Return the rejection of a record (`index`), of one of its values, or of several (`index` None)."""
    column, found = truncate_text(fault.field), truncate_text(fault.found)
    field_path = next((format_path(each.path) for each in feed.columns if each.name == column), column)
    where = column if field_path == column else f"{column} (path {field_path})"
    is_value = fault.scope == "value"
    subject = "records" if index is None else f"record {index}"
    result = _KEPT_AS.get(fault.reason, "kept without a value") if is_value else "rejected"
    message = (
        f"{feed.name}: {subject} {result} ({fault.reason}){', ' if where else ''}{where}: "
        f"found {found}; expected {fault.expected}"
    )
    has_text = index is not None
    return Rejection(
        reason=fault.reason,
        index=index,
        field=column,
        found=found,
        expected=fault.expected,
        message=truncate_text(message),
        record=format_json(record) if has_text and not is_value else None,
        scope=fault.scope,
        value=format_json(fault.value, MAX_TEXT) if has_text and is_value else None,
        occurrences=fault.occurrences,
    )


def _to_utc(collected_at: datetime) -> datetime:
    if collected_at.tzinfo is None:
        raise ValueError(f"collected_at {collected_at} has no time zone; expected UTC")
    return collected_at.astimezone(UTC)
