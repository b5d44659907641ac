"""Outlines cover every station, with the name of its area."""

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dashboard.geometry import MOST_PLACES, Outline, Place, _Grid, fold_name, merge_names, outlines

pytestmark = pytest.mark.unit


def holds(outline: Outline, longitude: float, latitude: float) -> bool:
    """Whether a point is inside (even-odd rule)."""
    inside = False
    for ring in outline.rings:
        for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
            if (y1 > latitude) != (y2 > latitude) and longitude < x1 + (latitude - y1) / (y2 - y1) * (
                x2 - x1
            ):
                inside = not inside
    return inside


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Saint-André", "SAINT ANDRE"),
        ("VILLENEUVE D'ASCQ", "VILLENEUVE D ASCQ"),
        ("  lille ", "LILLE"),
        ("", ""),
    ],
)
def test_spellings_are_folded(name: str, folded: str) -> None:
    assert fold_name(name) == folded


def test_a_short_name_is_the_long_one_of_the_same_place() -> None:
    merged = merge_names(["MARQUETTE", "Marquette-lez-Lille", "LILLE"])
    assert merged == {
        "MARQUETTE": "MARQUETTE LEZ LILLE",
        "MARQUETTE LEZ LILLE": "MARQUETTE LEZ LILLE",
        "LILLE": "LILLE",
    }


def test_two_areas_share_a_border() -> None:
    places = [Place(50.6, 3.0, "A"), Place(50.6, 3.1, "B"), Place(50.62, 3.0, "a"), Place(50.62, 3.1, "B")]
    found = outlines(places)
    assert [each.area for each in found] == ["A", "B"]
    assert all(len(each.rings) == 1 for each in found)
    east = {x for x, _ in found[0].rings[0]}
    assert max(east) == pytest.approx(3.05, abs=1e-4)


@pytest.mark.parametrize("places", [[], [Place(50.6, 3.0, "A")], [Place(50.6, 3.0, "A")] * 3])
def test_fewer_than_three_places_have_no_map(places: list[Place]) -> None:
    assert outlines(places) == []


def test_more_places_than_can_be_drawn_in_time_have_no_outlines() -> None:
    places = [Place(50.0 + n / 100_000, 3.0 + n * n % 997 / 1_000, "A") for n in range(MOST_PLACES + 1)]
    assert outlines(places) == []


def test_stations_without_an_area_have_one_outline() -> None:
    [whole] = outlines([Place(50.6, 3.0, None), Place(50.61, 3.0, None), Place(50.6, 3.05, None)])
    assert whole.area == ""
    assert holds(whole, 3.0, 50.6)


spots = st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from("ABC"))


@given(st.lists(spots, min_size=3, max_size=25, unique_by=lambda spot: spot[:2]))
def test_each_station_lies_in_its_own_area_and_in_no_other(found: list[tuple[int, int, str]]) -> None:
    assume(len(found) >= 3)
    # A place off the grid, so that no four stations lie on one circle.
    places = [
        Place(50.6 + y / 300 + (x * y % 7) / 1e4, 3.0 + x / 200 + (x * 3 + y) % 11 / 1e4, area)
        for x, y, area in found
    ]
    shapes = outlines(places)
    for place in places:
        inside = [each.area for each in shapes if holds(each, place.longitude, place.latitude)]
        assert inside == [place.area]


@given(st.lists(spots, min_size=2, max_size=40, unique_by=lambda spot: spot[:2]))
def test_the_nearest_points_come_first_and_none_is_left_out(found: list[tuple[int, int, str]]) -> None:
    points = [(x / 7, y / 3) for x, y, _ in found]
    grid = _Grid(points)
    for index, point in enumerate(points):
        others = ((math.dist(point, other), number) for number, other in enumerate(points) if number != index)
        assert list(grid.nearest(index)) == sorted(others)


def test_the_outlines_of_thousands_of_places_hold_each_of_them() -> None:
    dice = random.Random(3)  # noqa: S311 - not for secrets
    spots = {(dice.uniform(50.4, 50.9), dice.uniform(2.7, 3.4)) for _ in range(4_000)}
    places = [Place(x, y, "NORTH" if x > 50.65 else "SOUTH") for x, y in sorted(spots)]
    shapes = outlines(places)
    assert [each.area for each in shapes] == ["NORTH", "SOUTH"]
    for place in places[::200]:
        assert [each.area for each in shapes if holds(each, place.longitude, place.latitude)] == [place.area]
