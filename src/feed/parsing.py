"""From one response to rows, and to a reason for whatever could not become one. Never raises on bad input."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from feed.conversion import MisfitError, converter, describe
from feed.drift import find_drifts
from feed.model import Feed
from feed.outcome import IMPLAUSIBLE, MAX_TEXT, FaultError, Outcome, Rejection, clipped, json_text
from feed.paths import path_text, values_at
from feed.reading import Reader, reader_of
from feed.response import Decode, decode_plain, place_of_records, read_response, unusable

# Rows of the quarantine from one response.
MAX_REJECTED = 10_000
# Records of one response that only repeat a key, one by one; the others are one row of the quarantine.
MAX_DUPLICATES = 20
# What became of a record of which a value is not as it should be, by reason.
_BECAME = {IMPLAUSIBLE: "kept as it is", "swapped_coordinates": "kept with its coordinates exchanged"}


def parse(
    feed: Feed,
    body: bytes,
    collected_at: datetime,
    *,
    charset: str = "",
    decode: Decode = decode_plain,
) -> Outcome:
    """Rows of native values (collected_at, then the feed's columns), rejections and drifts of one response.

    `charset` is the Content-Type's, `decode` any JSON decoder that raises ValueError. ValueError only where
    collected_at has no zone.
    """
    tick = _utc(collected_at)
    try:
        response = read_response(feed, body, decode, charset)
        records, reader = response.records, reader_of(feed)
        rows = reader.all_rows(records, tick)
        if rows is not None:
            drifts = (*response.drifts, *find_drifts(feed, records))
            return Outcome(
                feed.name, tick, len(records), rows, (), drifts, response.unmatched, response.unused
            )
        read = _Reading(feed, reader, tick)
        for index, record in enumerate(records):
            read.add(index, record)
    except FaultError as fault:
        return _unusable(feed, tick, fault)
    drifts = (*response.drifts, *find_drifts(feed, records, read.mismatched))
    rejections = read.all_rejections()
    return Outcome(
        feed.name, tick, len(records), read.rows, rejections, drifts, response.unmatched, response.unused
    )


def unreadable(feed: Feed, collected_at: datetime, error: Exception) -> Outcome:
    """The outcome for stored bytes that could not even be unpacked."""
    fault = unusable("unreadable", "", str(error), "a gzip file or plain JSON")
    return _unusable(feed, _utc(collected_at), fault)


def answer_times(feed: Feed, body: bytes) -> tuple[datetime, ...]:
    """The times inside a response that tell when it was made, sorted; none where it cannot be read.

    They are in the columns of [legacy] `times`, else the one mapped to last_reported.
    """
    names = feed.legacy.times if feed.legacy else ()
    if not names and feed.common.last_reported:
        names = (feed.common.last_reported,)
    try:
        records = read_response(feed, body, decode_plain).records
    except FaultError:
        return ()
    times: set[datetime] = set()
    for column in (feed.column(name) for name in names):
        convert = converter(column)
        for value in (value for record in records for value in values_at(record, column.path)):
            with suppress(MisfitError):
                times.add(convert(value))
    return tuple(sorted(times))


@dataclass
class _Reading:
    """One response, record by record."""

    feed: Feed
    reader: Reader
    tick: datetime
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    mismatched: set[str] = field(default_factory=set)  # columns of which a value did not fit
    _first_of: dict[Any, int] = field(default_factory=dict)  # key → record
    _rejected: int = 0  # records, as `_values` and `_duplicates` are counts of rejections
    _duplicates: int = 0
    _values: int = 0
    _more_values: int = 0

    def add(self, index: int, record: Any) -> None:
        """Make a row of a record, or reject it; FaultError where the whole response is at fault."""
        try:
            row, faults = self.reader.row(record, self.tick)
            self._check_unique(row, index)
        except FaultError as fatal:
            if fatal.scope == "response":
                fatal.found = f"{fatal.found} in record {index}"
                raise
            self._note(fatal)
            self._reject(index, record, fatal)
            return
        self.rows.append(row)
        for fault in faults:
            self._note(fault)
            if self._values < MAX_REJECTED:
                self._values += 1
                self.rejections.append(_rejection(self.feed, index, None, fault))
            else:
                self._more_values += fault.occurrences

    def all_rejections(self) -> tuple[Rejection, ...]:
        """Those of single values and records, and what stands for the rest."""
        rest = []
        if (duplicates := self._duplicates - MAX_DUPLICATES) > 0:
            found = f"{duplicates} more records that repeat a key"
            fault = FaultError("duplicate_key", self.reader.key or "", found, "each key once")
            fault.occurrences = duplicates
            rest.append(_rejection(self.feed, None, None, fault))
        if self._more_values:
            found = f"{self._more_values} more values that do not fit or are not plausible"
            expected = f"at most {MAX_REJECTED} in a response"
            fault = FaultError("too_many", "", found, expected, "value", None, self._more_values)
            rest.append(_rejection(self.feed, None, None, fault))
        return (*self.rejections, *rest)

    def _check_unique(self, row: dict[str, Any], index: int) -> None:
        key = self.reader.key
        if key is None:
            return
        first = self._first_of.setdefault(row[key], index)
        if first != index:
            found = describe(row[key])
            raise FaultError("duplicate_key", key, found, f"a key that record {first} does not have")

    def _note(self, fault: FaultError) -> None:
        if fault.reason == "bad_value":
            self.mismatched.add(fault.field)

    def _reject(self, index: int, record: Any, fault: FaultError) -> None:
        if fault.reason == "duplicate_key":
            self._duplicates += 1
            if self._duplicates > MAX_DUPLICATES:
                return
        if self._rejected == MAX_REJECTED:
            found = f"more than {MAX_REJECTED} records that cannot be used"
            raise unusable("too_many", place_of_records(self.feed), found, "records as in the sample")
        self._rejected += 1
        self.rejections.append(_rejection(self.feed, index, record, fault))


def _unusable(feed: Feed, tick: datetime, fault: FaultError) -> Outcome:
    reason, expected = fault.reason, fault.expected
    place, found = clipped(fault.field), clipped(fault.found)
    where = f", {place}" if place else ""
    message = f"{feed.name}: answer not usable ({reason}){where}: found {found}; expected {expected}"
    rejection = Rejection(reason, None, place, found, expected, clipped(message))
    return Outcome(feed.name, tick, 0, [], (rejection,), ())


def _rejection(feed: Feed, index: int | None, record: Any, fault: FaultError) -> Rejection:
    """`record` is for a rejected one; a value's rejection has the value."""
    column, found = clipped(fault.field), clipped(fault.found)
    place = next((path_text(each.path) for each in feed.columns if each.name == column), column)
    where = column if place == column else f"{column} (in the answer {place})"
    is_value = fault.scope == "value"
    subject = "records" if index is None else f"record {index}"
    became = _BECAME.get(fault.reason, "kept without a value") if is_value else "rejected"
    message = (
        f"{feed.name}: {subject} {became} ({fault.reason}){', ' if where else ''}{where}: "
        f"found {found}; expected {fault.expected}"
    )
    has_text = index is not None
    return Rejection(
        reason=fault.reason,
        index=index,
        field=column,
        found=found,
        expected=fault.expected,
        message=clipped(message),
        record=json_text(record) if has_text and not is_value else None,
        scope=fault.scope,
        value=json_text(fault.value, MAX_TEXT) if has_text and is_value else None,
        occurrences=fault.occurrences,
    )


def _utc(collected_at: datetime) -> datetime:
    if collected_at.tzinfo is None:
        raise ValueError(f"collected_at {collected_at} has no zone: expected UTC")
    return collected_at.astimezone(UTC)
