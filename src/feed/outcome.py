"""What one response gave: rows, and a reason for each record or value that could not be used."""

import json
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from feed.conversion import describe
from feed.drift import Drift
from feed.model import COLLECTED_AT, Feed

# A hostile response must not make a quarantine row or a log line that BigQuery or Cloud Logging refuses.
MAX_TEXT = 1_000
MAX_RECORD = 16_000
# Its row is kept, with the value as it is.
IMPLAUSIBLE = "implausible"
# Types whose native values may need another form in JSON. Readers of JSON keep whole numbers up to 2^53 exactly;
# beyond, BigQuery asks for text.
_UNLIKE_JSON = frozenset({"INTEGER", "TIMESTAMP", "DATETIME", "DATE", "TIME", "RECORD"})
_EXACT_NUMBER = 2**53


@dataclass(frozen=True)
class Rejection:
    """Why a value, a record, or the whole response cannot be used (`scope`), or is not to be believed.

    `index` is the record's, from 0; None for the whole response, and for what stands for several records.
    """

    reason: str
    index: int | None
    field: str
    found: str
    expected: str
    message: str
    record: str | None = None  # as JSON, of a rejected record
    scope: str = "response"  # or record, or value: then the row is kept without the value
    value: str | None = None  # as JSON, of a rejected value
    occurrences: int = 1  # how many values or records it stands for


@dataclass(frozen=True)
class Outcome:
    """What one response gave: records == len(rows) + rejected_records."""

    feed: str
    collected_at: datetime
    records: int
    rows: list[dict[str, Any]]
    rejections: tuple[Rejection, ...]
    drifts: tuple[Drift, ...]
    unmatched: int = 0  # records that the joined document has nothing of
    unused: int = 0  # records of the joined document that belong to none

    @property
    def is_usable(self) -> bool:
        """Whether records could be read from the response at all."""
        return not any(rejection.scope == "response" for rejection in self.rejections)

    @property
    def rejected_records(self) -> int:
        """Records that are no rows."""
        return sum(each.occurrences for each in self.rejections if each.scope == "record")

    @property
    def rejected_values(self) -> int:
        """Values that did not fit their column; their rows are kept."""
        return self._values(is_implausible=False)

    @property
    def implausible_values(self) -> int:
        """Values that are in their rows and break a rule of the feed."""
        return self._values(is_implausible=True)

    def _values(self, *, is_implausible: bool) -> int:
        values = (each for each in self.rejections if each.scope == "value")
        return sum(each.occurrences for each in values if (each.reason == IMPLAUSIBLE) is is_implausible)


class FaultError(ValueError):
    """Why a value, a record or the whole response (`scope`) cannot be used."""

    def __init__(  # noqa: PLR0917 - an exception is pickled by its positional arguments
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
            "scope": rejection.scope,
            "value": rejection.value,
            "occurrences": rejection.occurrences,
        }
        for rejection in outcome.rejections
    ]


def clipped(text: str, limit: int = MAX_TEXT) -> str:
    """At most `limit` characters that UTF-8 can hold (a lone surrogate becomes its JSON escape)."""
    safe = text[:limit].encode("utf-8", "backslashreplace").decode()
    return safe if len(safe) <= limit and len(text) <= limit else safe[: limit - 1] + "…"


def json_text(value: Any, limit: int = MAX_RECORD) -> str:
    """A value as JSON, cut where it is very long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(describe(value), ensure_ascii=False)
    return clipped(text, limit)


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
