"""One response, read as the collector reads it and as the batch does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from feed import (
    DecompressionError,
    Feed,
    Outcome,
    compress,
    convert_rows_to_json,
    decompress,
    make_rejection_rows,
    make_unreadable_outcome,
    parse_response,
)
from spark.rebuild.planning import ArchiveHour, StoredObject
from spark.responses.decoding import make_decoder
from spark.responses.hours import ArchivedResponse, count_outcome, read_archived_response

TICK = datetime(2023, 10, 26, 20, 58, tzinfo=UTC)
_HOUR = ArchiveHour(date(2023, 10, 26), 20, ())


@dataclass(frozen=True)
class Difference:
    """A response of which the two readings differ."""

    body: bytes
    what: str


def collected(feed: Feed, stored: bytes, charset: str) -> Outcome:
    """As the collector reads what it has landed."""
    try:
        body = decompress(stored)
    except DecompressionError as error:
        return make_unreadable_outcome(feed, TICK, error)
    return parse_response(feed, body, TICK, charset=charset)


def compare(feed: Feed, body: bytes, charset: str) -> Difference | None:
    """None where both readings give the same rows, quarantine and drifts, and reconcile."""
    stored = compress(body)
    streamed = collected(feed, stored, charset)
    archived = ArchivedResponse(StoredObject("object", len(stored), charset=charset), TICK, stored)
    rebuilt = read_archived_response(feed, make_decoder(feed), _HOUR, archived)
    convert_rows_to_json(feed, streamed)
    if streamed.records != len(streamed.rows) + streamed.rejected_records:
        return Difference(body, f"{streamed.records} records, {len(streamed.rows)} rows")
    if isinstance(rebuilt, Outcome):
        return _first_difference(body, feed, streamed, rebuilt)
    if streamed.rejections or streamed.drifts:
        return Difference(body, f"the batch finds nothing wrong, the collector {streamed.rejections[:1]}")
    names = [column.name for column in feed.columns]
    columns: Sequence[Sequence[Any]] = [column.to_pylist() for column in rebuilt]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    expected = [{name: row[name] for name in names} for row in streamed.rows]
    return None if _exact(rows) == _exact(expected) else Difference(body, "other rows")


def _first_difference(body: bytes, feed: Feed, streamed: Outcome, rebuilt: Outcome) -> Difference | None:
    for what, one, other in (
        ("rows", _exact(streamed.rows), _exact(rebuilt.rows)),
        ("quarantine", make_rejection_rows(streamed, "object"), make_rejection_rows(rebuilt, "object")),
        ("drifts", streamed.drifts, rebuilt.drifts),
        ("loaded rows", convert_rows_to_json(feed, streamed), convert_rows_to_json(feed, rebuilt)),
        ("statistics", count_outcome(streamed), count_outcome(rebuilt)),
    ):
        if one != other:
            return Difference(body, f"{what}: the collector {str(one)[:300]}, the batch {str(other)[:300]}")
    return None


def _exact(rows: Sequence[Any]) -> list[Any]:
    """With the sign of a zero, which == does not see."""
    return [
        {name: f"{value!r}" if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]
