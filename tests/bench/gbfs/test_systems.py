"""The number, sizes and hosts of the simulated systems."""

import random
import statistics
from collections import Counter

import pytest

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
