"""Simulated systems in place of those in a function's archive."""

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from gbfs import read_discovery
from gbfs.collection.systems import CollectedSystem, read_systems, write_systems
from local.feeds.gbfs_systems import VERSIONS, SimulatedSystems

pytestmark = pytest.mark.unit

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.long
def test_each_system_of_the_archive_is_simulated(tmp_path: Path) -> None:
    printed: list[str] = []
    systems = [
        CollectedSystem(f"s{number}", "Name", "FR", "Place", "https://example.org/", {"X-Key": "a"}, None, 5)
        for number in range(3)
    ]
    (tmp_path / "systems.json").write_bytes(write_systems(systems))
    with ExitStack() as stack:
        SimulatedSystems(lambda: NOON, stack, printed.append).replace_systems(tmp_path)
        found = read_systems((tmp_path / "systems.json").read_bytes())
        assert [(each.system_id, each.interval_minutes, dict(each.headers)) for each in found] == [
            (each.system_id, 5, {"X-Key": "a"}) for each in systems
        ]
        urls = [each.discovery_url for each in found]
        versions = [read_discovery(requests.get(url, timeout=10).content, url).version for url in urls]
    assert tuple(versions) == VERSIONS
    assert printed == ["GBFS systems: 3 simulated, with 60 stations each"]


def test_an_archive_without_systems_is_not_changed(tmp_path: Path) -> None:
    printed: list[str] = []
    with ExitStack() as stack:
        SimulatedSystems(lambda: NOON, stack, printed.append).replace_systems(tmp_path)
    assert (printed, list(tmp_path.iterdir())) == ([], [])
