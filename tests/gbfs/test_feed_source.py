"""A GBFS system as a feed."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import load_feed, parse_response, station_schema
from feed.naming import FEED_NAME
from gbfs import VERSIONS, Authentication, GbfsError, read_file
from gbfs.__main__ import main
from gbfs.catalogue.built_in import BUILT_IN_SYSTEMS
from gbfs.feed_source import (
    StatusFile,
    discover_status_file,
    format_source_toml,
    make_feed_name,
    make_sample_json,
    write_feed,
)
from tests.gbfs.samples import SCHEMAS

pytestmark = pytest.mark.unit

LILLE = BUILT_IN_SYSTEMS[0]
URL = "https://example.org/station_status.json"
NOON = datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("system_id", "name"),
    [
        ("v_lille", "gbfs_v_lille"),
        ("Paris", "gbfs_paris"),
        ("511", "gbfs_511"),
        ("dott-bodø", "gbfs_dott_bodo_5dfd3085"),
        ("spin akron", "gbfs_spin_akron_30e164aa"),
    ],
)
def test_the_feed_is_named_after_the_system(system_id: str, name: str) -> None:
    assert make_feed_name(system_id) == name


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_ids_have_different_names(one: str, other: str) -> None:
    assert FEED_NAME.fullmatch(make_feed_name(one))
    assert (make_feed_name(one) == make_feed_name(other)) == (one.lower() == other.lower())


INFORMATION_URL = "https://example.org/2/station_information.json"


@pytest.mark.parametrize("version", VERSIONS)
def test_names_places_and_capacities_are_joined(tmp_path: Path, version: str) -> None:
    status = StatusFile(version, URL, INFORMATION_URL)
    feed = load_feed(write_feed(tmp_path / "sources", LILLE, status))
    assert feed.join is not None
    assert feed.join.url(feed.url) == INFORMATION_URL
    outcome = parse_response(feed, make_sample_json(status), NOON)
    assert (len(outcome.rows), outcome.rejections, outcome.drifts) == (3, (), ())
    row = outcome.rows[0]
    assert (row["station_id"], row["name"], row["capacity"]) == ("1", "Station 1", 20)
    assert (row["lat"], row["lon"]) == pytest.approx((50.631, 3.061))
    [station] = [each for each in outcome.rows if each["station_id"] == "2"]
    far = (
        make_sample_json(status)
        .replace(str(station["lat"]).encode(), b"-37.8")
        .replace(b'"lon": 3.062', b'"lon": 144.9')
    )
    elsewhere = parse_response(feed, far, NOON)
    assert (elsewhere.rows[1]["lat"], elsewhere.rows[1]["lon"], elsewhere.rejections) == (-37.8, 144.9, ())
    common = feed.common
    assert (common.name, common.latitude, common.longitude, common.capacity) == (
        "name",
        "lat",
        "lon",
        "capacity",
    )
    columns = {column["name"] for column in station_schema(feed)}
    schema = SCHEMAS["3.1-RC3" if version == "3.1" else version]["station_status"]
    assert columns - {"collected_at"} == {*schema["fields"], "name", "lat", "lon", "capacity"}


@pytest.mark.parametrize("url", ["", "https://other.example/station_information.json"])
def test_without_station_information_on_the_host_the_id_is_the_name(tmp_path: Path, url: str) -> None:
    feed = load_feed(write_feed(tmp_path / "sources", LILLE, StatusFile("2.3", URL, url)))
    assert (feed.join, feed.common.name, feed.common.capacity) == (None, "station_id", None)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_gives_a_feed_with_the_fields_of_its_schema(tmp_path: Path, version: str) -> None:
    feed = load_feed(write_feed(tmp_path / "sources", LILLE, StatusFile(version, URL)))
    assert (feed.name, feed.url) == ("gbfs_v_lille", URL)
    columns = [column["name"] for column in station_schema(feed)]
    schema = SCHEMAS["3.1-RC3" if version == "3.1" else version]["station_status"]
    assert set(columns) - {"collected_at"} == set(schema["fields"])
    assert (feed.common.station_id, feed.common.name) == ("station_id", "station_id")
    outcome = parse_response(feed, make_sample_json(StatusFile(version, URL)), NOON)
    assert (len(outcome.rows), outcome.rejections, outcome.drifts) == (3, (), ())
    row = outcome.rows[0]
    assert (row["station_id"], row["is_renting"], row["last_reported"]) == ("1", True, NOON)
    [same, *_] = read_file("lille", "station_status", make_sample_json(StatusFile(version, URL))).rows
    vehicles = "vehicles" if version[0] == "3" else "bikes"
    assert row[f"num_{vehicles}_available"] == same["num_vehicles_available"] == 3


@pytest.mark.parametrize("text", ['Vélo "à" \\ la\tcarte', "a\x7fb", "ø ł 自転車"])
def test_any_name_is_a_valid_title(tmp_path: Path, text: str) -> None:
    folder = write_feed(tmp_path, replace(LILLE, name=text), StatusFile("2.3", URL))
    assert load_feed(folder).title == f"{text}, Lille"


def test_without_a_location_the_title_is_the_name() -> None:
    assert format_source_toml(replace(LILLE, location=""), StatusFile("2.3", URL)).startswith(
        'title = "V\'lille"\n'
    )


# --- discovery ------------------------------------------------------------------------------------


def make_gbfs_json(*files: str) -> bytes:
    feeds = [{"name": file, "url": f"{file}.json"} for file in files]
    return json.dumps({"version": "2.3", "data": {"fr": {"feeds": feeds}}}).encode()


def test_the_status_file_is_found_in_gbfs_json() -> None:
    urls: list[str] = []

    def download(url: str) -> bytes:
        urls.append(url)
        return make_gbfs_json("station_information", "station_status")

    found = discover_status_file(LILLE, download)
    assert urls == [LILLE.discovery_url]
    base = LILLE.discovery_url.removesuffix("gbfs.json")
    assert found == StatusFile("2.3", f"{base}station_status.json", f"{base}station_information.json")


@pytest.mark.parametrize(
    ("body", "reason"),
    [(make_gbfs_json("free_bike_status"), "no_stations"), (b"<html>", "html"), (b'{"data": {}}', "no_files")],
)
def test_a_system_without_stations_is_an_error(body: bytes, reason: str) -> None:
    with pytest.raises(GbfsError) as caught:
        discover_status_file(LILLE, lambda _: body)
    assert caught.value.reason == reason


def test_a_system_that_needs_a_key_is_not_requested() -> None:
    locked = replace(LILLE, authentication=Authentication("header", ("X-Key",), "https://example.org/key"))
    with pytest.raises(GbfsError, match=r"v_lille needs an API key \(X-Key\); see https://example\.org/key"):
        discover_status_file(locked, lambda _: pytest.fail("requested"))


def test_the_command_writes_the_feed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def download(_url: str) -> bytes:
        return make_gbfs_json("station_status")

    words = ["source", "lille", "--to", str(tmp_path / "sources")]
    assert main(words, folder=tmp_path / "cache", download=download) == 0
    assert load_feed(tmp_path / "sources" / "gbfs_v_lille").key == "station_id"
    assert "`make demo FEED=gbfs_v_lille`" in capsys.readouterr().out


def test_the_command_reports_a_failed_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def download(_url: str) -> bytes:
        raise OSError("Network is unreachable")

    words = ["source", "lille", "--to", str(tmp_path / "sources")]
    assert main(words, folder=tmp_path, download=download) == 1
    assert capsys.readouterr().err == (
        f"error: {LILLE.discovery_url}: Network is unreachable; no feed was written. "
        "Check the connection, then run this again\n"
    )
    assert not (tmp_path / "sources").exists()
