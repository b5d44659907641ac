"""Rows as Parquet, in the types that a BigQuery load job takes for the table's."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# Enough for good compression, and what bounds the memory of an hour with very many objects.
ROW_GROUP = 65_536
_TYPES = {
    "STRING": pa.string(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DATETIME": pa.timestamp("us"),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
}


def arrow_schema(bigquery_schema: Iterable[Mapping[str, Any]]) -> pa.Schema:
    """The Arrow schema of a BigQuery JSON schema."""
    return pa.schema([_field(each) for each in bigquery_schema])


def _field(column: Mapping[str, Any]) -> pa.Field:
    kind = (
        pa.struct([_field(each) for each in column["fields"]])
        if "fields" in column
        else _TYPES[column["type"]]
    )
    return pa.field(column["name"], pa.list_(kind) if column["mode"] == "REPEATED" else kind)


class RowsFile:
    """A Parquet file that is made when the first row comes, one row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.rows = path, 0
        self._schema = schema
        self._waiting: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "RowsFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write()
        if self._writer is not None:
            self._writer.close()

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows of native values, with the schema's names."""
        self._waiting.extend(rows)
        self.rows += len(rows)
        if len(self._waiting) >= ROW_GROUP:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, self._schema, compression="zstd")
        columns = [pa.array([row[each.name] for row in self._waiting], each.type) for each in self._schema]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=ROW_GROUP)
        self._waiting = []
