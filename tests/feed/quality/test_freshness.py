"""The values that change while a feed is not frozen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Feed, Outcome, count_frozen_minutes, digest_state, load_feed, parse_response
from feed.quality.freshness import list_changing_columns
from tests.conftest import ROOT

pytestmark = pytest.mark.unit

TICK = datetime(2026, 11, 1, tzinfo=UTC)
FEED = load_feed(ROOT / "sources" / "vlille_ogc")
ROWS = parse_response(FEED, FEED.sample, TICK).rows


def outcome(rows: list[dict[str, Any]]) -> Outcome:
    return Outcome(FEED.name, TICK, len(rows), rows, (), ())


def test_bikes_docks_and_states_move(feeds: dict[str, Feed]) -> None:
    assert list_changing_columns(FEED) == ("id", "nb_velos_dispo", "nb_places_dispo", "etat")
    assert FEED.frozen_minutes == 120


CHANGES: list[tuple[str, Any, bool]] = [
    ("nb_velos_dispo", 77, True),
    ("nb_places_dispo", None, True),
    ("etat", "RÉFORMÉ", True),
    ("date_modification", TICK, False),  # some APIs update it although nothing moves
    ("nom", "another name", False),
]


@pytest.mark.parametrize(("column", "value", "is_move"), CHANGES)
def test_a_moved_bike_changes_the_digest(column: str, value: Any, is_move: bool) -> None:
    changed = [ROWS[0] | {column: value}, *ROWS[1:]]
    assert (digest_state(FEED, outcome(changed)) != digest_state(FEED, outcome(ROWS))) is is_move


@given(st.permutations(ROWS))
def test_the_order_of_stations_does_not_change_the_digest(rows: list[dict[str, Any]]) -> None:
    assert digest_state(FEED, outcome(rows)) == digest_state(FEED, outcome(ROWS)) != ""


def test_no_rows_have_no_digest() -> None:
    assert digest_state(FEED, outcome([])) == ""


SINCE: list[tuple[int, float | None, int | None]] = [
    (120, 119.9, None),
    (120, 120, 120),
    (0, 10_000, None),
    (120, None, None),
]


@pytest.mark.parametrize(("limit", "minutes", "found"), SINCE)
def test_a_feed_is_frozen_from_its_minutes_on(limit: int, minutes: float | None, found: int | None) -> None:
    since = None if minutes is None else TICK - timedelta(minutes=minutes)
    feed = replace(FEED, frozen_minutes=limit)
    assert count_frozen_minutes(feed, outcome(ROWS), since) == found
    assert count_frozen_minutes(feed, outcome([]), since) is None
