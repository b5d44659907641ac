"""Rows → Parquet → rows."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Feed, quarantine_schema, station_schema
from spark import parquet
from spark.parquet import RowsFile, arrow_schema

pytestmark = pytest.mark.unit

EVERY_TYPE: list[dict[str, Any]] = [
    {"name": "a", "type": "STRING", "mode": "NULLABLE"},
    {"name": "b", "type": "INTEGER", "mode": "NULLABLE"},
    {"name": "c", "type": "FLOAT", "mode": "NULLABLE"},
    {"name": "d", "type": "BOOLEAN", "mode": "NULLABLE"},
    {"name": "e", "type": "TIMESTAMP", "mode": "NULLABLE"},
    {"name": "f", "type": "DATETIME", "mode": "NULLABLE"},
    {"name": "g", "type": "DATE", "mode": "NULLABLE"},
    {"name": "h", "type": "TIME", "mode": "NULLABLE"},
    {"name": "i", "type": "STRING", "mode": "REPEATED"},
    {
        "name": "j",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [
            {"name": "at", "type": "TIMESTAMP", "mode": "NULLABLE"},
            {"name": "n", "type": "INTEGER", "mode": "NULLABLE"},
        ],
    },
]
UTC_TIMES = st.datetimes(timezones=st.just(UTC))
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"))
ROWS = st.fixed_dictionaries(
    {
        "a": st.none() | TEXTS,
        "b": st.none() | INT64,
        "c": st.none() | st.floats(allow_nan=False),
        "d": st.none() | st.booleans(),
        "e": st.none() | UTC_TIMES,
        "f": st.none() | st.datetimes(),
        "g": st.none() | st.dates(),
        "h": st.none() | st.times(),
        "i": st.lists(TEXTS, max_size=3),
        "j": st.lists(
            st.fixed_dictionaries({"at": st.none() | UTC_TIMES, "n": st.none() | INT64}), max_size=3
        ),
    }
)


def write(path: Path, schema: pa.Schema, *batches: list[dict[str, Any]]) -> RowsFile:
    with RowsFile(path, schema) as file:
        for rows in batches:
            file.add(rows)
    return file


@pytest.mark.long
@given(st.lists(st.lists(ROWS, max_size=4), max_size=3))
def test_every_type_comes_back_as_it_was(batches: list[list[dict[str, Any]]]) -> None:
    rows = [row for batch in batches for row in batch]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        assert write(path, arrow_schema(EVERY_TYPE), *batches).rows == len(rows)
        assert path.exists() == bool(rows)
        if rows:
            assert pq.read_table(path).to_pylist() == rows


def test_types_are_what_a_load_job_takes_for_the_tables(feeds: dict[str, Feed]) -> None:
    schema = arrow_schema(station_schema(feeds["vlille_ods"]))
    assert schema.names[0] == "collected_at"
    assert schema.field("collected_at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("longitude").type == pa.float64()  # not float32: 3.133873 would be 3.13387298
    assert arrow_schema(quarantine_schema()).field("record_index").type == pa.int64()


def test_many_rows_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 10)
    schema = arrow_schema(EVERY_TYPE[1:2])
    write(tmp_path / "f", schema, *([{"b": n}, {"b": n + 1}, {"b": n + 2}] for n in range(0, 90, 3)))
    file = pq.ParquetFile(tmp_path / "f")
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(groups) == 90
    assert len(groups) >= 8
    assert max(groups) <= 12
    assert file.read().column("b").to_pylist() == list(range(90))


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    rows = [{"e": datetime(2023, 10, 26, tzinfo=UTC), "g": date(2023, 10, 26), "h": time(8, 36)}] * 3
    schema = arrow_schema(column for column in EVERY_TYPE if column["name"] in rows[0])
    for name in "xy":
        write(tmp_path / name, schema, rows)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
