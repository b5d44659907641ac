"""The catalogue that MobilityData publishes; tests/conftest.py leaves this file out where there is no copy of it."""

import functools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feed import load_feed
from gbfs import read_catalogue
from gbfs.catalogue.registry import update_registry
from gbfs.catalogue.systems import find_system
from gbfs.feed_source import make_feed_name
from local.feeds.city import prepare_city
from tests.conftest import CATALOGUE
from tests.local.feeds.test_city import offline

pytestmark = pytest.mark.unit


def test_the_published_catalogue_loads() -> None:
    found = read_catalogue(CATALOGUE.read_text("utf-8"))
    assert found.rows == 1_520
    assert [(refused.system_id, refused.reason) for refused in found.refused] == [
        ("citiz_la_rochelle", "duplicate_id"),
        ("ns_ov_fiets", "not_encrypted"),
    ]
    assert all(system.discovery_url.isascii() for system in found.systems)
    assert len({system.country for system in found.systems}) == 48
    assert sum(system.authentication is not None for system in found.systems) == 5
    assert {system.system_id for system in found.systems} >= {"dott-bodø", "dott-łukow", "voi_V'Lônes"}
    for system in found.systems:
        assert find_system(found.systems, system.system_id) == system


@pytest.mark.long
def test_every_system_of_the_catalogue_can_be_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gbfs.catalogue.registry.read_catalogue", functools.cache(read_catalogue))
    systems = read_catalogue(CATALOGUE.read_text("utf-8")).systems
    cache = tmp_path / "cache"
    update_registry(cache, datetime(2026, 7, 21, tzinfo=UTC), lambda _: CATALOGUE.read_bytes())
    for system in systems[::10]:
        city = prepare_city(system.system_id, tmp_path / "gbfs", cache, offline)
        assert city.system == system
        assert load_feed(city.sources / city.feed).title.startswith(system.name)
    assert len({make_feed_name(system.system_id) for system in systems}) == len(systems)
