"""The number, sizes and hosts of the simulated systems, and the cost model."""

import random
import statistics
from collections import Counter
from pathlib import Path

import pytest

from bench.gbfs.cost import COST_LINES, compute_costs, format_costs, load_model
from bench.gbfs.systems import HOSTS, LARGEST, OUTCOMES, STATIONS, SYSTEMS, assign_hosts, generate_sizes

pytestmark = pytest.mark.unit


def test_the_systems_have_the_stations_of_public_ones() -> None:
    found = generate_sizes(random.Random(0))  # noqa: S311
    assert len(found) == SYSTEMS
    assert sum(found) == pytest.approx(STATIONS, rel=0.01)
    assert sorted(found)[-2:] == sorted(LARGEST)[-2:]
    assert 40 <= statistics.median(found) <= 70
    assert min(found) >= 1


def test_the_systems_are_on_the_hosts_of_public_ones() -> None:
    counts = Counter(assign_hosts())
    assert (len(counts), counts.total()) == (HOSTS, SYSTEMS)
    assert sorted(counts.values())[-2:] == [133, 228]


def test_every_system_has_an_outcome() -> None:
    assert sum(OUTCOMES.values()) == SYSTEMS


@pytest.mark.parametrize(("systems", "most"), [(1, 1.5), (10, 15), (100, 15), (1_000, 95)])
def test_the_monthly_cost_is_bounded(systems: int, most: float) -> None:
    lines = compute_costs(load_model(), systems)
    assert tuple(lines) == COST_LINES
    assert min(lines.values()) >= 0
    assert sum(lines.values()) <= most


def test_a_line_is_computed_from_its_figures() -> None:
    lines = compute_costs(load_model(), 1_000)
    seconds = 51 * 43_800
    assert lines["compute"] == pytest.approx((seconds - 180_000) * 24e-6 + (seconds / 2 - 360_000) * 2.5e-6)
    assert lines["pack writes"] == pytest.approx(4 * 43_800 * 5e-6)


def test_the_page_has_the_table_of_the_model() -> None:
    page = (Path(__file__).parents[3] / "docs" / "gbfs.md").read_text("utf-8")
    assert format_costs(load_model()) in page
