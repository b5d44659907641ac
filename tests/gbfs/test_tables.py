"""The tables in GBFS words."""

import pytest

from feed.naming import RESERVED_NAMES
from gbfs.files.model import STATION_INFORMATION, STATION_STATUS, FileModel
from gbfs.tables import SYSTEMS_TABLE, TABLES, TableModel, format_valid_rows_sql

pytestmark = pytest.mark.unit

EVERY = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
SCALARS = {"STRING", "INTEGER", "BOOLEAN", "TIMESTAMP", "DATE"}


@EVERY
def test_no_column_is_there_twice_and_each_is_described(table: TableModel) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert [column.name for column in table.columns if not column.description] == []
    assert {field["mode"] for field in table.schema} <= {"NULLABLE", "REPEATED"}


@EVERY
def test_key_partition_and_clusters_are_columns_that_bigquery_takes(table: TableModel) -> None:
    by_name = {column.name: column for column in table.columns}
    assert by_name[table.partition].type == "TIMESTAMP"
    for name in (*table.key, *table.clustering):
        assert (by_name[name].mode, by_name[name].type in SCALARS) == ("NULLABLE", True)


@EVERY
def test_no_feed_can_have_the_name(table: TableModel) -> None:
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


def test_validity_comes_from_the_next_row_of_the_key() -> None:
    sql = format_valid_rows_sql(SYSTEMS_TABLE, "city.vlille")
    assert "LEAD(valid_from) OVER (PARTITION BY system_id ORDER BY valid_from) AS valid_to" in sql
    assert "FROM `city.vlille.systems`" in sql
