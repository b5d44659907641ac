"""Look up datasets, tables and columns of local-bigquery without reading the catalogs of all projects.

local-bigquery queries `duckdb_tables()` and similar functions, which open a transaction in each attached DuckLake and
estimate the size of each table there: 8 ms of CPU time per project and lookup, of which a query makes several.
A lookup of this module reads only the DuckLake of its dataset: 2 ms, however many projects there are.

The statements are those of local-bigquery's pinned version; any other statement is sent as it is.
"""

from collections.abc import Callable
from typing import Any

import duckdb
from local_bigquery.engine import database
from local_bigquery.jobs import query

type Rows = list[tuple[Any, ...]]

# Statements of local-bigquery, verbatim; tests compare them with its source.
DATASET = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
REQUIRED_COLUMNS = (
    "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? "
    "AND NOT is_nullable"
)
COLUMN = (
    "SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? "
    "AND column_name = ?"
)
TEMPORARY_TABLES = "SELECT table_name FROM duckdb_tables() WHERE temporary"

# {} is the database of a DuckLake's metadata: https://ducklake.select/docs/stable/specification/tables/overview
OBJECTS = """
SELECT table_name, 'TABLE', coalesce(record_count, 0)
FROM {0}.ducklake_table AS t
JOIN {0}.ducklake_schema AS s USING (schema_id)
LEFT JOIN {0}.ducklake_table_stats USING (table_id)
WHERE schema_name = $1 AND table_name = coalesce($2, table_name) AND s.end_snapshot IS NULL AND t.end_snapshot IS NULL
UNION ALL
SELECT view_name, 'VIEW', 0
FROM {0}.ducklake_view AS v
JOIN {0}.ducklake_schema AS s USING (schema_id)
WHERE schema_name = $1 AND view_name = coalesce($2, view_name) AND s.end_snapshot IS NULL AND v.end_snapshot IS NULL
ORDER BY 1
"""
SCHEMA = "SELECT 1 FROM {0}.ducklake_schema WHERE schema_name = $1 AND end_snapshot IS NULL"


class CatalogQueries:
    """Catalog lookups that read only the DuckLake of their dataset."""

    def __init__(self, fetch: Callable[..., Rows], list_objects: Callable[..., Rows]) -> None:
        """Keep local-bigquery's own functions, for lookups that this module does not handle."""
        self._fetch = fetch
        self._list_objects = list_objects
        self._lookups = {
            DATASET: self._find_dataset,
            REQUIRED_COLUMNS: self._list_required_columns,
            COLUMN: self._find_column,
        }

    def fetch(self, sql: str, params: list[Any] | None = None) -> Rows:
        """Return the rows of a statement, a catalog lookup by its replacement."""
        lookup = self._lookups.get(sql)
        return self._fetch(sql, params) if lookup is None else lookup(sql, list(params or []))

    def list_objects(self, database_name: str, schema: str, name: str | None = None) -> Rows:
        """Return name, kind and number of rows of a schema's tables and views, or of the one called `name`."""
        if _is_ducklake(database_name):
            return self._fetch(OBJECTS.format(_metadata_of(database_name)), [schema, name])
        if name is None:
            return self._list_objects(database_name, schema, name)
        table = database.quote(database_name, schema, name)
        try:
            return [(name, "TABLE", *row) for row in self._fetch(f"SELECT count(*) FROM {table}")]  # noqa: S608
        except duckdb.CatalogException:
            return []

    def _find_dataset(self, sql: str, params: list[Any]) -> Rows:
        database_name, schema = params
        if not _is_ducklake(database_name):
            return self._fetch(sql, params)
        return self._fetch(SCHEMA.format(_metadata_of(database_name)), [schema])

    def _list_required_columns(self, _sql: str, params: list[Any]) -> Rows:
        return [(name,) for name, is_required in self._describe(*params) if is_required]

    def _find_column(self, _sql: str, params: list[Any]) -> Rows:
        *table, column = params
        return [(1,) for name, _ in self._describe(*table) if name == column]

    def _describe(self, *table: str) -> Rows:
        sql = 'SELECT name, "notnull" FROM pragma_table_info(?)'
        try:
            return self._fetch(sql, [database.quote(*table)])
        except (
            duckdb.CatalogException,
            duckdb.BinderException,
        ):  # no such table, or a view of one that is gone
            return []


class CursorWithoutTemporaryTables:
    """A new cursor, which has no temporary tables: their lookup returns nothing, without scanning every database."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Wrap a cursor that no session has used before."""
        self._cursor = cursor

    def sql(self, statement: str, *arguments: Any, **named: Any) -> Any:
        """Return the relation of a statement."""
        if statement == TEMPORARY_TABLES:
            statement = "SELECT '' AS table_name WHERE false"
        return self._cursor.sql(statement, *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the cursor."""
        return getattr(self._cursor, name)


def install() -> None:
    """Replace local-bigquery's own lookups, before its first connection."""
    lookups = CatalogQueries(database.fetch, database.objects)
    database.fetch = lookups.fetch
    database.objects = lookups.list_objects
    execute = query.execute

    def execute_in(cursor: Any, *arguments: Any, **named: Any) -> Any:
        if named.get("session") is None:
            cursor = CursorWithoutTemporaryTables(cursor)
        return execute(cursor, *arguments, **named)

    query.execute = execute_in


def _is_ducklake(database_name: str) -> bool:
    # Results and resources are in a DuckDB database without DuckLake; its name counts as an attached project.
    return database_name in database._attached and database_name != "emulator"


def _metadata_of(project: str) -> str:
    return str(database.quote(f"__ducklake_metadata_{project}"))
