"""A producer who changes the GBFS version at the same URL is noticed, and costs no row."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from feed import Feed, parse_response
from feed.quality.gbfs_version import read_gbfs_version

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
TICK = datetime(2026, 9, 21, 14, 15, tzinfo=UTC)
STATION = {"station_id": "a", "num_bikes_available": 4}
TOML = 'key = "station_id"'


def document(**fields: Any) -> dict[str, Any]:
    return {"last_updated": 1790000040, "ttl": 60, "data": {"stations": [STATION]}} | fields


VERSIONS: list[tuple[Any, str | None]] = [
    (document(), ""),
    (document(version=None), ""),
    (document(version="2.3"), "2.3"),
    (document(version=2.3), "2.3"),
    (document(version="3.1-RC2"), "3.1-RC2"),
    (document(version=10**5_000), "a number of more than 76 digits"),
    (document(version=["2.3"]), "an array of 1"),
    (document(version="\ud800" * 90), "the text '\\ud800\\ud800\\ud800\\ud800\\ud800"[:40]),
    ({"version": "1.4.2-build7", "stations": []}, None),  # any other API: its builds have versions too
    ({"last_updated": 1, "ttl": 1}, None),
    ([], None),
    (None, None),
]


@pytest.mark.parametrize(("found", "version"), VERSIONS)
def test_only_documents_of_gbfs_have_a_version(found: Any, version: str | None) -> None:
    assert read_gbfs_version(found) == version


# The versions of the sample and of a response, and what is found.
CHANGES: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"version": "2.3"}, {"version": "2.3"}, None),
    ({"version": "2.3"}, {"version": 2.3}, None),
    ({}, {}, None),
    ({}, {"version": "2.3"}, "GBFS 2.3"),
    ({"version": "1.1"}, {"version": "2.0"}, "GBFS 2.0"),
    ({"version": "2.3"}, {"version": "3.0", "last_updated": "2026-09-21T14:14:00Z"}, "GBFS 3.0"),
    ({"version": "2.3"}, {}, "GBFS without a version"),
]


@pytest.mark.parametrize(("sample", "response", "found"), CHANGES)
def test_a_changed_version_is_severe_drift_and_rows_are_loaded(
    make_feed: MakeFeed, sample: dict[str, Any], response: dict[str, Any], found: str | None
) -> None:
    feed = make_feed(None, TOML, path="data.stations", sample=document(**sample))
    body = json.dumps(document(**response)).encode()
    outcome = parse_response(feed, body, TICK)
    assert (len(outcome.rows), outcome.rejections) == (1, ())
    assert [(drift.kind, drift.found, drift.is_severe) for drift in outcome.drifts] == (
        [("version_changed", found, True)] if found else []
    )
    assert parse_response(feed, body, TICK, decode=msgspec.json.decode) == outcome


def test_the_version_of_a_joined_document_is_compared_too(make_feed: MakeFeed) -> None:
    joined = {"response": document(version="2.3"), "joined": document(version="2.3")}
    toml = f'{TOML}\njoin = {{ url = "station_information.json", on = "station_id" }}'
    feed = make_feed(None, toml, path="data.stations", sample=joined)
    changed = joined | {"joined": document(version="3.0")}
    outcome = parse_response(feed, json.dumps(changed).encode(), TICK)
    assert [drift.message for drift in outcome.drifts] == [
        "invented: version_changed joined.version: found GBFS 3.0; expected GBFS 2.3, as in the sample"
    ]


# Versions of sample and response, fields of the response's station, and those of the row.
UPGRADES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("2.3", "3.0", {"num_vehicles_available": 7}, {"num_bikes_available": 7}),
    ("1.1", "3.1-RC2", {"num_vehicles_available": 7}, {"num_bikes_available": 7}),
    ("2.3", "3.0", {"name": [{"text": "Gare", "language": "fr"}]}, {"name": "Gare"}),
    ("2.3", "3.0", {"name": []}, {"name": None}),
    ("2.3", "3.0", {"num_vehicles_available": 7, "num_bikes_available": 6}, {"num_bikes_available": 6}),
    ("2.3", "2.2", {"num_vehicles_available": 7}, {"num_bikes_available": None}),
]


@pytest.mark.parametrize(("before", "after", "fields", "expected"), UPGRADES)
def test_fields_that_gbfs_3_renamed_are_read_under_their_former_names(
    make_feed: MakeFeed, before: str, after: str, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    station = STATION | {"name": "Quai"}
    sample = document(version=before, data={"stations": [station]})
    feed = make_feed(None, TOML, path="data.stations", sample=sample)
    body = json.dumps(document(version=after, data={"stations": [{"station_id": "a"} | fields]})).encode()
    outcome = parse_response(feed, body, TICK)
    assert [{name: row[name] for name in expected} for row in outcome.rows] == [expected]
    assert parse_response(feed, body, TICK, decode=msgspec.json.decode) == outcome
