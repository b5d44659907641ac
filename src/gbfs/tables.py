"""The BigQuery tables of GBFS systems, generated from the model, and the validity of their rows.

Five tables of one dataset, for all systems:

- `station_status`: a row per station and *received* response of the newest days. Partitions expire.
- `polls`: a row per request, kept for ever. It distinguishes a minute that was unchanged or failed from one that was
  not requested. `rows_at` is the tick whose rows of `station_status` are valid: this tick if a file was received, an
  earlier one if it was unchanged, null if the request failed. It is on the same UTC day, since an instance's first
  request of a day is unconditional. Each day is therefore complete without any other.
- `station_status_changes`: the long history, made from the packs of each day alone. A row is valid from the tick
  `valid_from` until before `valid_to`, at the latest midnight (UTC) after its day: the first known response of a day
  gives a row for each of its stations. `valid_to` is the tick of the first known response (received or unchanged) with
  other values. A join with `polls` whose outcome is not `failed` gives the minutes back.
- `systems` and `station_information`: a new row for each change. A row is valid until the next row of its key
  (`format_valid_rows_sql` computes `valid_to`). Rows are only added, by load jobs with IDs derived from their content.
"""

from dataclasses import dataclass
from typing import Any

from feed import Column
from feed.tables.schema import make_bigquery_field
from gbfs.files.model import STATION_INFORMATION, STATION_STATUS, SYSTEM_INFORMATION, FileModel

# Values of the column `event` of `systems` and `station_information`.
APPEARED, CHANGED, VANISHED = "appeared", "changed", "vanished"

COLLECTED_AT = Column("collected_at", "TIMESTAMP", description="Minute of the tick (UTC)")
SYSTEM_ID = Column("system_id", "STRING", description="Identifier of the system in the catalogue")
VALID_FROM = Column("valid_from", "TIMESTAMP", description="Tick from which the row is valid (UTC)")
EVENT = Column("event", "STRING", description="appeared, changed or vanished (no longer listed)")
CHANGED_COLUMNS = Column(
    "changed_columns", "STRING", "REPEATED", description="Columns that differ from the previous row"
)
FILE_FIELDS = (
    Column("name", "STRING", path=("name",), description="Name of the file, as version 3 spells it"),
    Column("url", "STRING", path=("url",), description="URL of the file"),
)


@dataclass(frozen=True)
class TableModel:
    """One table: `key` and the time identify a row; `partition` is a TIMESTAMP column, partitioned by day."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: str
    clustering: tuple[str, ...]

    @property
    def schema(self) -> list[dict[str, Any]]:
        """BigQuery's JSON schema."""
        return [make_bigquery_field(column) for column in self.columns]


def _omit_columns(model: FileModel, *names: str) -> tuple[Column, ...]:
    return tuple(column for column in model.columns if column.name not in names)


STATION_STATUS_TABLE = TableModel(
    name="station_status",
    description="station_status of all GBFS systems: a row per station and received response, of the newest days",
    columns=(COLLECTED_AT, SYSTEM_ID, *STATION_STATUS.columns),
    key=("system_id", "station_id"),
    partition="collected_at",
    clustering=("system_id", "station_id"),
)
POLLS_TABLE = TableModel(
    name="polls",
    description="Requests to GBFS systems: received, unchanged or failed; a file without a row was not requested",
    columns=(
        COLLECTED_AT,
        SYSTEM_ID,
        Column("file", "STRING", description="Name of the file, as version 3 spells it"),
        Column("outcome", "STRING", description="received, unchanged (status 304) or failed"),
        Column("status", "INTEGER", description="HTTP status; null where there was no response"),
        Column(
            "error",
            "STRING",
            description="Why the request failed or the file could not be read; null otherwise",
        ),
        Column("fetched_at", "TIMESTAMP", description="When the response was received (UTC)"),
        Column("bytes", "INTEGER", description="Bytes of the body"),
        Column("version", "STRING", description="GBFS version of the file"),
        Column("last_updated", "TIMESTAMP", description="`last_updated` of the file (UTC)"),
        Column("ttl_seconds", "INTEGER", description="`ttl` of the file, in seconds"),
        Column("records", "INTEGER", description="Records of the file"),
        Column("rows", "INTEGER", description="Records that became rows"),
        Column(
            "rows_at",
            "TIMESTAMP",
            description="Tick with the rows of station_status: this one, or an earlier one of the UTC day if unchanged",
        ),
    ),
    key=("system_id", "file"),
    partition="collected_at",
    clustering=("system_id", "file"),
)
CHANGES_TABLE = TableModel(
    name="station_status_changes",
    description="station_status of all GBFS systems: a row per change, made by the nightly batch from a day's packs",
    columns=(
        SYSTEM_ID,
        Column(
            "valid_from", "TIMESTAMP", description="First tick at which the station had these values (UTC)"
        ),
        Column(
            "valid_to",
            "TIMESTAMP",
            description="First tick at which it had other values, at the latest the next midnight (UTC); exclusive",
        ),
        *STATION_STATUS.columns,
    ),
    key=("system_id", "station_id"),
    partition="valid_from",
    clustering=("system_id", "station_id"),
)
SYSTEMS_TABLE = TableModel(
    name="systems",
    description="GBFS systems that are collected: a row where one appears, changes or vanishes",
    columns=(
        SYSTEM_ID,
        VALID_FROM,
        EVENT,
        CHANGED_COLUMNS,
        Column("is_reachable", "BOOLEAN", description="Whether its gbfs.json could be read"),
        Column("error", "STRING", description="Why gbfs.json could not be read; null otherwise"),
        Column(
            "is_listed",
            "BOOLEAN",
            description="Whether the public catalogue lists it; null if the catalogue was not read",
        ),
        Column("country", "STRING", description="ISO 3166-1 alpha-2"),
        Column("location", "STRING", description="City or region, as the catalogue has it"),
        Column("discovery_url", "STRING", description="URL of its gbfs.json"),
        Column("version", "STRING", description="GBFS version of its gbfs.json"),
        Column("files", "RECORD", "REPEATED", description="Its files", fields=FILE_FIELDS),
        *_omit_columns(SYSTEM_INFORMATION, "system_id"),
    ),
    key=("system_id",),
    partition="valid_from",
    clustering=("system_id",),
)
STATION_INFORMATION_TABLE = TableModel(
    name="station_information",
    description="Stations of all GBFS systems: a row where one appears, changes or vanishes",
    columns=(SYSTEM_ID, VALID_FROM, EVENT, *STATION_INFORMATION.columns),
    key=("system_id", "station_id"),
    partition="valid_from",
    clustering=("system_id", "station_id"),
)
TABLES = {
    table.name: table
    for table in (
        STATION_STATUS_TABLE,
        POLLS_TABLE,
        CHANGES_TABLE,
        SYSTEMS_TABLE,
        STATION_INFORMATION_TABLE,
    )
}
# The collecting function loads these; the nightly batch writes the changes.
LOADED_TABLES = tuple(name for name in TABLES if name != CHANGES_TABLE.name)


def format_valid_rows_sql(table: TableModel, dataset: str) -> str:
    """Return a SELECT of the rows of `systems` or `station_information`, with `valid_to` (exclusive, null if current).

    `dataset` is project.dataset. Rows whose event is `vanished` only end the previous row and are left out.
    """
    key = ", ".join(table.key)
    return (
        f"SELECT * FROM (\n"  # noqa: S608 - the stack's names
        f"  SELECT *, LEAD(valid_from) OVER (PARTITION BY {key} ORDER BY valid_from) AS valid_to\n"
        f"  FROM `{dataset}.{table.name}`\n"
        f")\n"
        f"WHERE event != '{VANISHED}'"
    )
