"""The minutes of all systems, from both tables, on the BigQuery emulator."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import bigquery

from gbfs.collection.packs import FetchResult, pack_name
from gbfs.collection.rows import make_rows
from gbfs.history.changes import find_changes
from gbfs.tables import (
    CHANGES_TABLE,
    POLLS_TABLE,
    STATION_INFORMATION_TABLE,
    STATION_STATUS_TABLE,
    SYSTEMS_TABLE,
    TABLES,
)
from gbfs.views import format_availability_sql, format_minutes_present_sql, format_systems_sql
from local.data_plane.emulators import Emulators
from tests.conftest import bigquery_client
from tests.gbfs.samples import make_document, make_record

pytestmark = pytest.mark.emulator

PROJECTS = itertools.count(1)
MIDNIGHT = datetime(2026, 5, 1, tzinfo=UTC)
STATION = make_record("2.3", "station_status")


def at(minute: int) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


def make_result(minute: int, bikes: int, **fields: Any) -> FetchResult:
    stations = [STATION | {"station_id": "1", "num_bikes_available": bikes}, STATION | {"station_id": "2"}]
    body = make_document("2.3", "station_status", *stations)
    about: dict[str, Any] = {"status": 200, "body": body} | fields
    return FetchResult("a", "station_status", "https://example.org/a", at(minute), **about)


RESULTS = {
    1: make_result(1, 5),
    2: make_result(2, 5, status=304, body=b"", unchanged_since=at(1)),
    3: make_result(3, 6),
    4: make_result(4, 0, status=None, body=b"", error="no response"),
    5: make_result(5, 6, status=304, body=b"", unchanged_since=at(3)),
}
MINUTES = [(1, 5), (2, 5), (3, 6), (5, 6)]


class Warehouse:
    """The tables of GBFS systems with a few minutes of one system."""

    def __init__(self, emulators: Emulators) -> None:
        self.dataset = f"gbfs-views-{next(PROJECTS)}.vlille"
        self.client = bigquery_client(emulators, self.dataset.partition(".")[0])
        self.client.create_dataset(self.dataset)
        for table in TABLES.values():
            self.client.create_table(bigquery.Table(f"{self.dataset}.{table.name}", schema=table.schema))
        self.rows = [
            make_rows([each], at(minute), pack_name(at(minute), 0)) for minute, each in RESULTS.items()
        ]
        self.load(POLLS_TABLE.name, [row for each in self.rows for row in each.polls])
        names = [{"text": "Gare", "language": "fr"}]
        station = {
            "system_id": "a",
            "station_id": "1",
            "event": "appeared",
            "lat": 50.6,
            "lon": 3.0,
            "capacity": 20,
        }
        information = [
            station | {"valid_from": at(0).isoformat(), "name": names},
            station | {"valid_from": at(3).isoformat(), "name": names, "event": "changed", "capacity": 30},
        ]
        self.load(STATION_INFORMATION_TABLE.name, information)

    def load(self, table: str, rows: list[dict[str, Any]]) -> None:
        config = bigquery.LoadJobConfig(
            schema=[bigquery.SchemaField.from_api_repr(column) for column in TABLES[table].schema],
            write_disposition="WRITE_APPEND",
        )
        self.client.load_table_from_json(rows, f"{self.dataset}.{table}", job_config=config).result()

    def query_availability(self, today: str) -> list[dict[str, Any]]:
        sql = format_availability_sql(self.dataset, 7, f"DATE '{today}'")
        where = "WHERE day = DATE '2026-05-01' AND feed = 'a' ORDER BY station_id, collected_at"
        return [dict(row) for row in self.client.query(f"SELECT * FROM ({sql}) {where}").result()]  # noqa: S608


@pytest.fixture
def warehouse(emulators: Emulators) -> Warehouse:
    return Warehouse(emulators)


def check_minutes(rows: list[dict[str, Any]]) -> None:
    first = [row for row in rows if row["station_id"] == "1"]
    assert [(row["collected_at"], row["num_bikes_available"]) for row in first] == [
        (at(minute), bikes) for minute, bikes in MINUTES
    ]
    assert [row["capacity"] for row in first] == [20, 20, 30, 30]
    assert {row["name"] for row in first} == {"Gare"}
    second = [row for row in rows if row["station_id"] == "2"]
    assert [row["collected_at"] for row in second] == [at(minute) for minute, _ in MINUTES]
    assert {(row["name"], row["latitude"]) for row in second} == {("2", None)}


def test_the_newest_days_come_from_minutes(warehouse: Warehouse) -> None:
    warehouse.load(STATION_STATUS_TABLE.name, [row for each in warehouse.rows for row in each.station_status])
    check_minutes(warehouse.query_availability("2026-05-07"))
    assert warehouse.query_availability("2026-05-08") == []


def test_earlier_days_come_from_changes(warehouse: Warehouse) -> None:
    held: dict[str, dict[str, Any]] = {}
    minutes = []
    for minute, each in zip(RESULTS, warehouse.rows, strict=True):
        held = {row["station_id"]: row for row in each.station_status} or held
        if each.polls[0]["outcome"] != "failed":
            about = ("collected_at", "system_id")
            values = {
                station: {name: value for name, value in row.items() if name not in about}
                for station, row in held.items()
            }
            minutes.append((at(minute), values))
    rows = [
        dict(change.values)
        | {
            "system_id": "a",
            "valid_from": change.valid_from.isoformat(),
            "valid_to": (change.valid_to or at(1440)).isoformat(),
        }
        for change in find_changes(minutes)
    ]
    assert len(rows) == 3
    warehouse.load(CHANGES_TABLE.name, rows)
    check_minutes(warehouse.query_availability("2026-05-08"))
    assert warehouse.query_availability("2026-05-07") == []


def test_a_vanished_system_is_listed_with_its_last_names(warehouse: Warehouse) -> None:
    known: dict[str, Any] = {
        "system_id": "bod\u00f8/x",
        "name": [{"text": "Bysykkel", "language": "nb"}],
        "timezone": "Europe/Oslo",
        "country": "NO",
    }
    rows: list[dict[str, Any]] = [
        known | {"valid_from": at(0).isoformat(), "event": "appeared"},
        known | {"valid_from": at(5).isoformat(), "event": "vanished"},
        {"system_id": "b", "valid_from": at(0).isoformat(), "event": "appeared", "timezone": "UTC"},
        {"system_id": "b", "valid_from": at(2).isoformat(), "event": "changed", "license_id": "CC0-1.0"},
    ]
    warehouse.load(SYSTEMS_TABLE.name, rows)
    listed = [dict(row) for row in warehouse.client.query(format_systems_sql(warehouse.dataset)).result()]
    columns = ("feed", "name", "time_zone", "country", "licence", "vanished_at")
    found = sorted(tuple(row[column] for column in columns) for row in listed)
    assert found == [
        ("b", "b", None, None, "CC0-1.0", None),
        ("bod\u00f8/x", "Bysykkel", "Europe/Oslo", "NO", None, at(5)),
    ]


def test_minutes_of_a_day_are_counted_from_polls(warehouse: Warehouse) -> None:
    sql = format_minutes_present_sql(warehouse.dataset)
    found = [tuple(row.values()) for row in warehouse.client.query(sql).result()]
    assert found == [(MIDNIGHT.date(), "a", len(MINUTES), 1)]
