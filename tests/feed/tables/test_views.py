"""Every view on the BigQuery emulator, over rows that the collector's code makes of responses."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.cloud import bigquery

from feed import (
    Feed,
    batch_runs_schema,
    convert_rows_to_json,
    data_views,
    empty_responses_schema,
    landing_name,
    make_empty_response_rows,
    make_rejection_rows,
    parse_response,
    quarantine_schema,
    station_schema,
)
from local.data_plane.emulators import Emulators
from tests.conftest import bigquery_client

pytestmark = pytest.mark.emulator

ZONE = ZoneInfo("Europe/Paris")
# The views look at the last days: rows are of yesterday, from noon UTC on.
NOON = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
PROJECTS = itertools.count(1)

Row = dict[str, Any]


def minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


def response(tick: datetime, bikes: dict[str, tuple[int, int]], **changes: Any) -> bytes:
    """A response of the OGC API: `bikes` has bikes and docks by station, `changes` other fields by station."""
    records = [
        {
            "@id": station,
            "nom": f"Station {station}",
            "commune": "LILLE",
            "etat": "EN SERVICE",
            "x": 3.06 + int(station) / 1000,
            "y": 50.63,
            "nb_velos_dispo": available,
            "nb_places_dispo": docks,
            "date_modification": tick.isoformat(),
        }
        | changes.get(f"_{station}", {})
        for station, (available, docks) in bikes.items()
    ]
    return json.dumps({"records": records}).encode()


class Warehouse:
    """A project on the emulator with a feed's tables, and its views."""

    def __init__(self, client: bigquery.Client, feed: Feed) -> None:
        self.client, self.feed, self.dataset = client, feed, f"{client.project}.vlille"
        client.create_dataset(bigquery.Dataset(self.dataset))
        client.create_dataset(bigquery.Dataset(f"{client.project}.views"))
        schemas = {
            feed.name: station_schema(feed),
            "quarantine": quarantine_schema(),
            "empty_responses": empty_responses_schema(),
            "batch_runs": batch_runs_schema(),
        }
        for name, schema in schemas.items():
            client.create_table(bigquery.Table(f"{self.dataset}.{name}", schema=schema))
        for view in data_views(feed, self.dataset, ZONE.key):
            table = bigquery.Table(f"{client.project}.views.{view.name}")
            table.view_query = view.sql
            client.create_table(table)

    def load(self, responses: dict[datetime, bytes]) -> None:
        self.collect(self.feed, responses)

    def insert(self, table: str, rows: list[Row]) -> None:
        schema = self.client.get_table(f"{self.dataset}.{table}").schema
        config = bigquery.LoadJobConfig(schema=schema, source_format="NEWLINE_DELIMITED_JSON")
        self.client.load_table_from_json(rows, f"{self.dataset}.{table}", job_config=config).result()

    def collect(self, feed: Feed, responses: dict[datetime, bytes]) -> None:
        """Load all that the collector loads: rows, rejections, and empty responses."""
        tables: dict[str, list[Row]] = {feed.name: [], "quarantine": [], "empty_responses": []}
        for tick, body in responses.items():
            outcome, name = parse_response(feed, body, tick), landing_name(feed.name, tick)
            tables[feed.name] += convert_rows_to_json(feed, outcome)
            tables["quarantine"] += make_rejection_rows(outcome, name)
            tables["empty_responses"] += make_empty_response_rows(outcome, name)
        for table, rows in tables.items():
            if rows:
                self.insert(table, rows)

    def clear(self) -> None:
        for name in (self.feed.name, "quarantine", "empty_responses", "batch_runs"):
            self.client.query(f"DELETE FROM `{self.dataset}.{name}` WHERE TRUE").result()  # noqa: S608 - our own

    def rows(self, view: str, columns: str = "*", order: str = "1") -> list[Row]:
        sql = f"SELECT {columns} FROM `{self.client.project}.views.{view}` ORDER BY {order}"  # noqa: S608
        return [dict(row) for row in self.client.query(sql).result()]


@pytest.fixture(scope="module")
def tables(emulators: Emulators, feeds: dict[str, Feed]) -> Iterator[Warehouse]:
    """Tables and views, made once: each view takes the emulator a second."""
    with bigquery_client(emulators, f"views-{next(PROJECTS)}") as client:
        yield Warehouse(client, feeds["vlille_ogc"])


@pytest.fixture
def warehouse(tables: Warehouse) -> Warehouse:
    """The tables, without rows."""
    tables.clear()
    return tables


def test_availability_has_the_history_and_now_the_newest_minute(warehouse: Warehouse) -> None:
    warehouse.load(
        {
            minute(0): response(minute(0), {"1": (3, 7), "2": (0, 4)}),
            minute(1): response(minute(1), {"1": (2, 8), "2": (0, 4)}, _2={"etat": "RÉFORMÉ"}),
        }
    )
    assert [
        (row["collected_at"], row["station_id"], row["num_bikes_available"])
        for row in warehouse.rows("availability", order="collected_at, station_id")
    ] == [(minute(0), "1", 3), (minute(0), "2", 0), (minute(1), "1", 2), (minute(1), "2", 0)]
    newest = warehouse.rows("availability_now", order="station_id")
    assert [(row["station_id"], row["num_bikes_available"], row["is_operational"]) for row in newest] == [
        ("1", 2, True),
        ("2", 0, False),
    ]
    assert {row["collected_at"] for row in newest} == {minute(1)}
    assert (newest[0]["name"], newest[0]["area"]) == ("Station 1", "LILLE")


def test_station_hours_and_the_weekly_profile_count_empty_and_full_minutes(warehouse: Warehouse) -> None:
    bikes = [(0, 10), (0, 10), (1, 9), (10, 0)]
    warehouse.load({minute(n): response(minute(n), {"1": pair}) for n, pair in enumerate(bikes)})
    [hour] = warehouse.rows("station_hours")
    assert hour == {
        "station_id": "1",
        "hour": NOON,
        "minutes": 4,
        "mean_bikes": 2.75,
        "mean_docks": 7.25,
        "share_empty": 0.5,
        "share_full": 0.25,
    }
    [profile] = warehouse.rows("weekly_profile")
    local = NOON.astimezone(ZONE)
    assert profile == {
        "station_id": "1",
        "weekday": local.isoweekday(),
        "hour": local.hour,
        "days": 1,
        "minutes": 4,
        "mean_bikes": 2.75,
        "mean_docks": 7.25,
        "share_empty": 0.5,
        "share_full": 0.25,
    }


def test_shares_leave_out_minutes_without_a_value(warehouse: Warehouse) -> None:
    warehouse.load(
        {
            minute(0): response(minute(0), {"1": (0, 1)}),
            minute(1): response(minute(1), {"1": (0, 1)}, _1={"nb_velos_dispo": None}),
        }
    )
    [hour] = warehouse.rows("station_hours")
    assert (hour["minutes"], hour["share_empty"], hour["mean_bikes"]) == (2, 1.0, 0.0)


def test_minutes_present_counts_each_minute_once(warehouse: Warehouse) -> None:
    warehouse.load({minute(n): response(minute(n), {"1": (1, 1), "2": (1, 1)}) for n in (0, 1, 5)})
    assert warehouse.rows("minutes_present") == [{"day": NOON.date(), "minutes": 3}]


@pytest.mark.parametrize(
    ("minutes", "changing", "expected"),
    [
        ((0, 1, 2), True, []),
        ((0, 1, 5, 6), True, [("missing", 2, 5, 3)]),
        (range(15), False, []),
        (range(16), False, [("unchanged", 1, 16, 15)]),
        ((*range(20), 22), False, [("missing", 20, 22, 2), ("unchanged", 1, 23, 20)]),
    ],
)
def test_outages_are_missing_minutes_and_responses_that_repeat(
    warehouse: Warehouse, minutes: tuple[int, ...], changing: bool, expected: list[tuple[str, int, int, int]]
) -> None:
    warehouse.load(
        {minute(n): response(minute(n), {"1": (n if changing else 3, 7), "2": (1, 1)}) for n in minutes}
    )
    found = warehouse.rows("outages", order="kind, began_at")
    assert [(row["kind"], row["began_at"], row["ended_at"], row["minutes"]) for row in found] == [
        (kind, minute(first), minute(last), count) for kind, first, last, count in expected
    ]


def test_ticks_have_the_outcome_of_each_stored_response(warehouse: Warehouse) -> None:
    feed = replace(warehouse.feed, empty_is_ok=True)
    both = {"1": (1, 1), "2": (1, 1)}
    bodies = [
        response(minute(0), both),
        b'{"records": []}',
        response(minute(2), both, _2={"@id": None}),
        response(minute(3), {"1": (1, 1)}, _1={"@id": None}),
        b"<html>closed</html>",
        response(minute(5), both, _2={"nb_velos_dispo": "many"}),
        response(minute(6), both, _2={"date_modification": minute(60).isoformat()}),
    ]
    warehouse.collect(feed, {minute(number): body for number, body in enumerate(bodies)})
    columns = "collected_at, object, status, records, rows_loaded, rows_rejected, newest_last_reported"
    assert [tuple(row.values()) for row in warehouse.rows("ticks", columns)] == [
        (minute(at), landing_name(feed.name, minute(at)), status, *counts, reported)
        for at, status, counts, reported in (
            (0, "loaded", (2, 2, 0), minute(0)),
            (1, "empty", (0, 0, 0), None),
            (2, "partial", (2, 1, 1), minute(2)),
            (3, "unusable", (1, 0, 1), None),
            (4, "unusable", (0, 0, 0), None),
            (5, "loaded", (2, 2, 0), minute(5)),
            (6, "loaded", (2, 2, 0), minute(6)),
        )
    ]


def test_a_closed_night_is_not_an_outage(warehouse: Warehouse) -> None:
    """Minutes 1 to 3 have a response without records, minute 5 has none, minute 6 an unusable one."""
    feed = replace(warehouse.feed, empty_is_ok=True)
    station, nothing = {"1": (1, 1)}, b'{"records": []}'
    bodies = {n: nothing if n in (1, 2, 3) else response(minute(n), station) for n in (0, 1, 2, 3, 4, 7)}
    warehouse.collect(feed, {minute(n): body for n, body in (bodies | {6: b"<html>"}).items()})
    [outage] = warehouse.rows("outages")
    assert tuple(outage.values()) == ("missing", minute(5), minute(7), 2)
    assert warehouse.rows("minutes_present") == [{"day": NOON.date(), "minutes": 6}]


def test_silent_stations_have_one_reason_each(warehouse: Warehouse) -> None:
    morning = -720
    last = 0
    moving = {morning: {"1": (5, 5), "2": (1, 1), "3": (1, 1), "4": (2, 2)}}
    moving[last] = {"1": (4, 6), "2": (1, 1), "3": (0, 2), "4": (1, 3)}
    old = {"date_modification": minute(last - 61).isoformat()}
    warehouse.load(
        {
            minute(morning): response(minute(morning), moving[morning]),
            minute(last): response(minute(last), moving[last], _3=old, _4={"etat": "IN_MAINTENANCE"}),
        }
    )
    found = {row["station_id"]: row for row in warehouse.rows("silent_stations")}
    assert {station: row["state"] for station, row in found.items()} == {
        "2": "frozen",
        "3": "silent",
        "4": "not operational",
    }
    assert found["2"]["changed_at"] == minute(morning)


def test_station_changes_are_days_with_a_new_name_or_capacity(warehouse: Warehouse) -> None:
    days = [NOON - timedelta(days=n) for n in (3, 2, 1, 0)]
    warehouse.load(
        {
            days[0]: response(days[0], {"1": (3, 7)}),
            days[1]: response(days[1], {"1": (10, 0)}),
            days[2]: response(days[2], {"1": (3, 9)}),
            days[3]: response(days[3], {"1": (4, 8)}, _1={"nom": "Gare"}),
        }
    )
    found = warehouse.rows("station_changes", order="day")
    assert [(row["day"], row["name"], row["capacity"], row["previous_capacity"]) for row in found] == [
        (days[0].date(), "Station 1", 10, None),
        (days[2].date(), "Station 1", 12, 10),
        (days[3].date(), "Gare", 12, 12),
    ]


def test_trips_are_at_least_what_changed_and_large_moves_are_apart(warehouse: Warehouse) -> None:
    bikes = [5, 3, 4, 14, 9, 9]
    warehouse.load({minute(n): response(minute(n), {"1": (each, 20)}) for n, each in enumerate(bikes)})
    assert warehouse.rows("trips") == [
        {"station_id": "1", "hour": NOON, "taken_at_least": 2, "returned_at_least": 1, "moved_in_bulk": 15}
    ]


def test_quarantine_counts_and_rebuilds_are_of_the_feed(warehouse: Warehouse) -> None:
    name = warehouse.feed.name
    at = NOON.isoformat()
    warehouse.insert(
        "quarantine",
        [
            {"collected_at": at, "feed": name, "reason": "bad_value"},
            {"collected_at": at, "feed": name, "reason": "bad_value"},
            {"collected_at": at, "feed": "another", "reason": "bad_value"},
        ],
    )
    run = {
        "feed": name,
        "started_at": at,
        "status": "succeeded",
        "objects_listed": 3,
        "objects_read": 2,
        "objects_quarantined": 1,
        "rows_parsed": 5,
        "rows_loaded": 5,
        "rows_rejected": 0,
    }
    warehouse.insert(
        "batch_runs",
        [
            run | {"run_id": "a"},
            run | {"run_id": "b", "rows_loaded": 4},
            run | {"run_id": "c", "status": "failed"},
            run | {"run_id": "d", "feed": "another"},
        ],
    )
    assert warehouse.rows("quarantine_counts") == [{"day": NOON.date(), "reason": "bad_value", "records": 2}]
    assert [(row["run_id"], row["agrees"]) for row in warehouse.rows("rebuilds")] == [
        ("a", True),
        ("b", False),
        ("c", False),
    ]


def test_a_feed_without_common_columns_has_views_without_rows(emulators: Emulators, make_feed: Any) -> None:
    with bigquery_client(emulators, f"views-{next(PROJECTS)}") as client:
        warehouse = Warehouse(client, make_feed([{"a": 1}], name="unmapped"))
        for view in data_views(warehouse.feed, warehouse.dataset, ZONE.key):
            assert warehouse.rows(view.name) == []


def test_the_queries_of_the_page_run(warehouse: Warehouse) -> None:
    warehouse.load({minute(n): response(minute(n), {"1": (0, 9), "2": (n, 9)}) for n in (0, 1, 4)})
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text("utf-8")
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    found = [
        [tuple(row.values()) for row in warehouse.client.query(sql).result()]
        for sql in (
            each.replace("my-project.vlille_views", f"{warehouse.client.project}.views") for each in queries
        )
    ]
    assert found[0][0] == ("1", 1.0)
    assert found[2] == [(minute(2), minute(4), 2)]
    assert found[3] == [(NOON.date(), 0, 1437)]
    assert len(found) == 4
