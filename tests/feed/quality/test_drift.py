import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Feed, SchemaDrift, parse_response
from feed.quality.drift import MAX_DRIFTS

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)


def drifts(feed: Feed, records: list[Any]) -> list[tuple[str, str, str]]:
    outcome = parse_response(feed, json.dumps({"records": records}).encode(), TICK)
    for drift in outcome.drifts:
        assert (
            drift.message
            == f"{feed.name}: {drift.kind} {drift.field}: found {drift.found}; expected {drift.expected}"
        )
    return [(drift.kind, drift.field, drift.found) for drift in outcome.drifts]


def test_drift_of_each_kind(ods: Feed) -> None:
    records = json.loads(ods.sample)["records"]
    for record in records:
        del record["fields"]["commune"], record["geometry"]
        record["fields"]["city"] = "LILLE"
    records[1]["extra"] = {"a": 1}
    outcome = parse_response(ods, json.dumps({"records": records}).encode(), TICK)
    assert len(outcome.rows) == len(records)
    assert outcome.drifts == (
        SchemaDrift(
            "missing_field",
            "commune",
            "it in no record",
            "a value or null at fields.commune",
            "vlille_ods: missing_field commune: found it in no record; expected a value or null at "
            "fields.commune",
            is_severe=True,
        ),
        SchemaDrift(
            "missing_field",
            "longitude",
            "it in no record",
            "a value or null at geometry.coordinates[0]",
            "vlille_ods: missing_field longitude: found it in no record; expected a value or null at "
            "geometry.coordinates[0]",
            is_severe=True,
        ),
        SchemaDrift(
            "missing_field",
            "latitude",
            "it in no record",
            "a value or null at geometry.coordinates[1]",
            "vlille_ods: missing_field latitude: found it in no record; expected a value or null at "
            "geometry.coordinates[1]",
            is_severe=True,
        ),
        SchemaDrift(
            "unknown_field",
            "extra",
            "an object with a",
            "a field of the sample",
            "vlille_ods: unknown_field extra: found an object with a; expected a field of the sample",
        ),
        SchemaDrift(
            "unknown_field",
            "fields.city",
            "the text 'LILLE'",
            "a field of the sample",
            "vlille_ods: unknown_field fields.city: found the text 'LILLE'; expected a field of the sample",
        ),
    )


CHANGED: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
    ({"at": 1698353400000}, [("type_changed", "at", "an integer in 2 of 2 records")]),
    ({"at": ""}, [("type_changed", "at", "a text in 2 of 2 records")]),
    ({"o": "x"}, [("type_changed", "o", "a text in 2 of 2 records")]),
    ({"l": [{"n": "x"}]}, [("type_changed", "l", "an array in 2 of 2 records")]),
    ({"at": None}, []),
]


@pytest.mark.parametrize(("change", "expected"), CHANGED)
def test_a_type_that_changed_in_all_records_is_severe(
    make_feed: MakeFeed, change: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    record = {"at": "2023-10-26T20:50:00Z", "o": {"x": 1}, "l": [{"n": 1}]}
    feed = make_feed([record], 'lift = ["o"]')
    body = json.dumps({"records": [record | change] * 2}).encode()
    found = parse_response(feed, body, TICK).drifts
    assert [(each.kind, each.field, each.found) for each in found] == expected
    assert all(each.is_severe for each in found)
    mixed = json.dumps({"records": [record, record | change]}).encode()
    assert parse_response(feed, mixed, TICK).drifts == ()


def test_a_missing_field_is_severe_where_a_common_column_or_the_key_is_made_from_it(
    make_feed: MakeFeed,
) -> None:
    toml = """
        key = "id"
        lift = ["o"]
        [common]
        station_id = "id"
        num_bikes_available = "bikes"
        is_operational = { column = "state", equals = "OPEN" }
    """
    feed = make_feed([{"id": 1, "bikes": 2, "more": 3, "o": {"state": "OPEN"}}], toml)
    for gone, is_severe in (("bikes", True), ("o", True), ("id", True), ("more", False)):
        record = {"id": 1, "bikes": 2, "more": 3, "o": {"state": "OPEN"}}
        del record[gone]
        (drift,) = parse_response(feed, json.dumps({"records": [record]}).encode(), TICK).drifts
        assert (drift.kind, drift.field, drift.is_severe) == ("missing_field", gone, is_severe)


def test_a_field_that_some_record_has_is_not_missing(ods: Feed) -> None:
    records = json.loads(ods.sample)["records"]
    for record in records[1:]:
        del record["fields"]["nom"]
    records[0]["fields"]["nom"] = None
    assert drifts(ods, records) == []


def test_what_is_ignored_comes_and_goes(ods: Feed) -> None:
    records = json.loads(ods.sample)["records"]
    for record in records:
        del record["fields"]["geo"], record["datasetid"]
    assert drifts(ods, records) == []


def test_a_missing_lifted_object_is_one_drift(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1, "p": {"x": 1, "y": 2}}], 'lift = ["p"]')
    assert drifts(feed, [{"a": 1}, {"a": 2}]) == [("missing_field", "p", "it in no record")]
    assert drifts(feed, [{"a": 1, "p": None}]) == []


def test_drift_inside_records_and_arrays(make_feed: MakeFeed) -> None:
    feed = make_feed([{"o": {"x": 1, "l": [{"y": 2}]}}])
    assert drifts(feed, [{"o": {"x": 1, "z": 1, "l": [{"w": 1}]}}, {"o": None}]) == [
        ("unknown_field", "o.z", "the number 1"),
        ("unknown_field", "o.l.w", "the number 1"),
        ("missing_field", "o.l.y", "it in no record"),
    ]
    assert drifts(feed, [{"o": {"x": 1, "l": []}}]) == []


def test_records_that_are_no_objects_say_nothing(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}])
    assert drifts(feed, [3, None, [{"b": 1}]]) == []


def test_many_drifts_are_bounded(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}])
    found = drifts(feed, [{"a": 1, **{"k" * 1000 + str(i): i for i in range(MAX_DRIFTS + 50)}}])
    assert len(found) == MAX_DRIFTS + 1
    assert found[-1] == ("unknown_field", "…", f"more than {MAX_DRIFTS} differences")
    assert all(len(field) <= 300 for _, field, _ in found)


def test_unusual_keys_can_be_logged(make_feed: MakeFeed) -> None:
    outcome = parse_response(make_feed([{"a": 1}]), b'{"records": [{"a": 1, "\\ud800": 1, "": 2}]}', TICK)
    assert len(outcome.drifts) == 2
    for drift in outcome.drifts:
        drift.message.encode()


@given(st.data())
@pytest.mark.long
def test_a_response_with_the_samples_fields_has_no_drift(feeds: dict[str, Feed], data: st.DataObject) -> None:
    feed = feeds["vlille_ogc"]
    sample = json.loads(feed.sample)["records"]
    records = [copy.deepcopy(each) for each in data.draw(st.lists(st.sampled_from(sample), min_size=1))]
    for record in records[1:]:
        for key in data.draw(st.lists(st.sampled_from(sorted(sample[0])), unique=True)):
            del record[key]
    assert drifts(feed, records) == []
