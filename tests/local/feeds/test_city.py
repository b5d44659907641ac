"""`CITY=…`: the matching system, whether it can be reached, and the feed that is written for it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdk.settings import load_environments
from feed import load_feed
from gbfs import CatalogueSystem
from gbfs.catalogue.built_in import BUILT_IN_SYSTEMS
from gbfs.catalogue.registry import CATALOGUE_URL, Registry
from local.errors import LocalError
from local.feeds.city import prepare_city, split_cities, write_environment
from tests.conftest import ENVIRONMENTS
from tests.gbfs.catalogue.test_systems import LILLE, format_catalogue

pytestmark = pytest.mark.unit

CATALOGUE = format_catalogue(
    LILLE,
    LILLE
    | {"System ID": "dott-bodø", "Name": "Dott Bodø", "Location": "Bodø", "Supported Versions": "2.1 ; 3.0"},
    LILLE | {"System ID": "a/b", "Name": "Slash", "Location": "", "Supported Versions": ""},
    LILLE
    | {
        "System ID": "locked",
        "Location": "Hamburg",
        "Authentication Type": "2",
        "Authentication Parameter Name": "X-Key",
        "Authentication Info URL": "https://example.org/key",
    },
)


def discovery(*files: str, version: str = "3.0") -> bytes:
    feeds = [{"name": file, "url": f"https://example.org/{file}"} for file in files]
    return json.dumps({"version": version, "data": {"feeds": feeds}}).encode()


def offline(_url: str) -> bytes:
    raise OSError("it cannot be reached (Network is unreachable)")


def with_catalogue(url: str) -> bytes:
    if url != CATALOGUE_URL:
        raise OSError("it does not respond within 4 s")
    return CATALOGUE.encode()


def test_a_reachable_system_is_collected_in_its_own_version(tmp_path: Path) -> None:
    city = prepare_city("lille", tmp_path, tmp_path / "cache", lambda _: discovery("station_status"))
    assert (city.unreachable_reason, city.version, city.feed) == (None, "3.0", "gbfs_v_lille")
    feed = load_feed(city.sources / city.feed)
    assert feed.url == "https://example.org/station_status"
    assert feed.common.num_bikes_available == "num_vehicles_available"
    assert city.variables == {"VLILLE_SOURCES": str(city.sources)}
    assert [folder.name for folder in city.sources.iterdir()] == [city.feed]
    assert city.description == "GBFS system v_lille (V'lille, Lille, FR)"


@pytest.mark.parametrize("system", BUILT_IN_SYSTEMS, ids=lambda system: system.system_id)
def test_without_a_network_every_built_in_system_is_simulated(
    system: CatalogueSystem, tmp_path: Path
) -> None:
    city = prepare_city(system.system_id, tmp_path, tmp_path / "cache", offline)
    assert city.unreachable_reason == "it cannot be reached (Network is unreachable)"
    assert city.simulated.version == city.version == city.system.versions[-1]
    assert city.simulated.description == f"a simulated GBFS {city.version} system with 60 stations"
    assert load_feed(city.sources / city.feed).key == "station_id"


@pytest.mark.parametrize(
    ("name", "system_id", "version"),
    [("bodø", "dott-bodø", "3.0"), ("Slash", "a/b", "2.3"), ("hamburg", "locked", "2.3")],
)
def test_the_catalogue_is_downloaded_for_a_city_that_is_not_built_in(
    tmp_path: Path, name: str, system_id: str, version: str
) -> None:
    city = prepare_city(name, tmp_path / "gbfs", tmp_path / "cache", with_catalogue)
    assert (city.system.system_id, city.version) == (system_id, version)
    assert load_feed(city.sources / city.feed).name == city.feed
    assert city.sources.is_relative_to(tmp_path / "gbfs")
    assert (tmp_path / "cache" / "systems.csv").is_file()


def test_a_system_that_needs_a_key_is_simulated_with_the_reason(tmp_path: Path) -> None:
    city = prepare_city("locked", tmp_path, tmp_path / "cache", with_catalogue)
    assert city.unreachable_reason == "locked needs an API key (X-Key); see https://example.org/key"


def test_an_html_page_instead_of_the_discovery_file_is_reported(tmp_path: Path) -> None:
    city = prepare_city("lille", tmp_path, tmp_path / "cache", lambda _: b"<html>maintenance</html>")
    assert "found an HTML page" in str(city.unreachable_reason)


def test_an_unknown_city_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        LocalError, match=r"^CITY=atlantis: 'atlantis': no GBFS system has this ID, name or city; "
    ):
        prepare_city("atlantis", tmp_path, tmp_path / "cache", with_catalogue)


def test_without_a_network_the_error_of_an_unknown_city_names_the_failed_download(tmp_path: Path) -> None:
    with pytest.raises(
        LocalError,
        match=r"none of the \d+ built-in systems; .*; the download of the catalogue failed: https://raw",
    ):
        prepare_city("atlantis", tmp_path, tmp_path / "cache", offline)


def test_a_system_without_stations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        LocalError, match=r"CITY=lille: v_lille publishes no station_status, only vehicle_status; name"
    ):
        prepare_city("lille", tmp_path, tmp_path / "cache", lambda _: discovery("free_bike_status"))


# --- several systems ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("lille", ["lille"]),
        ("lille,paris", ["lille", "paris"]),
        (" lille , paris,, lille", ["lille", "paris"]),
        ("Washington, DC", ["Washington, DC"]),
        ("Washington, DC, Paris", ["Washington", "DC", "Paris"]),
    ],
)
def test_a_comma_separates_systems_unless_it_is_in_a_name(
    tmp_path: Path, names: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    washington = replace(BUILT_IN_SYSTEMS[0], system_id="capital", name="Capital", location="Washington, DC")
    registry = Registry((*BUILT_IN_SYSTEMS, washington), None, None)
    monkeypatch.setattr("local.feeds.city.load_registry", lambda _: registry)
    assert split_cities(names, tmp_path) == found


def test_several_systems_are_in_a_copy_of_the_environment(tmp_path: Path) -> None:
    cities = [prepare_city(name, tmp_path, tmp_path / "cache", offline) for name in ("lille", "paris")]
    file = ENVIRONMENTS / "dev.toml"
    folder = write_environment(cities, file, tmp_path, tmp_path / "cache")
    settings = load_environments(folder, ["vlille_gbfs"])["dev"]
    assert [system.system_id for system in settings.gbfs_systems] == ["Paris", "v_lille"]
    assert [each.name for each in folder.iterdir()] == ["dev.toml"]
    with pytest.raises(LocalError, match=r"CITY has several systems, and .*dev\.toml has \[gbfs\] already"):
        write_environment(cities, folder / "dev.toml", tmp_path, tmp_path / "cache")
