"""One model, every schema: BigQuery's, Spark's, the quarantine's, the view's, and the dictionary."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from feed.model import COLLECTED_AT, Column, Common, Condition, Feed
from feed.paths import format_path

# Spark's own JSON names; Spark 3 has no time of day, which stays text.
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
# The availability view: GBFS name → type in BigQuery's SQL.
_AVAILABILITY = {
    "station_id": "STRING",
    "name": "STRING",
    "area": "STRING",
    "latitude": "FLOAT64",
    "longitude": "FLOAT64",
    "num_bikes_available": "INT64",
    "num_docks_available": "INT64",
    "is_operational": "BOOL",
    "last_reported": "TIMESTAMP",
}

_QUARANTINE = (
    Column(
        "collected_at", "TIMESTAMP", description="Minute of the tick (UTC); a redelivery may have asked later"
    ),
    Column("feed", "STRING", description="Feed whose answer it is"),
    Column("object", "STRING", description="Stored object that holds the whole answer"),
    Column(
        "record_index",
        "INTEGER",
        description="Place of the record in the answer, from 0; null: the whole answer",
    ),
    Column("reason", "STRING", description="Kind of fault, such as bad_value or duplicate_key"),
    Column("field", "STRING", description="Column or place in the answer at fault"),
    Column("found", "STRING", description="What was found there"),
    Column("expected", "STRING", description="What is accepted there"),
    Column("message", "STRING", description="All of it in one sentence"),
    Column("record", "STRING", description="The rejected record as JSON, cut where it is very long"),
    Column(
        "scope",
        "STRING",
        description="What was lost: response, record, or value (its row is in the feed's table)",
    ),
    Column(
        "value", "STRING", description="The rejected or implausible value as JSON, cut where it is very long"
    ),
    Column("occurrences", "INTEGER", description="How many records or values this row stands for"),
)
_BATCH_RUNS = (
    Column("run_id", "STRING", description="One run of the batch"),
    Column("feed", "STRING", description="Feed whose days were rebuilt"),
    Column("started_at", "TIMESTAMP", description="Start of the run (UTC)"),
    Column("finished_at", "TIMESTAMP", description="End of the run (UTC)"),
    Column("first_day", "DATE", description="First UTC day rebuilt"),
    Column("last_day", "DATE", description="Last UTC day rebuilt"),
    Column("objects_listed", "INTEGER", description="Objects in the archive for those days"),
    Column("objects_read", "INTEGER", description="Objects whose answer was read"),
    Column("objects_quarantined", "INTEGER", description="Objects with no usable answer"),
    Column("rows_parsed", "INTEGER", description="Records in the answers read"),
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
    """BigQuery's JSON schema of the feed's table: collected_at, then the feed's columns."""
    return [make_bigquery_field(column) for column in (COLLECTED_AT, *feed.columns)]


def quarantine_schema() -> list[dict[str, Any]]:
    """BigQuery's JSON schema of what could not be used, of every feed."""
    return [make_bigquery_field(column) for column in _QUARANTINE]


def batch_runs_schema() -> list[dict[str, Any]]:
    """BigQuery's JSON schema of the batch's accounts, one row a run."""
    return [make_bigquery_field(column) for column in _BATCH_RUNS]


def make_bigquery_field(column: Column) -> dict[str, Any]:
    """The column in BigQuery's JSON schema."""
    field: dict[str, Any] = {"name": column.name, "type": column.type, "mode": column.mode}
    if column.description:
        field["description"] = column.description
    if column.fields:
        field["fields"] = [make_bigquery_field(each) for each in column.fields]
    return field


def spark_schema(feed: Feed) -> dict[str, Any]:
    """The table's pyspark StructType as JSON, for StructType.fromJson; TIME columns are strings there."""
    return _make_struct((COLLECTED_AT, *feed.columns))


def _make_struct(columns: Iterable[Column]) -> dict[str, Any]:
    return {"type": "struct", "fields": [_make_spark_field(column) for column in columns]}


def _make_spark_field(column: Column) -> dict[str, Any]:
    kind: Any = _make_struct(column.fields) if column.type == "RECORD" else _SPARK_TYPES[column.type]
    if column.mode == "REPEATED":
        kind = {"type": "array", "elementType": kind, "containsNull": False}
    metadata = {"comment": column.description} if column.description else {}
    return {"name": column.name, "type": kind, "nullable": True, "metadata": metadata}


def availability_sql(feeds: Iterable[Feed], dataset: str) -> str:
    """GoogleSQL of the view over the feeds that map their station_id; `dataset` is `project.dataset`.

    Plain enough for BigQuery's emulators; no feed at all gives the same columns and no row.
    """
    selects = [select_availability(feed, dataset) for feed in feeds if feed.common.station_id]
    return "\nUNION ALL\n".join(selects) or _select_no_availability()


def select_availability(feed: Feed, dataset: str) -> str:
    """GoogleSQL that selects a feed's rows under common names; of a feed that maps no station_id, none."""
    if not feed.common.station_id:
        return _select_no_availability()
    lines = [f"  {_format_literal(feed.name)} AS feed", f"  `{COLLECTED_AT.name}` AS collected_at"]
    for name, kind in _AVAILABILITY.items():
        lines.append(f"  CAST({_make_expression(feed, getattr(feed.common, name))} AS {kind}) AS {name}")
    return "SELECT\n" + ",\n".join(lines) + f"\nFROM `{dataset}.{feed.name}`"


def minutes_present_sql(feeds: Iterable[Feed], dataset: str) -> str:
    """GoogleSQL of the view with a row per feed and UTC day: feed, day, minutes (of 1,440) that have rows.

    `dataset` is `project.dataset`. A day without any row has no row here either.
    """
    selects = [
        f"SELECT\n  {_format_literal(feed.name)} AS feed,\n  DATE(`{COLLECTED_AT.name}`) AS day,\n"
        f"  COUNT(DISTINCT `{COLLECTED_AT.name}`) AS minutes\nFROM `{dataset}.{feed.name}`\nGROUP BY feed, day"
        for feed in feeds
    ]
    return "\nUNION ALL\n".join(selects) or (
        "SELECT\n  CAST(NULL AS STRING) AS feed,\n  CAST(NULL AS DATE) AS day,\n"
        "  CAST(NULL AS INT64) AS minutes\nLIMIT 0"
    )


def _select_no_availability() -> str:
    kinds = {"feed": "STRING", "collected_at": "TIMESTAMP"} | _AVAILABILITY
    lines = ",\n".join(f"  CAST(NULL AS {kind}) AS {name}" for name, kind in kinds.items())
    return f"SELECT\n{lines}\nLIMIT 0"


def _make_expression(feed: Feed, mapped: str | Condition | None) -> str:
    match mapped:
        case None:
            return "NULL"
        case str():
            return f"`{mapped}`"
        case Condition(column, [value]):
            return f"`{column}` = {_format_literal(value)}"
        case Condition(column, values):
            return f"`{column}` IN ({', '.join(_format_literal(value) for value in values)})"


def _format_literal(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def render_data_dictionary(feed: Feed) -> str:
    """The feed's table for people, in Markdown."""
    about = [f"### `{feed.name}`: {feed.title}", ""]
    if feed.description:
        about += [feed.description, ""]
    about += [f"- Source: <{feed.url}>" + (f" ({feed.licence})" if feed.licence else "")]
    about += [f"- Key: `{feed.key}`" if feed.key else "- Key: none, so duplicates are kept"]
    about += ["", "| Column | Type | In the response | Common name | Meaning |", "|---|---|---|---|---|"]
    common = _describe_common_names(feed.common)
    rows = [_render_dictionary_row(column, "", common) for column in (COLLECTED_AT, *feed.columns)]
    return "\n".join([*about, *(line for lines in rows for line in lines)]) + "\n"


def _describe_common_names(common: Common) -> dict[str, str]:
    names: dict[str, list[str]] = {}
    for field in fields(common):
        mapped = getattr(common, field.name)
        if isinstance(mapped, Condition):
            values = " or ".join(f"`{value}`" for value in mapped.equals)
            names.setdefault(mapped.column, []).append(f"`{field.name}` when {values}")
        elif mapped:
            names.setdefault(mapped, []).append(f"`{field.name}`")
    return {column: ", ".join(each) for column, each in names.items()}


def _render_dictionary_row(column: Column, parent: str, common: dict[str, str]) -> list[str]:
    name = parent + column.name
    kind = f"{column.type} (REPEATED)" if column.mode == "REPEATED" else column.type
    place = f"`{format_path(column.path)}`" if column.path else "the tick"
    notes = [column.description] if column.description else []
    if column.unit:
        notes.append(f"Given in {column.unit} since 1970")
    if column.zone:
        notes.append(f"Local times are of {column.zone}")
    if not column.observed:
        notes.append("Only null in the sample, hence STRING")
    cells = (f"`{name}`", kind, place, common.get(name, ""), ". ".join(notes))
    row = "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    return [
        row,
        *(line for each in column.fields for line in _render_dictionary_row(each, f"{name}.", common)),
    ]
