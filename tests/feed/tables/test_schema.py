from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
import sqlglot
from pyspark.sql.types import StructType

from feed import (
    Feed,
    availability_sql,
    batch_runs_schema,
    make_rejection_rows,
    make_unreadable_outcome,
    minutes_present_sql,
    quarantine_schema,
    render_data_dictionary,
    spark_schema,
    station_schema,
)
from feed.model import COLLECTED_AT

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
NOON = datetime(2023, 9, 8, 12, tzinfo=UTC)
RECORD = {
    "i": 1,
    "f": 1.5,
    "b": True,
    "s": "x",
    "ts": "2023-09-08T08:36:00Z",
    "dt": "2023-09-08T08:36:00",
    "d": "2023-09-08",
    "t": "08:36:00",
    "tags": ["a"],
    "o": {"x": 1, "l": [{"y": 2.5}]},
}
TOML = """
[types]
t = "TIME"
[descriptions]
i = "How many"
"o.x" = "East"
"""


def test_bigquery_schema(make_feed: MakeFeed) -> None:
    assert station_schema(make_feed([RECORD], TOML)) == [
        {
            "name": "collected_at",
            "type": "TIMESTAMP",
            "mode": "NULLABLE",
            "description": "Minute of the tick (UTC), even if a redelivery requested it later",
        },
        {"name": "i", "type": "INTEGER", "mode": "NULLABLE", "description": "How many"},
        {"name": "f", "type": "FLOAT", "mode": "NULLABLE"},
        {"name": "b", "type": "BOOLEAN", "mode": "NULLABLE"},
        {"name": "s", "type": "STRING", "mode": "NULLABLE"},
        {"name": "ts", "type": "TIMESTAMP", "mode": "NULLABLE"},
        {"name": "dt", "type": "DATETIME", "mode": "NULLABLE"},
        {"name": "d", "type": "DATE", "mode": "NULLABLE"},
        {"name": "t", "type": "TIME", "mode": "NULLABLE"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {
            "name": "o",
            "type": "RECORD",
            "mode": "NULLABLE",
            "fields": [
                {"name": "x", "type": "INTEGER", "mode": "NULLABLE", "description": "East"},
                {
                    "name": "l",
                    "type": "RECORD",
                    "mode": "REPEATED",
                    "fields": [{"name": "y", "type": "FLOAT", "mode": "NULLABLE"}],
                },
            ],
        },
    ]


def test_spark_schema(make_feed: MakeFeed) -> None:
    struct = StructType.fromJson(spark_schema(make_feed([RECORD], TOML)))
    assert struct.simpleString() == (
        "struct<collected_at:timestamp,i:bigint,f:double,b:boolean,s:string,ts:timestamp,dt:timestamp_ntz,d:date,"
        "t:string,tags:array<string>,o:struct<x:bigint,l:array<struct<y:double>>>>"
    )
    assert all(field.nullable for field in struct.fields)
    assert struct["i"].metadata == {"comment": "How many"}


def test_tables_of_the_system_hold_what_is_written_to_them(ods: Feed) -> None:
    outcome = make_unreadable_outcome(ods, NOON, ValueError("gzip truncated"))
    (row,) = make_rejection_rows(outcome, "feed=x/…")
    assert list(row) == [column["name"] for column in quarantine_schema()]
    assert [column["name"] for column in batch_runs_schema()] == [
        *("run_id", "feed", "started_at", "finished_at", "first_day", "last_day"),
        *("objects_listed", "objects_read", "objects_quarantined"),
        *("rows_parsed", "rows_loaded", "rows_rejected", "status", "message"),
        *("values_rejected", "values_implausible"),
    ], "a new column of batch_runs: add its name"
    assert {column["mode"] for column in quarantine_schema() + batch_runs_schema()} == {"NULLABLE"}


def test_availability_names_common_columns(ods: Feed) -> None:
    assert availability_sql([ods], "demo.vlille") == (
        "SELECT\n"
        "  'vlille_ods' AS feed,\n"
        "  `collected_at` AS collected_at,\n"
        "  CAST(`libelle` AS STRING) AS station_id,\n"
        "  CAST(`nom` AS STRING) AS name,\n"
        "  CAST(`commune` AS STRING) AS area,\n"
        "  CAST(`latitude` AS FLOAT64) AS latitude,\n"
        "  CAST(`longitude` AS FLOAT64) AS longitude,\n"
        "  CAST(`nbvelosdispo` AS INT64) AS num_bikes_available,\n"
        "  CAST(`nbplacesdispo` AS INT64) AS num_docks_available,\n"
        "  CAST(`etat` = 'EN SERVICE' AS BOOL) AS is_operational,\n"
        "  CAST(`datemiseajour` AS TIMESTAMP) AS last_reported,\n"
        "  CAST(NULL AS INT64) AS capacity\n"
        "FROM `demo.vlille.vlille_ods`"
    )


# What a table of the feed is in DuckDB, which stands for BigQuery here.
_DUCKDB = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "TIMESTAMP": "TIMESTAMPTZ",
    "BOOLEAN": "BOOLEAN",
}


def _query(
    sql: str, tables: dict[Feed, list[dict[str, Any]]], empty: Sequence[tuple[str, datetime]] = ()
) -> list[dict[str, Any]]:
    with duckdb.connect() as database:
        database.execute("ATTACH ':memory:' AS demo; CREATE SCHEMA demo.vlille")
        for feed, rows in tables.items():
            columns = ", ".join(f'"{c.name}" {_DUCKDB[c.type]}' for c in (COLLECTED_AT, *feed.columns))
            database.execute(f"CREATE TABLE demo.vlille.{feed.name} ({columns})")
            for row in rows:
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" * len(row))
                insert = f"INSERT INTO demo.vlille.{feed.name} ({names}) VALUES ({marks})"  # noqa: S608 - our own
                database.execute(insert, [*row.values()])
        database.execute("CREATE TABLE demo.vlille.empty_responses (feed VARCHAR, collected_at TIMESTAMPTZ)")
        for each in empty:
            database.execute("INSERT INTO demo.vlille.empty_responses VALUES (?, ?)", [*each])
        found = database.execute(sqlglot.transpile(sql, read="bigquery", write="duckdb")[0])
        selected: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
        return selected


def test_availability_runs(ods: Feed, feeds: dict[str, Feed], make_feed: MakeFeed) -> None:
    odd = make_feed(
        [{"@id": "a", "state": 'it\'s \\ "x"'}, {"@id": "b", "state": "OPEN"}, {"@id": "c", "state": "no"}],
        "key = 'id'\n[common]\nstation_id = 'id'\n"
        """is_operational = { column = "state", equals = ['''it's \\ "x"''', "OPEN"] }""",
    )
    unmapped = make_feed([{"a": 1}], name="unmapped")
    tables: dict[Feed, list[dict[str, Any]]] = {
        ods: [{"libelle": 136, "etat": "RÉFORMÉ", "latitude": 50.6, "nbvelosdispo": 3, "collected_at": NOON}],
        feeds["vlille_ogc"]: [{"id": "5", "etat": "EN SERVICE", "nom": "Gare"}],
        odd: [{"id": "a", "state": 'it\'s \\ "x"'}, {"id": "b", "state": "OPEN"}, {"id": "c", "state": "no"}],
    }
    sql = availability_sql([*tables, unmapped], "demo.vlille")
    assert "unmapped" not in sql
    rows = _query(sql, tables)
    assert [(row["feed"], row["station_id"], row["is_operational"]) for row in rows] == [
        ("vlille_ods", "136", False),
        ("vlille_ogc", "5", True),
        ("invented", "a", True),
        ("invented", "b", True),
        ("invented", "c", False),
    ]
    assert rows[0]["latitude"] == 50.6
    assert rows[0]["num_bikes_available"] == 3
    assert rows[0]["collected_at"] == NOON
    assert rows[1]["name"] == "Gare"


def test_availability_of_no_feed_has_its_columns_and_no_row(ods: Feed) -> None:
    sql = availability_sql([], "demo.vlille")
    assert _query(sql, {}) == []
    names = [line.split(" AS ")[-1].rstrip(",") for line in availability_sql([ods], "d.v").split("\n")[1:-1]]
    assert [line.split(" AS ")[-1].rstrip(",") for line in sql.split("\n")[1:-1]] == names


def test_minutes_present_counts_each_feeds_minutes_by_utc_day(feeds: dict[str, Feed], ods: Feed) -> None:
    later, next_day = NOON + timedelta(minutes=1), NOON + timedelta(hours=12)
    tables: dict[Feed, list[dict[str, Any]]] = {
        ods: [{"libelle": n, "collected_at": tick} for tick in (NOON, later, next_day) for n in (1, 2)],
        feeds["vlille_ogc"]: [{"id": "5", "collected_at": NOON}],
    }
    empty = [("vlille_ogc", NOON), ("vlille_ogc", later), ("other", next_day)]
    rows = _query(minutes_present_sql(tables, "demo.vlille"), tables, empty)
    assert sorted((row["feed"], row["day"], row["minutes"]) for row in rows) == [
        ("vlille_ods", NOON.date(), 2),
        ("vlille_ods", next_day.date(), 1),
        ("vlille_ogc", NOON.date(), 2),
    ]


def test_minutes_present_of_no_feed_has_no_row() -> None:
    assert _query(minutes_present_sql([], "demo.vlille"), {}) == []


def test_data_dictionary(make_feed: MakeFeed) -> None:
    feed = make_feed(
        [
            {
                "@id": 1,
                "at": 1698353400,
                "local": "2023-09-08T08:36:00",
                "n": None,
                "tags": ["a|b"],
                "o": {"x": 1},
            }
        ],
        """
title = "Invented"
licence = "CC0"
description = "What it is."
key = "id"
[types]
at = { unit = "seconds" }
local = { zone = "Europe/Paris" }
[common]
station_id = "id"
is_operational = { column = "n", equals = ["OPEN", "BUSY"] }
[descriptions]
id = "Either|or"
""",
    )
    assert render_data_dictionary(feed) == (
        "### `invented`: Invented\n"
        "\n"
        "What it is.\n"
        "\n"
        "- Source: <https://api.example/stations> (CC0)\n"
        "- Key: `id`\n"
        "\n"
        "| Column | Type | In the response | Common name | Meaning |\n"
        "|---|---|---|---|---|\n"
        "| `collected_at` | TIMESTAMP | the tick |  "
        "| Minute of the tick (UTC), even if a redelivery requested it later |\n"
        "| `id` | STRING | `@id` | `station_id` | Either\\|or |\n"
        "| `at` | TIMESTAMP | `at` |  | Given in seconds since 1970 |\n"
        "| `local` | TIMESTAMP | `local` |  | Local times are of Europe/Paris |\n"
        "| `n` | STRING | `n` | `is_operational` when `OPEN` or `BUSY` | "
        "Only null in the sample, hence STRING |\n"
        "| `tags` | STRING (REPEATED) | `tags` |  |  |\n"
        "| `o` | RECORD | `o` |  |  |\n"
        "| `o.x` | INTEGER | `x` |  |  |\n"
    )
