"""The tables of GBFS systems."""

import pytest

from feed.naming import RESERVED_NAMES
from gbfs.files.model import STATION_INFORMATION, STATION_STATUS, FileModel
from gbfs.tables import SYSTEMS_TABLE, TABLES, TableModel, format_valid_rows_sql

pytestmark = pytest.mark.unit

EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
SCALARS = {"STRING", "INTEGER", "BOOLEAN", "TIMESTAMP", "DATE"}


@EVERY_TABLE
def test_columns_are_distinct_and_described(table: TableModel) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert [column.name for column in table.columns if not column.description] == []
    assert {field["mode"] for field in table.schema} <= {"NULLABLE", "REPEATED"}


@EVERY_TABLE
def test_key_partition_and_clusters_are_columns_of_valid_types(table: TableModel) -> None:
    by_name = {column.name: column for column in table.columns}
    assert by_name[table.partition].type == "TIMESTAMP"
    for name in (*table.key, *table.clustering):
        assert (by_name[name].mode, by_name[name].type in SCALARS) == ("NULLABLE", True)


@EVERY_TABLE
def test_the_name_is_reserved(table: TableModel) -> None:
    assert table.name in RESERVED_NAMES


@pytest.mark.parametrize(
    ("table", "model"),
    [
        ("station_status", STATION_STATUS),
        ("station_status_changes", STATION_STATUS),
        ("station_information", STATION_INFORMATION),
    ],
)
def test_the_tables_of_stations_have_every_column_of_the_file(table: str, model: FileModel) -> None:
    columns = TABLES[table].columns
    assert columns[-len(model.columns) :] == model.columns


def test_a_row_is_valid_until_the_next_row_of_its_key() -> None:
    sql = format_valid_rows_sql(SYSTEMS_TABLE, "city.vlille")
    assert "LEAD(valid_from) OVER (PARTITION BY system_id ORDER BY valid_from) AS valid_to" in sql
    assert "FROM `city.vlille.systems`" in sql
