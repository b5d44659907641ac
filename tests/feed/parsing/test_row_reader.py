"""Convert records to rows, and reject what does not fit."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from feed import (
    Feed,
    parse_response,
)
from tests.feed.parsing.records import (
    DECODERS,
    TICK,
    MakeFeed,
    assert_reconciled,
    both_decoders,
    copy_sample_records,
    drop_field,
    make_body,
    set_coordinates,
    set_field,
    set_record,
)

pytestmark = pytest.mark.unit

NOT_TWICE = "a unique key; record 0 has the same"
BOUNDS = "latitude 50.4 to 50.9, longitude 2.8 to 3.4"
WHOLE_NUMBER = "an INTEGER (a whole number of at most 64 bits)"
REJECTED: list[tuple[Callable[[dict[str, Any]], Any], tuple[str, str, str, str]]] = [
    (lambda _: 7, ("not_an_object", "", "the number 7", "an object")),
    (lambda _: None, ("not_an_object", "", "null", "an object")),
    (lambda _: [], ("not_an_object", "", "an empty array", "an object")),
    (drop_field("libelle"), ("missing_key", "libelle", "null", "a value, because it is the key")),
    (set_field("libelle", None), ("missing_key", "libelle", "null", "a value, because it is the key")),
    (set_record("fields", None), ("missing_key", "libelle", "null", "a value, because it is the key")),
    (set_field("libelle", "x"), ("bad_value", "libelle", "the text 'x'", WHOLE_NUMBER)),
    (set_field("libelle", 301), ("duplicate_key", "libelle", "the number 301", NOT_TWICE)),
    (set_field("libelle", "301"), ("duplicate_key", "libelle", "the number 301", NOT_TWICE)),
    (set_record("fields", "x"), ("bad_value", "fields", "the text 'x'", "an object")),
    (set_record("fields", [1]), ("bad_value", "fields", "an array of 1", "an object")),
]
A_FLOAT = "a FLOAT (a finite number)"
A_TIME = "a TIMESTAMP (ISO 8601 with an offset, such as 2023-09-08T08:36:00+02:00)"
# Change of a record → what is quarantined, and the value as JSON; then columns of the row that is kept.
LOST: list[tuple[Callable[[dict[str, Any]], Any], tuple[str, str, str, str, str], dict[str, Any]]] = [
    (
        set_field("nbvelosdispo", "many"),
        ("bad_value", "nbvelosdispo", "the text 'many'", WHOLE_NUMBER, '"many"'),
        {"nbvelosdispo": None},
    ),
    (
        set_field("nbvelosdispo", 3.5),
        ("bad_value", "nbvelosdispo", "the number 3.5", WHOLE_NUMBER, "3.5"),
        {"nbvelosdispo": None},
    ),
    (
        set_field("nbvelosdispo", True),
        ("bad_value", "nbvelosdispo", "the boolean true", WHOLE_NUMBER, "true"),
        {"nbvelosdispo": None},
    ),
    (set_field("nom", ["a"]), ("bad_value", "nom", "an array of 1", "a STRING", '["a"]'), {"nom": None}),
    (set_field("nom", {}), ("bad_value", "nom", "an empty object", "a STRING", "{}"), {"nom": None}),
    (
        set_record("geometry", 5),
        ("bad_value", "geometry", "the number 5", "an object", "5"),
        {"longitude": None, "latitude": None},
    ),
    (
        set_record("geometry", {"coordinates": {"x": 1}}),
        ("bad_value", "geometry.coordinates", "an object with x", "an array", '{"x": 1}'),
        {"longitude": None, "latitude": None},
    ),
    (
        set_coordinates("abc", 50.6),
        ("bad_value", "longitude", "the text 'abc'", A_FLOAT, '"abc"'),
        {"longitude": None, "latitude": 50.6},
    ),
    (
        set_coordinates(float("nan"), 50.6),
        ("bad_value", "longitude", "the number nan", A_FLOAT, "NaN"),
        {"longitude": None},
    ),
    (
        set_coordinates(3.1, float("inf")),
        ("bad_value", "latitude", "the number inf", A_FLOAT, "Infinity"),
        {"latitude": None},
    ),
    (
        set_coordinates(50.63, 3.07),
        ("swapped_coordinates", "latitude", "latitude 3.07, longitude 50.63", BOUNDS, "[3.07, 50.63]"),
        {"longitude": 3.07, "latitude": 50.63},
    ),
    (
        set_coordinates(0, 0),
        ("out_of_range", "latitude", "latitude 0.0, longitude 0.0", BOUNDS, "[0.0, 0.0]"),
        {"longitude": None, "latitude": None},
    ),
    (
        set_field("datemiseajour", "yesterday"),
        ("bad_value", "datemiseajour", "the text 'yesterday'", A_TIME, '"yesterday"'),
        {"datemiseajour": None},
    ),
]


@both_decoders
@pytest.mark.parametrize(("change", "expected"), REJECTED, ids=[f"{e[0]} {e[1]} {e[2]}" for _, e in REJECTED])
def test_an_invalid_record_is_rejected_and_the_others_are_kept(
    ods: Feed,
    decode: Callable[[bytes], Any],
    change: Callable[[dict[str, Any]], Any],
    expected: tuple[str, str, str, str],
) -> None:
    records = copy_sample_records(ods)
    records[2] = change(records[2])
    outcome = parse_response(ods, make_body(records), TICK, decode=decode)
    (rejection,) = outcome.rejections
    assert (rejection.reason, rejection.field, rejection.found, rejection.expected) == expected
    assert (rejection.index, rejection.scope, rejection.value) == (2, "record", None)
    assert f"vlille_ods: record 2 rejected ({expected[0]})" in rejection.message
    assert f"found {expected[2]}; expected {expected[3]}" in rejection.message
    assert rejection.record == json.dumps(records[2], ensure_ascii=False)
    whole = parse_response(ods, ods.sample, TICK).rows
    assert outcome.rows == whole[:2] + whole[3:]
    assert_reconciled(ods, outcome)


@both_decoders
@pytest.mark.parametrize(
    ("change", "expected", "kept"), LOST, ids=[f"{e[0]} {e[1]} {e[2]}" for _, e, _ in LOST]
)
def test_a_type_mismatch_rejects_only_the_value(
    ods: Feed,
    decode: Callable[[bytes], Any],
    change: Callable[[dict[str, Any]], Any],
    expected: tuple[str, str, str, str, str],
    kept: dict[str, Any],
) -> None:
    records = copy_sample_records(ods)
    records[2] = change(records[2])
    outcome = parse_response(ods, make_body(records), TICK, decode=decode)
    (rejection,) = outcome.rejections
    assert (
        rejection.reason,
        rejection.field,
        rejection.found,
        rejection.expected,
        rejection.value,
    ) == expected
    assert (rejection.index, rejection.scope, rejection.record) == (2, "value", None)
    assert rejection.occurrences == 1
    assert "vlille_ods: record 2 kept with" in rejection.message
    whole = parse_response(ods, ods.sample, TICK).rows
    assert outcome.rows[:2] + outcome.rows[3:] == whole[:2] + whole[3:]
    assert {name: outcome.rows[2][name] for name in kept} == kept
    assert (outcome.rejected_records, outcome.rejected_values, outcome.implausible_values) == (0, 1, 0)
    assert_reconciled(ods, outcome)


ACCEPTED: list[tuple[Callable[[dict[str, Any]], Any], str, Any]] = [
    (set_field("nbvelosdispo", None), "nbvelosdispo", None),
    (set_field("nbvelosdispo", "12"), "nbvelosdispo", 12),
    (set_field("nbvelosdispo", 12.0), "nbvelosdispo", 12),
    (drop_field("nom"), "nom", None),
    (set_field("nom", 12), "nom", "12"),
    (set_record("geometry", None), "longitude", None),
    (set_record("geometry", {}), "longitude", None),
    (set_coordinates(), "latitude", None),
    (set_coordinates(3), "latitude", None),
    (set_coordinates(3, 50.6, 20), "longitude", 3.0),
    (set_field("libelle", "999"), "libelle", 999),
    (
        set_record("record_timestamp", "1970-01-01T00:00:00Z"),
        "record_timestamp",
        datetime(1970, 1, 1, tzinfo=UTC),
    ),
    (
        set_record("record_timestamp", "2399-12-31T00:00:00Z"),
        "record_timestamp",
        datetime(2399, 12, 31, tzinfo=UTC),
    ),
]


@pytest.mark.parametrize(("change", "column", "expected"), ACCEPTED)
def test_an_unusual_record_is_accepted(
    ods: Feed, change: Callable[[dict[str, Any]], Any], column: str, expected: Any
) -> None:
    records = copy_sample_records(ods)
    records[2] = change(records[2])
    outcome = parse_response(ods, make_body(records), TICK)
    assert outcome.rejections == ()
    assert outcome.rows[2][column] == expected
    assert type(outcome.rows[2][column]) is type(expected)
    assert_reconciled(ods, outcome)


def test_the_first_usable_record_of_a_key_is_kept(ods: Feed) -> None:
    records = copy_sample_records(ods)
    bad, good, again = (copy.deepcopy(records[0]) for _ in range(3))
    bad["fields"]["libelle"] = {}
    outcome = parse_response(ods, make_body([bad, good, again, *records[1:]]), TICK)
    assert [(r.index, r.reason) for r in outcome.rejections] == [(0, "bad_value"), (2, "duplicate_key")]
    assert outcome.rejections[1].expected == "a unique key; record 1 has the same"


def test_a_feed_without_a_key_keeps_duplicates(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}])
    assert len(parse_response(feed, make_body([{"a": 1}, {"a": 1}]), TICK).rows) == 2


def test_an_empty_key_is_none(feeds: dict[str, Feed]) -> None:
    feed = feeds["vlille_ogc"]
    records = copy_sample_records(feed)
    records[1]["@id"] = ""
    outcome = parse_response(feed, make_body(records), TICK)
    assert [(r.index, r.reason, r.found) for r in outcome.rejections] == [(1, "missing_key", "the text ''")]
    assert "record 1 rejected (missing_key), id (path @id): found" in outcome.rejections[0].message


LOCATED = 'key = "id"\n[common]\nstation_id = "id"\nlatitude = "lat"\nlongitude = "lon"\n'


@pytest.mark.parametrize(
    ("lat", "lon", "reason"),
    [
        (50.6, 3.1, None),
        (50.2, 3.5, None),  # within half a degree of the sample's extent
        (43.3, 5.4, "implausible"),  # another city
        (3.1, 50.6, "swapped_coordinates"),
        (91, 3.1, "out_of_range"),
        (50.6, -180.5, "out_of_range"),
        (None, 3.1, None),
        (50.6, None, None),
    ],
)
def test_the_samples_extent_detects_swapped_coordinates(
    make_feed: MakeFeed, lat: float | None, lon: float | None, reason: str | None
) -> None:
    feed = make_feed([{"id": 1, "lat": 50.6, "lon": 3.1}, {"id": 2, "lat": 50.65, "lon": 3.05}], LOCATED)
    outcome = parse_response(
        feed, make_body([{"id": 1, "lat": lat, "lon": lon}, {"id": 2, "lat": 50.6, "lon": 3.1}]), TICK
    )
    assert [rejection.reason for rejection in outcome.rejections] == ([reason] if reason else [])


def test_a_lone_surrogate_rejects_only_its_value(feeds: dict[str, Feed]) -> None:
    feed = feeds["vlille_ogc"]
    records = copy_sample_records(feed)
    records[0]["nom"] = "\ud83d"
    for decode in DECODERS:
        outcome = parse_response(feed, make_body(records), TICK, decode=decode)
        assert [(r.index, r.reason, r.field) for r in outcome.rejections] == [(0, "bad_value", "nom")]
        assert json.loads(outcome.rejections[0].value or "") == "\ud83d"
        assert (outcome.rows[0]["nom"], outcome.rows[0]["id"]) == (None, "301")
        assert_reconciled(feed, outcome)


@pytest.mark.parametrize("depth", [500, 5_000])
def test_deep_values_in_a_record(ods: Feed, depth: int) -> None:
    deep = b'{"records": [{"fields": {"libelle": 1, "nom": ' + b"[" * depth + b"]" * depth + b"}}]}"
    for decode in DECODERS:
        assert_reconciled(ods, parse_response(ods, deep, TICK, decode=decode))


def test_nested_faults_have_a_path(make_feed: MakeFeed) -> None:
    feed = make_feed([{"lines": [{"stops": [{"n": 1}]}]}])
    outcome = parse_response(feed, make_body([{"lines": [{"stops": [{"n": 1}, {"n": "x"}]}]}]), TICK)
    assert outcome.rejections[0].field == "lines[0].stops[1].n"
    assert outcome.rows[0]["lines"] == [{"stops": [{"n": 1}, {"n": None}]}]


@pytest.mark.parametrize(
    ("sample", "value", "kept", "faults"),
    [
        (["a"], ["a", None, {}, "b"], ["a", "b"], ["v[1]", "v[2]"]),
        (["a"], "a", [], ["v"]),
        ({"n": 1, "l": [1]}, {"n": "x", "l": [1, "y"]}, {"n": None, "l": [1]}, ["v.n", "v.l[1]"]),
        ({"n": 1}, "x", None, ["v"]),
        ([{"n": 1}], [{"n": 1}, 7, {"n": "x"}], [{"n": 1}, {"n": None}], ["v[1]", "v[2].n"]),
    ],
)
def test_valid_parts_of_a_nested_value_are_kept(
    make_feed: MakeFeed, sample: Any, value: Any, kept: Any, faults: list[str]
) -> None:
    feed = make_feed([{"v": sample}])
    outcome = parse_response(feed, make_body([{"v": value}]), TICK)
    assert outcome.rows == [{"collected_at": TICK, "v": kept}]
    assert [(each.field, each.scope) for each in outcome.rejections] == [(fault, "value") for fault in faults]
    assert_reconciled(feed, outcome)


@pytest.mark.parametrize(
    ("toml", "rows", "scope"),
    [
        ("", 2, "value"),
        ('on_mismatch = "row"', 1, "record"),
        ('on_mismatch = "response"', 0, "response"),
        ('[rules]\nb = { on_mismatch = "row" }', 1, "record"),
        ('[rules]\nb = { on_mismatch = "response" }', 0, "response"),
        ('on_mismatch = "response"\n[rules]\nb = { on_mismatch = "value" }', 2, "value"),
        ('[rules]\nc = { on_mismatch = "row" }', 2, "value"),
    ],
)
def test_on_mismatch_decides_what_is_rejected(make_feed: MakeFeed, toml: str, rows: int, scope: str) -> None:
    feed = make_feed([{"a": 1, "b": 1, "c": 1}], f'key = "a"\n{toml}')
    outcome = parse_response(feed, make_body([{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": "x", "c": 2}]), TICK)
    assert len(outcome.rows) == rows
    assert [(each.reason, each.field, each.scope) for each in outcome.rejections] == [
        ("bad_value", "b", scope)
    ]
    assert ("in record 1" in outcome.rejections[0].message) is (scope == "response")
    assert_reconciled(feed, outcome)


def test_a_parent_of_another_type_has_the_strictest_on_mismatch_of_its_columns(make_feed: MakeFeed) -> None:
    toml = 'key = "id"\nlift = ["o"]\n[rules]\nb = { on_mismatch = "row" }'
    feed = make_feed([{"id": 1, "o": {"a": 1, "b": 1}}], toml)
    outcome = parse_response(feed, make_body([{"id": 1, "o": "x"}, {"id": 2, "o": {"a": "x", "b": 1}}]), TICK)
    assert [(each.index, each.field, each.scope) for each in outcome.rejections] == [
        (0, "o", "record"),
        (1, "a", "value"),
    ]
    assert_reconciled(feed, outcome)


def test_coordinates_out_of_bounds_reject_the_row_if_the_feed_says_so(make_feed: MakeFeed) -> None:
    bounds = "[bounds]\nlatitude = [50, 51]\nlongitude = [3, 4]\n[rules]\nlon = { on_mismatch = 'row' }"
    feed = make_feed([{"id": 1, "lat": 50.6, "lon": 3.1}], LOCATED + bounds)
    outcome = parse_response(feed, make_body([{"id": 1, "lat": 0, "lon": 0}]), TICK)
    assert [(each.reason, each.scope) for each in outcome.rejections] == [("out_of_range", "record")]
    assert outcome.rows == []


RULES = """
key = "id"
[rules]
bikes = { minimum = 0, maximum = 500 }
at = { not_in_future = true, not_before = 2015-01-01 }
"""
PLAUSIBLE: list[tuple[str, Any, str | None]] = [
    ("bikes", 0, None),
    ("bikes", 500, None),
    ("bikes", None, None),
    ("bikes", -3, "at least 0"),
    ("bikes", 10**9, "at most 500"),
    ("at", "2023-10-26T20:55:00Z", None),
    ("at", "2023-10-26T20:55:01Z", "a time at most 5 minutes after the tick 2023-10-26T20:50Z"),
    ("at", "2099-01-01T00:00:00Z", "a time at most 5 minutes after the tick 2023-10-26T20:50Z"),
    ("at", "2015-01-01T00:00:00Z", None),
    ("at", "0001-01-01T00:00:00Z", "a time not before 2015-01-01"),
]


@pytest.mark.parametrize(("column", "value", "expected"), PLAUSIBLE)
def test_an_implausible_value_is_kept_and_flagged(
    make_feed: MakeFeed, column: str, value: Any, expected: str | None
) -> None:
    feed = make_feed([{"id": 1, "bikes": 3, "at": "2023-10-26T20:50:00Z"}], RULES)
    record = {"bikes": 3, "at": "2023-10-26T20:50:00Z"}
    records = [record | {"id": 1}, record | {"id": 2, column: value}]
    outcome = parse_response(feed, make_body(records), TICK)
    assert len(outcome.rows) == 2
    assert (outcome.rows[1][column] is None) is (value is None)
    flags = [(each.reason, each.index, each.field, each.expected, each.scope) for each in outcome.rejections]
    assert flags == ([("implausible", 1, column, expected, "value")] if expected else [])
    assert (outcome.implausible_values, outcome.rejected_values) == (len(flags), 0)
    assert_reconciled(feed, outcome)
