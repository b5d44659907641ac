"""Outlines contain every station of their area."""

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dashboard.data.outlines import (
    MAX_LOCATIONS,
    Outline,
    StationLocation,
    _Grid,
    compute_outlines,
    fold_name,
    merge_names,
)

pytestmark = pytest.mark.unit


def contains(outline: Outline, longitude: float, latitude: float) -> bool:
    """Return whether a point is inside (even-odd rule)."""
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


def test_a_short_name_is_merged_with_its_long_form() -> None:
    merged = merge_names(["MARQUETTE", "Marquette-lez-Lille", "LILLE"])
    assert merged == {
        "MARQUETTE": "MARQUETTE LEZ LILLE",
        "MARQUETTE LEZ LILLE": "MARQUETTE LEZ LILLE",
        "LILLE": "LILLE",
    }


@pytest.mark.parametrize(
    ("areas", "displayed"),
    [
        (["Villeneuve d'Ascq"] * 3, "Villeneuve d'Ascq"),
        (["MARCQ EN BAROEUL", "MARCQ-EN-BARŒUL", "MARCQ-EN-BARŒUL"], "MARCQ-EN-BARŒUL"),
        (["MARQUETTE", "MARQUETTE", "Marquette-lez-Lille"], "Marquette-lez-Lille"),
        (["SAINT ANDRE", "SAINT ANDRE", "Saint-André"], "SAINT ANDRE"),
    ],
)
def test_an_area_has_its_most_frequent_spelling(areas: list[str], displayed: str) -> None:
    locations = [StationLocation(50.6 + n / 100, 3.0 + n * n / 100, area) for n, area in enumerate(areas)]
    assert displayed in {each.area for each in compute_outlines(locations)}


def test_two_areas_share_a_border() -> None:
    locations = [
        StationLocation(50.6, 3.0, "A"),
        StationLocation(50.6, 3.1, "B"),
        StationLocation(50.62, 3.0, "a"),
        StationLocation(50.62, 3.1, "B"),
    ]
    found = compute_outlines(locations)
    assert [each.area for each in found] == ["A", "B"]
    assert all(len(each.rings) == 1 for each in found)
    east = {x for x, _ in found[0].rings[0]}
    assert max(east) == pytest.approx(3.05, abs=1e-4)


@pytest.mark.parametrize(
    "locations", [[], [StationLocation(50.6, 3.0, "A")], [StationLocation(50.6, 3.0, "A")] * 3]
)
def test_fewer_than_three_locations_have_no_outlines(locations: list[StationLocation]) -> None:
    assert compute_outlines(locations) == []


def test_too_many_locations_have_no_outlines() -> None:
    locations = [
        StationLocation(50.0 + n / 100_000, 3.0 + n * n % 997 / 1_000, "A") for n in range(MAX_LOCATIONS + 1)
    ]
    assert compute_outlines(locations) == []


def test_stations_without_an_area_have_one_outline() -> None:
    [whole] = compute_outlines(
        [
            StationLocation(50.6, 3.0, None),
            StationLocation(50.61, 3.0, None),
            StationLocation(50.6, 3.05, None),
        ]
    )
    assert whole.area == ""
    assert contains(whole, 3.0, 50.6)


spots = st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from("ABC"))


@given(st.lists(spots, min_size=3, max_size=25, unique_by=lambda spot: spot[:2]))
@pytest.mark.long
def test_each_station_is_in_its_own_area_only(found: list[tuple[int, int, str]]) -> None:
    assume(len(found) >= 3)
    # Off the grid, so that no four stations are on one circle.
    locations = [
        StationLocation(50.6 + y / 300 + (x * y % 7) / 1e4, 3.0 + x / 200 + (x * 3 + y) % 11 / 1e4, area)
        for x, y, area in found
    ]
    shapes = compute_outlines(locations)
    for location in locations:
        inside = [each.area for each in shapes if contains(each, location.longitude, location.latitude)]
        assert inside == [location.area]


@given(st.lists(spots, min_size=2, max_size=40, unique_by=lambda spot: spot[:2]))
def test_all_points_are_found_nearest_first(found: list[tuple[int, int, str]]) -> None:
    points = [(x / 7, y / 3) for x, y, _ in found]
    grid = _Grid(points)
    for index, point in enumerate(points):
        others = ((math.dist(point, other), number) for number, other in enumerate(points) if number != index)
        assert list(grid.find_nearest(index)) == sorted(others)


@pytest.mark.long
def test_the_outlines_of_thousands_of_locations_contain_each_of_them() -> None:
    rng = random.Random(3)  # noqa: S311 - not for secrets
    spots = {(rng.uniform(50.4, 50.9), rng.uniform(2.7, 3.4)) for _ in range(4_000)}
    locations = [StationLocation(x, y, "NORTH" if x > 50.65 else "SOUTH") for x, y in sorted(spots)]
    shapes = compute_outlines(locations)
    assert [each.area for each in shapes] == ["NORTH", "SOUTH"]
    for location in locations[::200]:
        assert [each.area for each in shapes if contains(each, location.longitude, location.latitude)] == [
            location.area
        ]
