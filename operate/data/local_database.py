"""The warehouse of a local run as the database of `make sql` and `make export`.

Imported only by what reads a local run: the emulator's packages take a second to import.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from gbfs.tables import SYSTEMS_TABLE
from local.data_plane.warehouse import QueryError, Warehouse, open_warehouse
from local.errors import LocalError
from operate.data.prompt import QueryFailedError, QueryResult
from operate.errors import OperateError


class LocalDatabase:
    """The warehouse of a local run, with the rows stored so far."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def run_query(self, sql: str) -> QueryResult:
        """Run a query. Raises QueryFailedError."""
        try:
            columns, rows = self._warehouse.query(sql)
        except QueryError as error:
            raise QueryFailedError(str(error)) from error
        return QueryResult(columns, rows)

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query. Raises QueryFailedError."""
        try:
            yield from self._warehouse.batches(sql)
        except QueryError as error:
            raise QueryFailedError(str(error)) from error

    def list_systems(self, dataset: str) -> list[str]:
        """Return the IDs of the GBFS systems of the run, sorted. CITY=lille,paris is not in the environment's file."""
        table = f"{dataset}.{SYSTEMS_TABLE.name}"
        if table not in self.list_tables():
            return []
        found = self.run_query(f"SELECT DISTINCT system_id FROM {table} ORDER BY system_id")  # noqa: S608 - our names
        return [str(system_id) for (system_id,) in found.rows]

    def list_tables(self) -> list[str]:
        """Return the names of views and tables."""
        return self._warehouse.tables()


@contextmanager
def open_local_warehouse(environment: str, root: Path) -> Iterator[Warehouse]:
    """Open the warehouse of an environment's local run. Raises OperateError if there is none."""
    with ExitStack() as closing:
        try:
            warehouse = closing.enter_context(open_warehouse(Path(".local") / environment, root / ".cache"))
        except LocalError as error:
            raise OperateError(str(error)) from error
        yield warehouse
