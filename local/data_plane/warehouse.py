"""Read the BigQuery tables and views of a local run with DuckDB, while it runs or afterwards.

The Parquet files below `bigquery/` also have the rows that a rebuild replaced; DuckLake's catalog says which rows a
table has now. The catalog is copied first, because the emulator locks its own.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from local_bigquery.engine import database
from local_bigquery.errors import BigQueryError, from_duckdb
from local_bigquery.sql import native
from local_bigquery.sql.dialect import FUNCTIONS, MACRO
from local_bigquery.sql.translate import Context, parse, translate
from sqlglot import exp

from local.data_plane.emulators import duckdb_home
from local.errors import LocalError

FOLDER = "bigquery"
COPY_ATTEMPTS = 5  # while the catalog is being written
BATCH_ROWS = 50_000
VIEWS = "vlille_views"  # the dataset of views; in a shared project, its name has the environment behind it


class QueryError(LocalError):
    """A statement that cannot be run; the message says why.

    What to do: correct the statement; the message names the part that the local emulator does not support.
    """


@dataclass
class Warehouse:
    """The stored data of one environment, read-only; use it from one thread. Its methods raise QueryError."""

    project: str
    connection: duckdb.DuckDBPyConnection = field(repr=False)
    views: str = VIEWS  # the default dataset of table names

    def query(self, sql: str) -> tuple[list[str], Iterator[tuple[str | None, ...]]]:
        """Return the column names and the rows of a GoogleSQL query, each value as a text or None."""
        statement, values = self._translate(sql)
        with self._explain_errors(sql):
            texts = f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({statement})"  # noqa: S608 - the user's own query
            cursor = self.connection.execute(texts, values)
        return [each[0] for each in cursor.description or []], iter(cursor.fetchone, None)

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a GoogleSQL query as Arrow record batches."""
        statement, values = self._translate(sql)
        with self._explain_errors(sql):
            yield from self.connection.execute(statement, values).to_arrow_reader(BATCH_ROWS)

    def tables(self) -> list[str]:
        """Return the names of all tables and views, such as `vlille_views.outages`."""
        rows = self.connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = $1 "
            "UNION ALL SELECT schema_name || '.' || view_name FROM duckdb_views() "
            "WHERE database_name = $1 AND NOT internal ORDER BY 1",
            [self.project],
        ).fetchall()
        return [name for (name,) in rows]

    def _translate(self, sql: str) -> tuple[str, dict[str, Any]]:
        try:
            trees = parse(sql)
            if len(trees) != 1 or not isinstance(trees[0], exp.Query):
                raise QueryError("the data is read-only: expected one query, SELECT or WITH")
            statement, values = translate(trees[0], Context(self.project, self.views))
        except BigQueryError as error:
            raise QueryError(str(error.message)) from error
        return statement, values

    @contextmanager
    def _explain_errors(self, sql: str) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            translated = from_duckdb(error, Context(self.project, self.views), parse(sql)[0])
            raise QueryError(str(translated.message)) from error


@contextmanager
def open_warehouse(folder: Path, cache: Path) -> Iterator[Warehouse]:
    """Open the stored data of an environment's folder as it is now; `cache` has DuckDB's extensions.

    Raises LocalError where nothing is stored yet.
    """
    data_folder = folder.resolve() / FOLDER
    catalogs = [each for each in sorted(data_folder.glob("*.ducklake")) if each.stem != "emulator"]
    if not catalogs:
        raise LocalError(f"{folder} has no data: collect some with `make demo` or `make up`")
    # DuckDB looks for its extensions below HOME.
    os.environ["HOME"] = str(duckdb_home(cache))
    with tempfile.TemporaryDirectory(prefix="warehouse-") as copies:
        connection = _connect()
        try:
            for catalog in catalogs:
                copied = _copy_catalog(catalog, Path(copies))
                data = f"{str(catalog.with_suffix('')).replace(chr(39), chr(39) * 2)}/"
                connection.execute(
                    f"ATTACH 'ducklake:{copied}' AS {database.quote(catalog.stem)} "
                    f"(READ_ONLY, DATA_PATH '{data}', OVERRIDE_DATA_PATH true)"
                )
                database._attached.add(catalog.stem)
            yield Warehouse(catalogs[0].stem, connection, _find_views_dataset(connection, catalogs[0].stem))
        finally:
            connection.close()


def _find_views_dataset(connection: duckdb.DuckDBPyConnection, project: str) -> str:
    rows = connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = $1 AND starts_with(schema_name, $2)",
        [project, VIEWS],
    ).fetchall()
    return str(rows[0][0]) if rows else VIEWS


def _connect() -> duckdb.DuckDBPyConnection:
    """Return a connection that has the functions which translated queries and stored views call."""
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns about the translation of SQL
    connection = duckdb.connect(config={"TimeZone": "UTC"})
    connection.execute("INSTALL ducklake; LOAD ducklake; INSTALL icu; LOAD icu")
    connection.execute("ATTACH ':memory:' AS emulator")
    connection.execute(database.EMULATOR_SCHEMA)
    connection.execute("ATTACH ':memory:' AS bq")
    native.register(connection)
    for path in FUNCTIONS:
        connection.execute(MACRO.sub(r"CREATE MACRO bq.main.\1", path.read_text()))
    database._connect = lambda: connection
    return connection


def _copy_catalog(catalog: Path, folder: Path) -> Path:
    """Copy a consistent state of the catalog, with its write-ahead log. Raises LocalError."""
    parts = [catalog, catalog.with_name(f"{catalog.name}.wal")]
    for _ in range(COPY_ATTEMPTS):
        before = _file_states(parts)
        for part in parts:
            (folder / part.name).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.copyfile(part, folder / part.name)
        if _file_states(parts) == before:
            return folder / catalog.name
        time.sleep(0.2)
    raise LocalError(f"{catalog} is being written: run the command again")


def _file_states(parts: Sequence[Path]) -> list[tuple[int, int] | None]:
    return [(each.stat().st_size, each.stat().st_mtime_ns) if each.exists() else None for each in parts]
