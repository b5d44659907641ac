"""Two documents of one minute as one response: byte for byte, joined by id, with nothing lost."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Feed, FeedError, combine_responses, join_records, load_feed, parse_response, split_response
from feed.parsing.join import Join, JoinedRecords, make_relative_reference
from tests.collector.fakes import TICK

pytestmark = pytest.mark.unit

JOIN = Join("/b.json", ("data", "stations"), "id")


def document(*stations: Any) -> dict[str, Any]:
    return {"data": {"stations": list(stations)}}


CASES: dict[str, tuple[list[Any], Any, JoinedRecords]] = {
    "both": (
        [{"id": "a", "n": 1}],
        document({"id": "a", "x": 2}),
        JoinedRecords([{"id": "a", "n": 1, "x": 2}]),
    ),
    "not by place in the list": (
        [{"id": "a"}, {"id": "b"}],
        document({"id": "b", "x": 2}, {"id": "a", "x": 1}),
        JoinedRecords([{"id": "a", "x": 1}, {"id": "b", "x": 2}]),
    ),
    "a status without its station": (
        [{"id": "a"}],
        document({"id": "b"}),
        JoinedRecords([{"id": "a"}], 1, 1),
    ),
    "number and text": ([{"id": 7}], document({"id": "7", "x": 1}), JoinedRecords([{"id": 7, "x": 1}])),
    "true is no id": ([{"id": True}], document({"id": True, "x": 1}), JoinedRecords([{"id": True}], 1, 0)),
    "of both the first document's": (
        [{"id": "a", "n": 1}],
        document({"id": "a", "n": 2}),
        JoinedRecords([{"id": "a", "n": 1}]),
    ),
    "the first of two": (
        [{"id": "a"}],
        document({"id": "a", "x": 1}, {"id": "a", "x": 2}),
        JoinedRecords([{"id": "a", "x": 1}]),
    ),
    "a station twice": (
        [{"id": "a"}, {"id": "a"}],
        document({"id": "a", "x": 1}),
        JoinedRecords([{"id": "a", "x": 1}, {"id": "a", "x": 1}]),
    ),
    "no second document": ([{"id": "a"}], None, JoinedRecords([{"id": "a"}], 1)),
    "a text in its place": ([{"id": "a"}], "<html>", JoinedRecords([{"id": "a"}], 1)),
    "no records in it": ([{"id": "a"}], {"data": {}}, JoinedRecords([{"id": "a"}], 1)),
    "odd records": (
        ["x", None, {"id": []}, {"id": 10**400}],
        document(3, {"id": 10**400}, {"x": 1}),
        JoinedRecords(["x", None, {"id": []}, {"id": 10**400}], 4),
    ),
    "nothing at all": ([], document({"id": "a"}), JoinedRecords([], 0, 1)),
}


@pytest.mark.parametrize(("records", "other", "joined"), CASES.values(), ids=CASES)
def test_records_are_joined_by_id(records: list[Any], other: Any, joined: JoinedRecords) -> None:
    assert join_records(JOIN, records, other, 100) == joined


IDS = st.one_of(st.integers(0, 5), st.sampled_from("abc"), st.none())


@given(st.lists(IDS), st.lists(IDS))
def test_no_record_is_lost_and_none_is_made(ids: list[Any], others: list[Any]) -> None:
    records = [{"id": each, "place": place} for place, each in enumerate(ids)]
    joined = join_records(JOIN, records, document(*({"id": each, "x": 1} for each in others)), 100)
    assert [each["place"] for each in joined.records] == list(range(len(ids)))
    assert joined.unmatched == sum("x" not in each for each in joined.records)
    assert joined.unused == len(
        {str(each) for each in others if each is not None} - {str(each) for each in ids}
    )


BODIES: list[tuple[bytes, bytes | None, Any]] = [
    (b'{"a": 1 }', b' {"b":2}\n', {"b": 2}),
    (b'{"a": 1 }', None, None),
    (b'{"a": 1 }', b"<html>\xe9", "<html>\xe9"),
    (b'\xef\xbb\xbf{"a": 1 }', b"", ""),
]


@pytest.mark.parametrize(("body", "joined", "found"), BODIES)
def test_both_documents_are_stored_unchanged(body: bytes, joined: bytes | None, found: Any) -> None:
    stored = combine_responses(body, joined)
    assert split_response(json.loads(stored)) == ({"a": 1}, found)
    assert b'{"a": 1 }' in stored
    if joined is not None and joined.isascii():
        assert joined in stored


def test_any_other_document_is_the_first() -> None:
    assert split_response({"response": 1}) == ({"response": 1}, None)
    assert split_response([1]) == ([1], None)


REFERENCES = [
    ("information.json", "/gbfs/information.json"),
    ("/b?x=1", "/b?x=1"),
    ("https://city.example/other/b.json", "/other/b.json"),
]


@pytest.mark.parametrize(("url", "reference"), REFERENCES)
def test_the_second_address_is_on_the_host_of_the_first(url: str, reference: str) -> None:
    first = "https://city.example/gbfs/status.json"
    assert make_relative_reference(first, url) == reference
    assert Join(reference, (), "id").url("http://127.0.0.1:8080/") == f"http://127.0.0.1:8080{reference}"


@pytest.mark.parametrize("url", ["https://other.example/b", "http://city.example/b", "mailto:x", "//x/b"])
def test_another_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not on city\.example"):
        make_relative_reference("https://city.example/gbfs/status.json", url)


SAMPLE = {
    "response": {"updated": 1_790_000_000, "data": {"stations": [{"id": "a", "n": 1}, {"id": "b", "n": 2}]}},
    "joined": document({"id": "a", "name": "Quay", "lat": 50.6}),
}
TOML = """\
url = "https://city.example/gbfs/status.json"
records = "data.stations"
key = "id"
types = { updated = { unit = "seconds" } }
[join]
url = "information.json"
on = "id"
[columns]
updated = "$.updated"
"""


def write(folder: Path, toml: str = TOML, sample: Any = SAMPLE) -> Path:
    (folder / "joined").mkdir()
    (folder / "joined" / "source.toml").write_text(toml)
    (folder / "joined" / "sample.json").write_text(json.dumps(sample))
    return folder / "joined"


@pytest.fixture
def joined(tmp_path: Path) -> Feed:
    return load_feed(write(tmp_path))


def test_a_table_has_the_columns_of_both_and_of_the_response(joined: Feed) -> None:
    assert [(column.name, column.type) for column in joined.columns] == [
        ("id", "STRING"),
        ("n", "INTEGER"),
        ("name", "STRING"),
        ("lat", "FLOAT"),
        ("updated", "TIMESTAMP"),
    ]


def test_rows_are_joined_and_orphans_counted(joined: Feed) -> None:
    status = json.dumps(SAMPLE["response"]).encode()
    information = json.dumps(document({"id": "b", "name": "Gare", "lat": 1.5}, {"id": "z", "name": "Depot"}))
    outcome = parse_response(joined, combine_responses(status, information.encode()), TICK)
    assert [(row["id"], row["n"], row["name"]) for row in outcome.rows] == [("a", 1, None), ("b", 2, "Gare")]
    assert {row["updated"].isoformat() for row in outcome.rows} == {"2026-09-21T14:13:20+00:00"}
    assert (outcome.unmatched, outcome.unused, outcome.drifts, outcome.rejections) == (1, 1, (), ())


@pytest.mark.parametrize("second", [None, b"<html>", b'{"data": {"stations": []}}'])
def test_without_the_second_document_there_are_rows_and_a_severe_drift(
    joined: Feed, second: bytes | None
) -> None:
    outcome = parse_response(joined, combine_responses(json.dumps(SAMPLE["response"]).encode(), second), TICK)
    assert [row["n"] for row in outcome.rows] == [1, 2]
    severe = [drift for drift in outcome.drifts if drift.kind == "unmatched"]
    assert [drift.is_severe for drift in severe] == [True]
    assert "/gbfs/information.json, data.stations: found nothing for any of 2 records" in severe[0].message


def test_the_first_document_alone_is_read_too(joined: Feed) -> None:
    outcome = parse_response(joined, json.dumps(SAMPLE["response"]).encode(), TICK)
    assert ([row["id"] for row in outcome.rows], outcome.unmatched) == (["a", "b"], 2)


def test_both_decoders_read_the_same(joined: Feed) -> None:
    for second in (b"<html>\xff", None, b'{"data": {"stations": [{"id": "a", "lat": 1e999}]}}', b"[1"):
        body = combine_responses(json.dumps(SAMPLE["response"]).encode(), second)
        assert parse_response(joined, body, TICK) == parse_response(
            joined, body, TICK, decode=msgspec.json.decode
        )


REFUSED: list[tuple[str, str, Any, str]] = [
    ('on = "id"', 'on = "key"', SAMPLE, "by which no record of sample.json matches a joined one"),
    (
        'url = "information.json"',
        'url = "https://x.example/a"',
        SAMPLE,
        "a URL on the host of the feed's `url`",
    ),
    ('on = "id"', 'on = "id"\nas = "x"', SAMPLE, "an unknown key"),
    (
        "[join]",
        "[paging]\nnext = 'n'\n[join]",
        SAMPLE,
        "a join with paging, or with records that are no JSON array",
    ),
    ("[join]", "[join]", SAMPLE["response"], "no joined document"),
    ("[join]", "[join]", {"response": SAMPLE["response"], "joined": []}, "both documents"),
    ('"$.updated"', '"$.renewed"', SAMPLE, "which no record of sample.json has"),
]


@pytest.mark.parametrize(("old", "new", "sample", "words"), REFUSED)
def test_a_folder_that_cannot_be_joined_is_refused(
    tmp_path: Path, old: str, new: str, sample: Any, words: str
) -> None:
    with pytest.raises(FeedError, match=words.replace(".", r"\.")):
        load_feed(write(tmp_path, TOML.replace(old, new), sample))


def test_the_official_feed_has_names_and_places(feeds: dict[str, Feed]) -> None:
    feed = feeds["vlille_gbfs"]
    outcome = parse_response(feed, feed.sample, TICK)
    assert (outcome.unmatched, outcome.unused, outcome.drifts) == (0, 1, ())
    row = outcome.rows[0]
    assert (row["station_id"], row["name"], row["capacity"]) == ("101", "QUAI DES FILEURS", 36)


def test_a_second_document_with_a_long_integer_is_kept_as_a_document() -> None:
    body = b'{"data": {"stations": [{"id": "a", "x": ' + b"9" * 5_000 + b"}]}}"
    assert combine_responses(b"{}", body) == b'{"response": {},\n"joined": ' + body + b"}"
