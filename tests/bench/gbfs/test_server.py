"""The simulated systems of the benchmark are as many, as large and on as many hosts as it says."""

import random
import statistics
from collections import Counter
from pathlib import Path

import pytest

from bench.gbfs.cost import LINES, cost_lines, load_model, render
from bench.gbfs.server import FATES, HOSTS, LARGEST, STATIONS, SYSTEMS, host_numbers, sizes

pytestmark = pytest.mark.unit


def test_the_systems_have_the_stations_of_public_ones() -> None:
    found = sizes(random.Random(0))  # noqa: S311
    assert len(found) == SYSTEMS
    assert sum(found) == pytest.approx(STATIONS, rel=0.01)
    assert sorted(found)[-2:] == sorted(LARGEST)[-2:]
    assert 40 <= statistics.median(found) <= 70
    assert min(found) >= 1


def test_the_systems_are_on_the_hosts_of_public_ones() -> None:
    counts = Counter(host_numbers())
    assert (len(counts), counts.total()) == (HOSTS, SYSTEMS)
    assert sorted(counts.values())[-2:] == [133, 228]


def test_every_system_has_a_fate() -> None:
    assert sum(FATES.values()) == SYSTEMS


@pytest.mark.parametrize(("systems", "most"), [(1, 1.5), (10, 15), (100, 15), (1_000, 95)])
def test_a_month_costs_what_it_may(systems: int, most: float) -> None:
    lines = cost_lines(load_model(), systems)
    assert tuple(lines) == LINES
    assert min(lines.values()) >= 0
    assert sum(lines.values()) <= most


def test_a_line_is_computed_from_its_figures() -> None:
    lines = cost_lines(load_model(), 1_000)
    seconds = 51 * 43_800
    assert lines["compute"] == pytest.approx((seconds - 180_000) * 24e-6 + (seconds / 2 - 360_000) * 2.5e-6)
    assert lines["pack writes"] == pytest.approx(4 * 43_800 * 5e-6)


def test_the_page_has_the_table_of_the_model() -> None:
    page = (Path(__file__).parents[3] / "docs" / "gbfs.md").read_text("utf-8")
    assert render(load_model()) in page
