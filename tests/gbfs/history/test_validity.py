"""Rows for changes, and none without a change."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs.history.validity import KnownSystem, Observation, Row, ValidityRows, compare_observations
from gbfs.tables import STATION_INFORMATION_TABLE, SYSTEMS_TABLE

pytestmark = pytest.mark.unit

TICK = datetime(2026, 5, 1, 2, 23, tzinfo=UTC)
URL = "https://example.org/gbfs.json"
CONTENT: Row = {
    "is_reachable": True,
    "discovery_url": URL,
    "version": "2.3",
    "files": [{"name": "station_status", "url": "https://example.org/s.json"}],
}
STATIONS: dict[str, Row] = {
    "1": {"station_id": "1", "capacity": 10},
    "2": {"station_id": "2", "capacity": 20},
}
GOOD = Observation(CONTENT, None, STATIONS)
LILLE = frozenset({"lille"})


def observe_days(
    *seen: Observation, collected: frozenset[str] = LILLE
) -> tuple[dict[str, KnownSystem], ValidityRows]:
    """Return the known systems after observations of lille, one per day, and the rows of the last one."""
    known: dict[str, KnownSystem] = {}
    rows = ValidityRows()
    for day, observation in enumerate(seen):
        known, rows = compare_observations(
            known, {"lille": observation}, collected, TICK + timedelta(days=day)
        )
    return known, rows


def list_events(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [(row["system_id"], row.get("station_id"), row["event"]) for row in rows]


def test_a_new_system_and_its_stations_appear() -> None:
    known, rows = observe_days(GOOD)
    assert list_events(rows.systems) == [("lille", None, "appeared")]
    assert list_events(rows.station_information) == [("lille", "1", "appeared"), ("lille", "2", "appeared")]
    assert known["lille"].files == {"station_status": "https://example.org/s.json"}
    assert rows.systems[0]["valid_from"] == "2026-05-01T02:23:00+00:00"


def test_the_rows_have_the_columns_of_their_tables() -> None:
    _, rows = observe_days(GOOD)
    for found, table in (
        (rows.systems, SYSTEMS_TABLE),
        (rows.station_information, STATION_INFORMATION_TABLE),
    ):
        names = [column.name for column in table.columns]
        repeated = {column.name for column in table.columns if column.mode == "REPEATED"}
        for row in found:
            assert list(row) == names
            assert {name for name in names if isinstance(row[name], list)} == repeated


def test_what_is_the_same_adds_nothing() -> None:
    known, rows = observe_days(GOOD, GOOD)
    assert rows == ValidityRows()
    assert known == observe_days(GOOD)[0]


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ({"version": "3.0"}, ["version"]),
        ({"discovery_url": "https://new.example.org/"}, ["discovery_url"]),
        ({"files": [], "version": "3.0"}, ["version", "files"]),
        ({"is_listed": True}, ["is_listed"]),
    ],
)
def test_a_changed_system_has_a_row_with_the_changed_columns(content: Row, columns: list[str]) -> None:
    _, rows = observe_days(GOOD, Observation(CONTENT | content, None, STATIONS))
    [row] = rows.systems
    assert (row["event"], row["changed_columns"]) == ("changed", columns)
    assert rows.station_information == []


def test_an_unreachable_system_keeps_its_known_content() -> None:
    unreachable = Observation({"is_reachable": False, "discovery_url": URL}, "status 503, expected 200")
    known, rows = observe_days(GOOD, unreachable)
    [row] = rows.systems
    assert (row["event"], row["changed_columns"], row["error"]) == (
        "changed",
        ["is_reachable"],
        "status 503, expected 200",
    )
    assert (row["version"], known["lille"].files) == ("2.3", observe_days(GOOD)[0]["lille"].files)
    assert set(known["lille"].stations) == {"1", "2"}
    assert observe_days(GOOD, unreachable, unreachable)[1] == ValidityRows()
    assert observe_days(GOOD, unreachable, GOOD)[1].systems[0]["changed_columns"] == ["is_reachable"]


def test_a_system_that_was_never_reachable_appears_with_the_error() -> None:
    known, rows = observe_days(
        Observation({"is_reachable": False, "discovery_url": URL}, "no complete response")
    )
    assert list_events(rows.systems) == [("lille", None, "appeared")]
    assert (rows.systems[0]["error"], known["lille"].files) == ("no complete response", {})


def test_stations_change_appear_and_vanish_one_by_one() -> None:
    stations = {"2": {"station_id": "2", "capacity": 21}, "3": {"station_id": "3", "capacity": 3}}
    known, rows = observe_days(GOOD, Observation(CONTENT, None, stations))
    assert list_events(rows.station_information) == [
        ("lille", "2", "changed"),
        ("lille", "3", "appeared"),
        ("lille", "1", "vanished"),
    ]
    assert [row["capacity"] for row in rows.station_information] == [21, 3, None]
    assert set(known["lille"].stations) == {"2", "3"}


@pytest.mark.parametrize("stations", [None, {}])
def test_an_empty_or_unreadable_list_is_not_a_change(stations: Mapping[str, Row] | None) -> None:
    known, rows = observe_days(GOOD, Observation(CONTENT, None, stations))
    assert rows == ValidityRows()
    assert set(known["lille"].stations) == {"1", "2"}


def test_a_system_that_is_no_longer_collected_vanishes_with_its_stations() -> None:
    known, _ = observe_days(GOOD)
    left, rows = compare_observations(known, {}, frozenset(), TICK + timedelta(days=1))
    assert left == {}
    assert list_events(rows.systems) == [("lille", None, "vanished")]
    assert list_events(rows.station_information) == [("lille", "1", "vanished"), ("lille", "2", "vanished")]
    assert rows.systems[0]["version"] == "2.3"


def test_a_system_that_was_not_observed_stays() -> None:
    known, _ = observe_days(GOOD)
    assert compare_observations(known, {}, LILLE, TICK) == (known, ValidityRows())


CAPACITIES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), min_size=1)


@given(st.lists(CAPACITIES, min_size=1, max_size=6))
@pytest.mark.long
def test_valid_rows_are_the_stations_of_the_last_list(days: list[dict[str, int]]) -> None:
    known: dict[str, KnownSystem] = {}
    newest: dict[str, Row] = {}
    for day, capacities in enumerate(days):
        stations = {name: {"station_id": name, "capacity": number} for name, number in capacities.items()}
        seen = {"lille": Observation(CONTENT, None, stations)}
        known, rows = compare_observations(known, seen, LILLE, TICK + timedelta(days=day))
        newest |= {row["station_id"]: row for row in rows.station_information}
    valid = {name: row["capacity"] for name, row in newest.items() if row["event"] != "vanished"}
    assert valid == days[-1]
