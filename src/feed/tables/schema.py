"""Generate schemas from a feed's columns: BigQuery's and Spark's; and the schemas of the tables that feeds share."""

from collections.abc import Iterable
from typing import Any

from feed.model import COLLECTED_AT, Column, Feed

# The type names of Spark's JSON schemas. Spark 3 has no time of day, so TIME is a string.
_SPARK_TYPES = {
    "STRING": "string",
    "INTEGER": "long",
    "FLOAT": "double",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "timestamp",
    "DATETIME": "timestamp_ntz",
    "DATE": "date",
    "TIME": "string",
}
# The tick and the feed of a response, in the tables that feeds share.
_RESPONSE = (
    Column(
        "collected_at",
        "TIMESTAMP",
        description="Minute of the tick (UTC), even if a redelivery requested it later",
    ),
    Column("feed", "STRING", description="Feed of the response"),
)
_QUARANTINE = (
    *_RESPONSE,
    Column("object", "STRING", description="Raw object with the whole response"),
    Column(
        "record_index",
        "INTEGER",
        description="Index of the record in the response, from 0; null: the whole response",
    ),
    Column("reason", "STRING", description="Kind of fault, such as bad_value or duplicate_key"),
    Column("field", "STRING", description="Column, or path in the response, at fault"),
    Column("found", "STRING", description="What was found there"),
    Column("expected", "STRING", description="What is accepted there"),
    Column("message", "STRING", description="The fault in one sentence"),
    Column("record", "STRING", description="The rejected record as JSON, truncated if long"),
    Column(
        "scope",
        "STRING",
        description="What was lost: response, page, record, or value (its row is in the feed's table)",
    ),
    Column("value", "STRING", description="The rejected or implausible value as JSON, truncated if long"),
    Column("occurrences", "INTEGER", description="How many records or values this row stands for"),
)
_EMPTY_RESPONSES = (
    *_RESPONSE,
    Column("object", "STRING", description="Raw object with the response"),
)
_BATCH_RUNS = (
    Column("run_id", "STRING", description="One run of the batch"),
    Column("feed", "STRING", description="Feed whose days were rebuilt"),
    Column("started_at", "TIMESTAMP", description="Start of the run (UTC)"),
    Column("finished_at", "TIMESTAMP", description="End of the run (UTC)"),
    Column("first_day", "DATE", description="First UTC day rebuilt"),
    Column("last_day", "DATE", description="Last UTC day rebuilt"),
    Column("objects_listed", "INTEGER", description="Objects in the archive for those days"),
    Column("objects_read", "INTEGER", description="Objects whose response was read"),
    Column("objects_quarantined", "INTEGER", description="Objects without a usable response"),
    Column("rows_parsed", "INTEGER", description="Records in the responses read"),
    Column("rows_loaded", "INTEGER", description="Rows now in the station table for those days"),
    Column("rows_rejected", "INTEGER", description="Records quarantined"),
    Column("status", "STRING", description="succeeded or failed"),
    Column("message", "STRING", description="Why it failed"),
    Column(
        "values_rejected", "INTEGER", description="Values quarantined; their rows are loaded without them"
    ),
    Column("values_implausible", "INTEGER", description="Values that break a rule; loaded as they are"),
)


def station_schema(feed: Feed) -> list[dict[str, Any]]:
    """Return BigQuery's JSON schema of the feed's table: collected_at, then the feed's columns."""
    return [make_bigquery_field(column) for column in (COLLECTED_AT, *feed.columns)]


def quarantine_schema() -> list[dict[str, Any]]:
    """Return BigQuery's JSON schema of the quarantine, which all feeds share."""
    return [make_bigquery_field(column) for column in _QUARANTINE]


def empty_responses_schema() -> list[dict[str, Any]]:
    """Return BigQuery's JSON schema of empty_responses, which all feeds share."""
    return [make_bigquery_field(column) for column in _EMPTY_RESPONSES]


def batch_runs_schema() -> list[dict[str, Any]]:
    """Return BigQuery's JSON schema of batch_runs, with the statistics of each run."""
    return [make_bigquery_field(column) for column in _BATCH_RUNS]


def make_bigquery_field(column: Column) -> dict[str, Any]:
    """Return the column as a field of BigQuery's JSON schema."""
    field: dict[str, Any] = {"name": column.name, "type": column.type, "mode": column.mode}
    if column.description:
        field["description"] = column.description
    if column.fields:
        field["fields"] = [make_bigquery_field(each) for each in column.fields]
    return field


def spark_schema(feed: Feed) -> dict[str, Any]:
    """Return the table's pyspark StructType as JSON, for StructType.fromJson; TIME columns are strings."""
    return _make_struct((COLLECTED_AT, *feed.columns))


def _make_struct(columns: Iterable[Column]) -> dict[str, Any]:
    return {"type": "struct", "fields": [_make_spark_field(column) for column in columns]}


def _make_spark_field(column: Column) -> dict[str, Any]:
    kind: Any = _make_struct(column.fields) if column.type == "RECORD" else _SPARK_TYPES[column.type]
    if column.mode == "REPEATED":
        kind = {"type": "array", "elementType": kind, "containsNull": False}
    metadata = {"comment": column.description} if column.description else {}
    return {"name": column.name, "type": kind, "nullable": True, "metadata": metadata}
