"""Minutes converted to changes and back: literal cases and generated histories."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs.history.changes import (
    Change,
    ChangeFinder,
    ChangePeriod,
    expand_changes,
    find_changes,
    join_periods,
    select_compared_values,
)

pytestmark = pytest.mark.unit

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def make_minutes(*stations: dict[str, int]) -> list[tuple[datetime, dict[str, dict[str, Any]]]]:
    return [
        (at(number), {station: {"bikes": bikes} for station, bikes in each.items()})
        for number, each in enumerate(stations)
    ]


@pytest.mark.parametrize(
    ("given_minutes", "changes"),
    [
        (make_minutes(), []),
        (make_minutes({}), []),
        (make_minutes({"1": 5}), [Change("1", at(0), None, {"bikes": 5})]),
        (make_minutes({"1": 5}, {"1": 5}, {"1": 5}), [Change("1", at(0), None, {"bikes": 5})]),
        (
            make_minutes({"1": 5}, {"1": 4}, {"1": 5}),
            [
                Change("1", at(0), at(1), {"bikes": 5}),
                Change("1", at(1), at(2), {"bikes": 4}),
                Change("1", at(2), None, {"bikes": 5}),
            ],
        ),
        (
            make_minutes({"1": 5}, {}, {"1": 5}),
            [Change("1", at(0), at(1), {"bikes": 5}), Change("1", at(2), None, {"bikes": 5})],
        ),
        (
            make_minutes({"1": 5}, {"2": 7}),
            [Change("1", at(0), at(1), {"bikes": 5}), Change("2", at(1), None, {"bikes": 7})],
        ),
    ],
)
def test_a_change_is_one_row(given_minutes: Any, changes: list[Change]) -> None:
    assert list(find_changes(given_minutes)) == changes


def test_a_new_last_reported_alone_is_not_a_change() -> None:
    reported = [(at(number), {"1": {"bikes": 5, "last_reported": at(number)}}) for number in range(3)]
    assert list(find_changes(reported)) == [
        Change("1", at(0), None, {"bikes": 5, "last_reported": at(0)}),
    ]


def test_an_unknown_minute_is_not_restored() -> None:
    known = [(at(0), {"1": {"bikes": 5}}), (at(9), {"1": {"bikes": 5}})]
    changes = list(find_changes(known))
    assert len(changes) == 1
    assert list(expand_changes(changes, [at(0), at(9)])) == known


@pytest.mark.parametrize("later", [0, -1])
def test_ticks_out_of_order_are_refused(later: int) -> None:
    with pytest.raises(ValueError, match="expected ticks in order"):
        list(find_changes([(at(0), {}), (at(later), {})]))


HISTORIES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.dictionaries(st.sampled_from("abc"), st.fixed_dictionaries({"bikes": st.integers(0, 2)})),
    ),
    max_size=12,
)


@given(HISTORIES)
@pytest.mark.long
def test_any_history_is_restored_from_its_changes(history: list[tuple[int, dict[str, Any]]]) -> None:
    known, minute = [], 0
    for step, stations in history:
        minute += step
        known.append((at(minute), stations))
    changes = list(find_changes(known))
    assert list(expand_changes(changes, [tick for tick, _ in known])) == known
    assert len(changes) <= sum(len(stations) for _, stations in known)
    assert all(change.valid_to is None or change.valid_to > change.valid_from for change in changes)


@given(HISTORIES, st.lists(st.integers(0, 12), max_size=4), st.booleans())
@pytest.mark.long
def test_joined_periods_equal_the_changes_of_the_whole(
    history: list[tuple[int, dict[str, Any]]], cuts: list[int], has_end: bool
) -> None:
    known, minute = [], 0
    for step, stations in history:
        minute += step
        known.append((at(minute), stations))
    bounds = sorted({0, len(known), *(cut for cut in cuts if cut < len(known))})
    parts = [known[start:end] for start, end in pairwise(bounds)]
    periods = [ChangePeriod(part[0][0], list(find_changes(part))) for part in parts]
    valid_to = at(999) if has_end else None
    expected = [
        change if change.valid_to else replace(change, valid_to=valid_to) for change in find_changes(known)
    ]
    assert _sorted(join_periods(periods, valid_to)) == _sorted(expected)


def _sorted(changes: Iterable[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: (change.valid_from, change.station_id))


def test_a_response_without_stations_ends_the_changes_of_the_previous_period() -> None:
    periods = [ChangePeriod(at(0), [Change("1", at(0), None, {"bikes": 5})]), ChangePeriod(at(60), [])]
    assert list(join_periods(periods)) == [Change("1", at(0), at(60), {"bikes": 5})]


def test_only_candidates_are_compared() -> None:
    finder = ChangeFinder()
    assert list(finder.add(at(0), {"1": {"bikes": 5}, "2": {"bikes": 5}})) == []
    changed = {"1": {"bikes": 4}, "2": {"bikes": 4}}
    assert list(finder.add(at(1), changed, candidates=["2"])) == [Change("2", at(0), at(1), {"bikes": 5})]
    assert _sorted(finder.end(at(2))) == [
        Change("1", at(0), at(2), {"bikes": 5}),
        Change("2", at(1), at(2), {"bikes": 4}),
    ]


def test_ignored_columns_are_not_compared() -> None:
    assert select_compared_values({"bikes": 1, "last_reported": NOON}) == {"bikes": 1}
