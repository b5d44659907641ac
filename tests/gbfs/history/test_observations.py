"""Observations of systems, from the responses of a discovery."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gbfs.collection.packs import FetchResult
from gbfs.collection.systems import CollectedSystem
from gbfs.history.observations import make_observations
from gbfs.history.validity import Observation
from tests.gbfs.samples import make_document, make_record

pytestmark = pytest.mark.unit

AT = datetime(2026, 5, 1, 2, 23, 1, tzinfo=UTC)
URL = "https://example.org/gbfs.json"
LILLE = CollectedSystem("lille", "V'lille", "FR", "Lille", URL)
SYSTEMS = {"lille": LILLE}
FEEDS = {"feeds": [{"name": "station_status", "url": "https://example.org/s.json"}]}
INFORMATION = make_document("2.3", "station_information", make_record("2.3", "station_information"))


def make_response(file: str, body: bytes, **fields: Any) -> FetchResult:
    return replace(FetchResult("lille", file, URL, AT, 200, (), body), **fields)


def make_gbfs_json(version: str = "2.3") -> bytes:
    data = FEEDS if version.startswith("3") else {"fr": FEEDS}
    return json.dumps({"version": version, "data": data}).encode()


def format_catalogue(system_id: str) -> str:
    """Return a catalogue with one system."""
    header = (
        "Country Code,Name,Location,System ID,URL,Auto-Discovery URL,Supported Versions,Authentication Info URL,"
        "Authentication Type,Authentication Parameter Name"
    )
    return f"{header}\nFR,Name,Place,{system_id},,https://example.org/gbfs.json,2.3,,,\n"


def observe(*fetched: FetchResult) -> Observation:
    return make_observations(fetched, SYSTEMS)["lille"]


@pytest.mark.parametrize("version", ["1.1", "2.3", "3.0"])
def test_version_and_files_are_read_from_gbfs_json(version: str) -> None:
    content = observe(make_response("gbfs", make_gbfs_json(version))).content
    assert (content["is_reachable"], content["version"], content["discovery_url"]) == (True, version, URL)
    assert content["files"] == [{"name": "station_status", "url": "https://example.org/s.json"}]
    assert (content["country"], content["location"]) == ("FR", "Lille")
    assert "is_listed" not in content


def test_texts_have_the_language_of_the_files() -> None:
    about = make_document(
        "2.3", "system_information", make_record("2.3", "system_information") | {"name": "V'lille"}
    )
    observation = observe(
        make_response("gbfs", make_gbfs_json()),
        make_response("system_information", about),
        make_response("station_information", INFORMATION),
    )
    assert observation.content["name"] == [{"text": "V'lille", "language": "fr"}]
    assert observation.stations is not None
    [station] = observation.stations.values()
    assert station["name"][0]["language"] == "fr"


def test_the_licence_of_the_environment_is_used() -> None:
    fetched = [make_response("gbfs", make_gbfs_json())]
    licensed = {"lille": replace(LILLE, license_id="CC0-1.0")}
    assert make_observations(fetched, licensed)["lille"].content["license_id"] == "CC0-1.0"


@pytest.mark.parametrize(
    ("fetched", "error"),
    [
        (make_response("gbfs", b"", status=503), "status 503, expected 200"),
        (
            make_response("gbfs", b"", status=None, error="no complete response within 5.0 s"),
            "no complete response within 5.0 s",
        ),
        (make_response("gbfs", b"<html>"), "found an HTML page: <html>; expected JSON"),
    ],
)
def test_an_unreachable_system_has_an_error(fetched: FetchResult, error: str) -> None:
    observation = observe(fetched)
    assert (observation.content["is_reachable"], observation.error) == (False, error)
    assert "files" not in observation.content
    assert observation.stations is None


def test_the_gbfs_json_of_the_catalogue_is_used_if_the_first_one_fails() -> None:
    moved = make_response("gbfs", make_gbfs_json("3.0"), url="https://new.example.org/gbfs.json")
    content = observe(make_response("gbfs", b"", status=404), moved).content
    assert (content["discovery_url"], content["is_reachable"]) == ("https://new.example.org/gbfs.json", True)


@pytest.mark.parametrize("body", [b"<html>", b'{"data": {}}'])
def test_unreadable_station_information_is_not_an_empty_list(body: bytes) -> None:
    assert (
        observe(make_response("gbfs", make_gbfs_json()), make_response("station_information", body)).stations
        is None
    )


@pytest.mark.parametrize(
    ("body", "is_listed"),
    [(format_catalogue("lille"), True), (format_catalogue("paris"), False), ("no catalogue", None)],
    ids=["listed", "not listed", "not known"],
)
def test_the_catalogue_says_whether_the_system_is_listed(body: str, is_listed: bool | None) -> None:
    catalogue = replace(make_response("catalogue", body.encode()), system_id="")
    assert observe(make_response("gbfs", make_gbfs_json()), catalogue).content.get("is_listed") is is_listed


def test_systems_that_are_not_collected_are_ignored() -> None:
    assert (
        make_observations([replace(make_response("gbfs", make_gbfs_json()), system_id="other")], SYSTEMS)
        == {}
    )
