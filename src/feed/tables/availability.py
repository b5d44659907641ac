"""GoogleSQL that selects the rows of feeds under common names."""

from collections.abc import Iterable

from feed.model import COLLECTED_AT, Condition, Feed
from feed.tables.ticks import select_minutes

# The columns of the view `availability`: GBFS name → GoogleSQL type.
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
    "capacity": "INT64",
}


def availability_sql(feeds: Iterable[Feed], dataset: str) -> str:
    """Return the GoogleSQL of a view over all feeds with a station_id in [common]; `dataset` is `project.dataset`.

    The SQL is simple enough for BigQuery emulators. Without such a feed the view has the same columns and no rows.
    """
    selects = [select_availability(feed, dataset) for feed in feeds if feed.common.station_id]
    return "\nUNION ALL\n".join(selects) or _select_no_availability()


def select_availability(feed: Feed, dataset: str) -> str:
    """Return GoogleSQL that selects a feed's rows under common names; no rows without a station_id in [common]."""
    if not feed.common.station_id:
        return _select_no_availability()
    lines = [f"  {_format_literal(feed.name)} AS feed", f"  `{COLLECTED_AT.name}` AS collected_at"]
    for name, kind in _AVAILABILITY.items():
        lines.append(f"  CAST({_make_expression(feed, getattr(feed.common, name))} AS {kind}) AS {name}")
    return "SELECT\n" + ",\n".join(lines) + f"\nFROM `{dataset}.{feed.name}`"


def minutes_present_sql(feeds: Iterable[Feed], dataset: str) -> str:
    """Return the GoogleSQL of a view with a row per feed and UTC day: feed, day, and its minutes (of 1,440) with data.

    Data are rows, or a valid response without records. `dataset` is `project.dataset`. A day without data has no row.
    """
    selects = [
        f"SELECT\n  {_format_literal(feed.name)} AS feed,\n  DATE(collected_at) AS day,\n"
        f"  COUNT(DISTINCT collected_at) AS minutes\nFROM (\n{select_minutes(feed.name, dataset)}\n)\n"
        "GROUP BY feed, day"
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
