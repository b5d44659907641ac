"""The function's environment variables and its systems."""

from pathlib import Path

import pytest

from collector.settings import SettingsError
from gbfs.collection.systems import CollectedSystem, write_systems
from gbfs_collector.settings import Settings, load_systems

pytestmark = pytest.mark.unit

ENVIRONMENT = {
    "PROJECT": "city",
    "LOCATION": "europe-west1",
    "PACKS_BUCKET": "city-archive",
    "DATASET": "city.vlille",
    "SHARDS": "2",
    "DEADLINE_S": "45",
    "REQUEST_S": "10",
}


def test_every_variable_is_read() -> None:
    assert Settings.of(ENVIRONMENT) == Settings(
        "city", "europe-west1", "city-archive", "city.vlille", 2, 45.0, 10.0, ""
    )
    assert Settings.of(ENVIRONMENT | {"CATALOGUE_URL": "https://a.org/"}).catalogue_url == "https://a.org/"


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.of({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
def test_an_invalid_number_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match="SHARDS"):
        Settings.of(ENVIRONMENT | {"SHARDS": value})


def test_systems_are_read_from_the_archive(tmp_path: Path) -> None:
    lille = CollectedSystem("lille", "V'lille", "FR", "Lille", "https://example.org/gbfs.json")
    (tmp_path / "systems.json").write_bytes(write_systems([lille]))
    assert load_systems(tmp_path) == {"lille": lille}
    (tmp_path / "systems.json").write_bytes(b"[")
    with pytest.raises(SettingsError, match=r"systems\.json"):
        load_systems(tmp_path)
