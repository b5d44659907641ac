"""The outcome of one response: its rows, and a reason for each rejected record or value."""

import json
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from feed.model import COLLECTED_AT, Feed
from feed.quality.drift import SchemaDrift
from feed.values.description import describe_value

# Limits of texts, so that BigQuery and Cloud Logging accept the rows and log lines of a hostile response.
MAX_TEXT = 1_000
MAX_RECORD = 16_000
# The reason of a value that is loaded unchanged and flagged.
IMPLAUSIBLE = "implausible"
# Types whose native values may need another form in JSON. JSON readers keep integers exact up to 2^53; beyond,
# BigQuery expects text.
_NEEDS_JSON_FORM = frozenset({"INTEGER", "TIMESTAMP", "DATETIME", "DATE", "TIME", "RECORD"})
_EXACT_NUMBER = 2**53


@dataclass(frozen=True)
class Rejection:
    """Why a value, a record, a page or the whole response (`scope`) was rejected, or flagged as implausible.

    `index` is the record's, from 0; None for the whole response and for a rejection that summarizes several records.
    """

    reason: str
    index: int | None
    field: str
    found: str
    expected: str
    message: str
    record: str | None = None  # as JSON, of a rejected record
    scope: str = "response"  # response, page, record, or value: then the row is loaded without the value
    value: str | None = None  # as JSON, of a rejected value
    occurrences: int = 1  # how many values or records it summarizes


@dataclass(frozen=True)
class Outcome:
    """The outcome of one response: records == len(rows) + rejected_records."""

    feed: str
    collected_at: datetime
    records: int
    rows: list[dict[str, Any]]
    rejections: tuple[Rejection, ...]
    drifts: tuple[SchemaDrift, ...]
    unmatched: int = 0  # records without a counterpart in the joined document
    unused: int = 0  # records of the joined document without a counterpart

    @property
    def is_usable(self) -> bool:
        """Whether records could be read from the response."""
        return not any(rejection.scope == "response" for rejection in self.rejections)

    @property
    def is_empty(self) -> bool:
        """Whether the API has nothing to list: a valid response without records, of a feed with `empty = "ok"`."""
        return not self.records and not self.rejections

    @property
    def rejected_records(self) -> int:
        """The number of records that did not become rows."""
        return sum(each.occurrences for each in self.rejections if each.scope == "record")

    @property
    def rejected_values(self) -> int:
        """The number of values that did not fit their column; their rows are loaded without them."""
        return self._values(is_implausible=False)

    @property
    def implausible_values(self) -> int:
        """The number of values that violate a rule of the feed; they are loaded."""
        return self._values(is_implausible=True)

    def _values(self, *, is_implausible: bool) -> int:
        values = (each for each in self.rejections if each.scope == "value")
        return sum(each.occurrences for each in values if (each.reason == IMPLAUSIBLE) is is_implausible)


class FaultError(ValueError):
    """A value, a record or the whole response (`scope`) is unusable."""

    def __init__(  # noqa: PLR0917 - pickle restores an exception from its positional arguments
        self,
        reason: str,
        field: str,
        found: str,
        expected: str,
        scope: str = "record",
        value: Any = None,
        occurrences: int = 1,
    ) -> None:
        super().__init__(reason, field, found, expected, scope, value, occurrences)
        self.reason, self.field, self.found, self.expected = reason, field, found, expected
        self.scope, self.value, self.occurrences = scope, value, occurrences


def convert_rows_to_json(feed: Feed, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rows with JSON values, for a BigQuery load job of newline-delimited JSON."""
    names = [column.name for column in (COLLECTED_AT, *feed.columns) if column.type in _NEEDS_JSON_FORM]
    return [row | {name: _to_json_value(row[name]) for name in names} for row in outcome.rows]


def make_rejection_rows(outcome: Outcome, object_name: str) -> list[dict[str, Any]]:
    """Return the rejections as rows of the quarantine table, with JSON values."""
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
            "scope": rejection.scope,
            "value": rejection.value,
            "occurrences": rejection.occurrences,
        }
        for rejection in outcome.rejections
    ]


def make_empty_response_rows(outcome: Outcome, object_name: str) -> list[dict[str, Any]]:
    """Return the row of the table empty_responses with JSON values; no row for any other response."""
    row = {
        "collected_at": outcome.collected_at.isoformat(),
        "feed": outcome.feed,
        "object": object_name,
    }
    return [row] if outcome.is_empty else []


def truncate_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return at most `limit` characters that UTF-8 can encode (a lone surrogate becomes its JSON escape)."""
    safe = text[:limit].encode("utf-8", "backslashreplace").decode()
    return safe if len(safe) <= limit and len(text) <= limit else safe[: limit - 1] + "…"


def format_json(value: Any, limit: int = MAX_RECORD) -> str:
    """Return a value as JSON, truncated to `limit` characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(describe_value(value), ensure_ascii=False)
    return truncate_text(text, limit)


def _to_json_value(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int) and abs(value) > _EXACT_NUMBER:
        return str(value)
    if isinstance(value, list):
        return [_to_json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _to_json_value(item) for key, item in value.items()}
    return value
