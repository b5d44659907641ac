"""The shapes of docs/feeds.md, each a folder made of its two blocks; and what goes wrong with them."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Feed, FeedError, load_feed, parse_response
from feed.parsing.response_format import MAX_RECORDS, ResponseFormat, ResponseFormatError
from feed.paths import format_path, parse_path
from tests.feed.examples import EXAMPLES, write_example

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
TICK = datetime(2026, 11, 1, tzinfo=UTC)
MOST_LINES = 10
# Title → the first and the last row, of some columns.
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "GBFS 2.3: station_status": (
        {
            "station_id": "11",
            "num_bikes_available": 6,
            "last_reported": datetime(2026, 9, 21, 14, 13, 32, tzinfo=UTC),
        },
        {"station_id": "12", "is_renting": True},
    ),
    "GBFS 2.3: station_status joined with station_information": (
        {"station_id": "11", "num_bikes_available": 6, "name": "Quay", "capacity": 18},
        {"station_id": "13", "num_bikes_available": 3, "name": None, "capacity": None},
    ),
    "GBFS 3.0: station_information, a name chosen by language": (
        {"station_id": "1", "name": "Gare"},
        {"station_id": "2", "name": "Harbour", "capacity": 12},
    ),
    "A list with an API key: JCDecaux": (
        {"number": "1", "bikes": 3, "latitude": 43.6},
        {"number": "2", "status": "CLOSED", "stands": 0},
    ),
    "A list of key/value pairs: TfL": (
        {"id": "D_1", "bikes": 4, "docks": 19},
        {"id": "D_2", "bikes": 7, "docks": 20},
    ),
    "An object of records by key": ({"id": "s12", "bikes": 3}, {"id": "s13", "lat": 50.62}),
    "Parallel arrays: Open-Meteo": (
        {"time": datetime(2026, 1, 1, tzinfo=UTC), "temperature": 1.5, "rain": 0.0},
        {"time": datetime(2026, 1, 1, 1, tzinfo=UTC), "rain": None},
    ),
    "Rows as arrays, with their names beside them": ({"id": "a", "bikes": 3}, {"id": "b", "bikes": 0}),
    "Records below nested arrays": ({"id": "8", "bikes": 1}, {"id": "9", "bikes": 0}),
    "CSV with a header": (
        {"id": "007", "bikes": 4, "seen": datetime(2026, 9, 21, 12, 54, tzinfo=UTC)},
        {"id": "008", "bikes": None},
    ),
    "Pages: Opendatasoft v2.1": (
        {"stationcode": "9001", "numbikesavailable": 5, "lon": 2.27},
        {"stationcode": "9002", "lat": 48.87},
    ),
    "NDJSON": ({"id": "a", "bikes": 1}, {"id": "b", "bikes": 2}),
}


def folder_of(title: str, into: Path) -> Path:
    return write_example(title, into / "example")


def test_every_example_is_tested() -> None:
    assert list(EXAMPLES) == list(ROWS)
    assert max(len(toml.splitlines()) for _, _, toml in EXAMPLES.values()) <= MOST_LINES


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_of_the_documentation_gives_its_rows(title: str, tmp_path: Path) -> None:
    feed = load_feed(folder_of(title, tmp_path))
    outcome = parse_response(feed, feed.sample, TICK)
    assert (outcome.rejections, outcome.drifts, len(outcome.rows)) == ((), (), 2)
    for row, expected in zip(outcome.rows, ROWS[title], strict=True):
        assert {name: row[name] for name in expected} == expected
    assert parse_response(feed, feed.sample, TICK, decode=msgspec.json.decode) == outcome


# Title → a response of that feed, and why it is of no use, or its rejected records.
FAULTS: list[tuple[str, bytes, list[tuple[str, int | None]]]] = [
    ("An object of records by key", b'{"stations": []}', [("no_records", None)]),
    ("An object of records by key", b'{"stations": {}}', [("empty", None)]),
    ("An object of records by key", b'{"stations": {"a": 7}}', []),
    (
        "Parallel arrays: Open-Meteo",
        b'{"hourly": {"time": ["2026-01-01T00:00"], "rain": []}}',
        [("no_records", None)],
    ),
    ("Parallel arrays: Open-Meteo", b'{"hourly": {"time": []}}', [("empty", None)]),
    ("Parallel arrays: Open-Meteo", b'{"hourly": []}', [("no_records", None)]),
    ("Rows as arrays, with their names beside them", b'{"rows": [["a", 3]]}', [("no_records", None)]),
    (
        "Rows as arrays, with their names beside them",
        b'{"fields": ["id", "bikes"], "rows": [7]}',
        [("not_an_object", 0)],
    ),
    (
        "Records below nested arrays",
        b'{"countries": [{"cities": [{"uid": 1, "places": []}]}]}',
        [("empty", None)],
    ),
    ("CSV with a header", b"id;bikes;seen\n1;2;2026-01-01T00:00:00Z;4\n", [("not_an_object", 0)]),
    ("CSV with a header", b'id;bikes;seen\n"1', [("not_csv", None)]),
    ("CSV with a header", b"<html><body>", [("html", None)]),
    ("CSV with a header", b"", [("empty", None)]),
    ("NDJSON", b'{"id": "a", "bikes": 1}\n{"id": "b', [("not_an_object", 1)]),
]


@pytest.mark.parametrize(("title", "body", "expected"), FAULTS)
def test_what_is_wrong_with_a_shape_has_a_reason(
    title: str, body: bytes, expected: list[tuple[str, int | None]], tmp_path: Path
) -> None:
    outcome = parse_response(load_feed(folder_of(title, tmp_path)), body, TICK)
    assert [(each.reason, each.index) for each in outcome.rejections] == expected


MANY = 2 * MAX_RECORDS


@pytest.mark.long
@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("CSV with a header", b"id;bikes;seen\n" + b"a;1;\n" * MANY),
        ("NDJSON", b'{"id": "a"}\n' * MANY),
        ("Parallel arrays: Open-Meteo", json.dumps({"hourly": {"time": [0] * MANY}}).encode()),
    ],
)
def test_no_more_records_are_made_than_are_needed_to_refuse_them(
    title: str, body: bytes, tmp_path: Path
) -> None:
    feed = load_feed(folder_of(title, tmp_path))
    outcome = parse_response(feed, body, TICK)
    assert [(each.reason, each.found) for each in outcome.rejections] == [
        ("too_many", f"more than {MAX_RECORDS} records")
    ]
    document = (
        json.loads(body) if title.startswith("Parallel") else feed.response_format.parse_text(body.decode())
    )
    assert len(feed.response_format.extract_records(document, feed.records)) == MAX_RECORDS + 1


def test_a_line_separator_within_a_text_of_ndjson_ends_no_record(tmp_path: Path) -> None:
    feed = load_feed(folder_of("NDJSON", tmp_path))
    body = '{"id": "a\u2028b", "bikes": 1}\n{"id": "c", "bikes": 2}\r\n'.encode()
    assert [row["id"] for row in parse_response(feed, body, TICK).rows] == ["a\u2028b", "c"]


@pytest.mark.parametrize(
    ("value", "is_read"), [("7" * 5_000, True), ("[" * 498 + "]" * 498, True), ("[" * 500 + "]" * 500, False)]
)
def test_a_line_of_ndjson_is_read_as_json_is(value: str, is_read: bool, tmp_path: Path) -> None:
    feed = load_feed(folder_of("NDJSON", tmp_path))
    outcome = parse_response(feed, f'{{"id": "a", "bikes": 1, "more": {value}}}'.encode(), TICK)
    assert [row["id"] for row in outcome.rows] == ["a"] * is_read
    assert [each.reason for each in outcome.rejections] == ["not_an_object"] * (not is_read)


def test_a_station_without_its_pair_has_null(tmp_path: Path) -> None:
    feed = load_feed(folder_of("A list of key/value pairs: TfL", tmp_path))
    pairs: list[Any] = [[], [{"key": "NbBikes"}], [{"key": "NbBikes", "value": "x"}], None, [7]]
    records = [{"id": str(n), "commonName": "", "additionalProperties": pair} for n, pair in enumerate(pairs)]
    outcome = parse_response(feed, json.dumps(records).encode(), TICK)
    assert [row["bikes"] for row in outcome.rows] == [None] * 5
    assert [(each.index, each.field) for each in outcome.rejections] == [(2, "bikes")]


REFUSED = [
    ('keyed = "id"\ncolumnar = true', "found keyed and columnar"),
    ('delimiter = ";"', "key delimiter: found a key that the format json does not have"),
    ("columnar = 1", "key columnar: found the number 1; expected true or false"),
    ("paging = {}", "key paging.offset: found none or several of offset, page and next"),
    ('paging = { page = "p", next = "n" }', "expected exactly one of them"),
    ('format = "xml"', "key format: found 'xml'; expected one of json, ndjson, csv"),
]


@pytest.mark.parametrize(("toml", "message"), REFUSED)
def test_what_cannot_be_is_refused(make_feed: MakeFeed, toml: str, message: str) -> None:
    with pytest.raises(FeedError, match=re.escape(message)):
        make_feed([{"id": 1}], toml)


def test_a_hint_says_how_to_read_an_object(make_feed: MakeFeed) -> None:
    with pytest.raises(
        FeedError,
        match=r'set keyed = "id" for an object of records by key, columnar = true for parallel arrays',
    ):
        make_feed([], sample={"records": {"a": {"b": 1}}})


def test_texts_that_mean_null(make_feed: MakeFeed) -> None:
    feed = make_feed([{"id": "1", "o": {"n": 1}, "l": ["a"]}], 'nulls = ["", "NA"]\nlift = ["o"]')
    outcome = parse_response(feed, b'{"records": [{"id": "NA", "o": {"n": ""}, "l": ["b"]}]}', TICK)
    assert [(row["id"], row["n"], row["l"]) for row in outcome.rows] == [(None, None, ["b"])]
    assert outcome.rejections == ()


@pytest.mark.parametrize("text", ["a[].b", "a[k=v].b", "a[k=v|w]", "[]", "a['x.y']", "a[k=1][]"])
def test_paths_are_written_as_they_are_read(text: str) -> None:
    assert format_path(parse_path(text)) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
arrangements = st.sampled_from(
    [
        ResponseFormat(),
        ResponseFormat(keyed="id"),
        ResponseFormat(columnar=True),
        ResponseFormat(header=(0,)),
        ResponseFormat(header=("a",)),
        ResponseFormat(nulls=("", "NA")),
    ]
)


@given(arrangements, values, st.sampled_from(["", "[]", "[0]", "a", "[a=1]"]))
def test_any_document_has_records_or_a_reason(
    response_format: ResponseFormat, document: Any, path: str
) -> None:
    with suppress(ResponseFormatError):
        assert isinstance(response_format.extract_records(document, parse_path(path)), list)
