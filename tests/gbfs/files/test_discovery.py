"""gbfs.json in both of its forms, and lists of versions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs import Discovery, GbfsError, PublishedVersion, read_discovery, read_manifest, read_versions

pytestmark = pytest.mark.unit
URL = "https://example.org/gbfs/gbfs.json"
STATUS = {"name": "station_status", "url": "https://example.org/status"}
BIKES = {"name": "free_bike_status", "url": "https://example.org/bikes"}


def read_data(data: Any, version: str | None = "2.3") -> Discovery:
    return read_discovery(json.dumps({"version": version, "ttl": 300, "data": data}).encode(), URL)


def test_version_2_lists_the_files_by_language() -> None:
    found = read_data({"fr": {"feeds": [STATUS, BIKES]}, "en": {"feeds": [STATUS]}})
    assert (found.version, found.ttl_seconds) == ("2.3", 300)
    assert found.languages == {
        "fr": {"station_status": STATUS["url"], "vehicle_status": BIKES["url"]},
        "en": {"station_status": STATUS["url"]},
    }


def test_version_3_has_one_list_of_files() -> None:
    found = read_data({"feeds": [STATUS]}, "3.0")
    assert found.files() == {"station_status": STATUS["url"]}
    assert found.choose_language(["fr"]) == ""


@pytest.mark.parametrize(
    ("languages", "preferred", "chosen"),
    [
        (["fr", "en"], [], "en"),
        (["fr", "de"], [], "fr"),
        (["fr", "de"], ["de"], "de"),
        (["fr-CA", "en-US"], ["fr"], "fr-CA"),
        (["de", "en"], ["nl"], "en"),
    ],
)
def test_a_language_is_chosen(languages: list[str], preferred: list[str], chosen: str) -> None:
    assert read_data({each: {"feeds": [STATUS]} for each in languages}).choose_language(preferred) == chosen


@pytest.mark.parametrize(
    ("feed", "files"),
    [
        (
            {"name": "station_status", "url": "status.json"},
            {"station_status": "https://example.org/gbfs/status.json"},
        ),
        ({"name": "station_status.json", "url": "/s"}, {"station_status": "https://example.org/s"}),
        ({"name": " Station_Status ", "url": " https://a.b/s "}, {"station_status": "https://a.b/s"}),
    ],
)
def test_unusual_names_and_urls_are_read(feed: dict[str, str], files: dict[str, str]) -> None:
    assert read_data({"en": {"feeds": [feed]}}).files() == files


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"en": {"feeds": []}},
        {"en": {"feeds": "none"}},
        {"en": None},
        {"feeds": [{"name": "station_status"}, {"url": "https://a.b"}, "x"]},
        {"feeds": [{"name": "station_status", "url": "ftp://a.b/c"}]},
        {"feeds": [{"name": "station_status", "url": "https://[oops"}]},
    ],
)
def test_a_list_without_files_is_refused(data: Any) -> None:
    with pytest.raises(GbfsError) as caught:
        read_data(data)
    assert caught.value.reason == "no_files"


def test_a_language_without_files_is_ignored() -> None:
    assert list(read_data({"en": {"feeds": []}, "fr": {"feeds": [STATUS]}}).languages) == ["fr"]


def test_the_versions_are_listed_oldest_first() -> None:
    listed = [
        {"version": "3.0", "url": "v3/gbfs.json"},
        {"version": "2.3", "url": "https://a.b/v2"},
        {"version": "9.0", "url": "https://a.b/v9"},
        {"version": "1.0"},
        "x",
    ]
    body = json.dumps({"version": "2.3", "data": {"versions": listed}}).encode()
    assert read_versions(body, URL) == (
        PublishedVersion("2.3", "https://a.b/v2"),
        PublishedVersion("3.0", "https://example.org/gbfs/v3/gbfs.json"),
    )


def test_a_manifest_lists_the_versions_of_each_system() -> None:
    versions = [{"version": "3.0", "url": "https://a.b/v3"}]
    datasets = [{"system_id": "bikes", "versions": versions}, {"versions": versions}, None]
    body = json.dumps({"version": "3.0", "data": {"datasets": datasets}}).encode()
    assert read_manifest(body, URL) == {"bikes": (PublishedVersion("3.0", "https://a.b/v3"),)}


@pytest.mark.parametrize(
    ("read_list", "reason"), [(read_versions, "no_versions"), (read_manifest, "no_datasets")]
)
def test_a_missing_list_is_refused(read_list: Any, reason: str) -> None:
    with pytest.raises(GbfsError) as caught:
        read_list(b'{"data": {}}', URL)
    assert caught.value.reason == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["feeds", "name", "url", "en", "data"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
@pytest.mark.long
def test_only_absolute_http_urls_are_returned_for_any_data(data: Any) -> None:
    try:
        found = read_data(data)
    except GbfsError:
        return
    urls = [url for files in found.languages.values() for url in files.values()]
    assert urls
    assert all(url.startswith(("https://", "http://")) for url in urls)


def test_a_long_integer_is_neither_an_identifier_nor_a_version() -> None:
    long = "7" * 5_000
    versions = f'[{{"version": {long}, "url": "https://a.b/x"}}, {{"version": 3.0, "url": "https://a.b/v3"}}]'
    listed = f'[{{"system_id": {long}, "versions": []}}, {{"system_id": 7, "versions": {versions}}}]'
    body = f'{{"version": "3.0", "data": {{"datasets": {listed}}}}}'.encode()
    assert read_manifest(body, URL) == {"7": (PublishedVersion("3.0", "https://a.b/v3"),)}
