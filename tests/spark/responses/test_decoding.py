"""The typed decoder gives the rows of `parse_response`, or leaves the response to it."""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import DecompressionError, compress, decompress, load_feed, load_feeds, parse_response
from spark.responses.decoding import Decoder, decompress_fast, make_decoder

pytestmark = pytest.mark.unit

TICK = datetime(2023, 10, 26, 20, 58, tzinfo=UTC)
SOURCES = Path(__file__).parents[3] / "sources"
# A joined feed is read by `parse_response` alone.
FEEDS = {name: feed for name, feed in load_feeds(SOURCES).items() if feed.join is None}
ODS = FEEDS["vlille_ods"]
SAMPLE = json.loads(ODS.sample)
FIELDS = SAMPLE["records"][0]["fields"]


def of(feed: Any = ODS) -> Decoder:
    decoder = make_decoder(feed)
    assert decoder is not None
    return decoder


def rows(feed: Any, body: bytes) -> list[dict[str, Any]] | None:
    columns = of(feed).columns(body, TICK)
    if columns is None:
        return None
    lists = [column.to_pylist() for column in columns]
    names = [column.name for column in feed.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


def parsed(feed: Any, body: bytes) -> list[dict[str, Any]] | None:
    """Return the rows of a response without rejections and drift, without their tick; None for any other."""
    outcome = parse_response(feed, body, TICK)
    if outcome.rejections or outcome.drifts:
        return None
    return [{name: row[name] for name in list(row)[1:]} for row in outcome.rows]


def sample(**changed: Any) -> bytes:
    """The sample, its second record's fields changed; ... takes a field away."""
    records = json.loads(json.dumps(SAMPLE["records"]))
    fields = records[1]["fields"] | changed
    records[1]["fields"] = {key: value for key, value in fields.items() if value is not ...}
    return json.dumps(SAMPLE | {"records": records}).encode()


@pytest.mark.parametrize("name", FEEDS)
def test_the_sample_is_read_the_quick_way(name: str) -> None:
    feed = FEEDS[name]
    assert rows(feed, feed.sample) == parsed(feed, feed.sample) is not None


def test_so_is_a_response_of_full_size(full_response: bytes) -> None:
    assert rows(ODS, full_response) == parsed(ODS, full_response) is not None


QUICK = {
    "a null": sample(nbvelosdispo=None),
    "a null time": sample(datemiseajour=None),
    "a null coordinate's neighbour": sample(etat=None),
    "an absent field": sample(adresse=...),
    "text beyond ASCII": json.dumps(SAMPLE | {"records": SAMPLE["records"]}, ensure_ascii=False).encode(),
    "an ignored field of another type": sample(geo="nowhere"),
    "other white space": json.dumps(SAMPLE, indent=3).encode() + b"\n\n",
    "the most bikes that are plausible": sample(nbvelosdispo=500),
}
LEFT = {
    "an unknown field": sample(electric=3),
    "text for a number": sample(nbvelosdispo="13"),
    "a float for a number": sample(nbvelosdispo=13.0),
    "a number beyond 64 bits": sample(nbvelosdispo=2**63),
    "a number for text": sample(nom=13),
    "an implausible number": sample(nbvelosdispo=501),
    "an implausible number beside a null": sample(nbvelosdispo=-1, nbplacesdispo=None),
    "no key": sample(libelle=None),
    "the same key twice": sample(libelle=SAMPLE["records"][0]["fields"]["libelle"]),
    "a time that is none": sample(datemiseajour="2023-02-30T00:00:00Z"),
    "a time without a zone": sample(datemiseajour="2023-02-20T00:00:00"),
    "no records": json.dumps(SAMPLE | {"records": []}).encode(),
    "not UTF-8 where nobody looks": ODS.sample.replace(b'"dataset"', b'"\xff"'),
    "not UTF-8 where somebody looks": ODS.sample.replace(b'"LILLE"', b'"\xff"'),
    "a lone surrogate": sample(nom="\ud800"),
    "cut": ODS.sample[:-3],
    "more after it": ODS.sample + b"}",
    "a byte order mark": b"\xef\xbb\xbf" + ODS.sample,
    "HTML": b"<html>",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", QUICK)
def test_what_is_read_the_quick_way(kind: str) -> None:
    assert rows(ODS, QUICK[kind]) == parsed(ODS, QUICK[kind]) is not None


@pytest.mark.parametrize("kind", LEFT)
def test_what_is_left_to_parse(kind: str) -> None:
    assert rows(ODS, LEFT[kind]) is None


OGC = FEEDS["vlille_ogc"]


def modified(at: str | None) -> bytes:
    document = json.loads(OGC.sample)
    document["records"][1]["date_modification"] = at
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("at", "quick"),
    [
        ("2023-10-26T21:03:00Z", True),
        ("2023-10-26T21:03:00.000001Z", False),
        ("2011-09-16T00:00:00Z", True),
        ("2011-09-15T23:59:59Z", False),
        (None, True),
    ],
)
def test_a_time_that_breaks_a_rule_is_left_to_parse(at: str | None, quick: bool) -> None:
    assert rows(OGC, modified(at)) == parsed(OGC, modified(at))
    assert (rows(OGC, modified(at)) is not None) is quick


def test_the_same_time_may_be_in_the_future_of_an_earlier_tick() -> None:
    """The cached values of a column do not affect the next tick."""
    decoder, body = of(OGC), modified("2023-10-26T21:03:00Z")
    assert decoder.columns(body, TICK) is not None
    assert decoder.columns(body, TICK - timedelta(minutes=1)) is None
    assert decoder.columns(body, TICK) is not None


def test_the_largest_number_is_read_the_quick_way(tmp_path: Path) -> None:
    folder = tmp_path / "trams"
    folder.mkdir()
    (folder / "source.toml").write_text('url = "https://example.org"\nrecords = "a"\n')
    (folder / "sample.json").write_text('{"a": [{"n": 1}]}')
    columns = of(load_feed(folder)).columns(b'{"a": [{"n": 9223372036854775807}]}', TICK)
    assert columns is not None
    assert columns[0].to_pylist() == [2**63 - 1]


def test_numbers_are_ids_of_text_the_quick_way(tmp_path: Path) -> None:
    folder = tmp_path / "trams"
    folder.mkdir()
    (folder / "source.toml").write_text('url = "https://example.org"\nrecords = "a"\nkey = "id"\n')
    (folder / "sample.json").write_text('{"a": [{"id": 1, "n": 1}]}')
    feed = load_feed(folder)
    for body in (
        b'{"a": [{"id": 7, "n": 2}, {"id": "B", "n": 3}]}',
        b'{"a": [{"id": 8, "n": 2}, {"id": "C", "n": 3}]}',
    ):
        assert rows(feed, body) == parsed(feed, body) is not None
    for body in (b'{"a": [{"id": 7, "n": 2}, {"id": "7", "n": 3}]}', b'{"a": [{"id": 7.0, "n": 2}]}'):
        assert rows(feed, body) is None


@pytest.mark.parametrize(
    ("declared", "found", "is_quick"),
    [
        ('"version": "2.3", ', '"version": "2.3", ', True),
        ('"version": "2.3", ', '"version": 2.3, ', True),
        ('"version": "2.3", ', '"version": "3.0", ', False),
        ('"version": "2.3", ', '"version": null, ', False),
        ('"version": "2.3", ', "", False),
        ("", "", True),
        ("", '"version": "2.3", ', False),
        ("", '"version": [1], ', False),
    ],
)
def test_another_gbfs_version_is_left_to_parse(
    tmp_path: Path, declared: str, found: str, is_quick: bool
) -> None:
    folder = tmp_path / "gbfs"
    folder.mkdir()
    (folder / "source.toml").write_text('url = "https://example.org"\nrecords = "data.stations"\n')
    body = '{%s"last_updated": 1, "ttl": 0, "data": {"stations": [{"n": 1}]}}'
    (folder / "sample.json").write_text(body % declared)
    feed = load_feed(folder)
    for _ in range(2):  # the second response is decoded by its differences from the first one
        response = (body % found).encode()
        assert rows(feed, response) == parsed(feed, response)
        assert (rows(feed, response) is not None) is is_quick


def test_a_field_that_all_records_lack_is_left_to_parse() -> None:
    """Schema drift must be reported."""
    records = json.loads(json.dumps(SAMPLE["records"]))
    for record in records:
        del record["fields"]["adresse"]
    assert rows(ODS, json.dumps(SAMPLE | {"records": records}).encode()) is None


@pytest.mark.parametrize(
    "coordinates", [[50.64, 3.07], [3.07, 90.1], [0.0, 0.0], [3.07], [3.07, 50.64, 1.0], None]
)
def test_unusual_paths_are_left_to_parse_response(coordinates: Any) -> None:
    records = json.loads(json.dumps(SAMPLE["records"]))
    records[2]["geometry"]["coordinates"] = coordinates
    assert rows(ODS, json.dumps(SAMPLE | {"records": records}).encode()) is None


def test_a_float_that_may_have_been_a_whole_number_is_left_to_parse(tmp_path: Path) -> None:
    folder = tmp_path / "trams"
    folder.mkdir()
    (folder / "source.toml").write_text('url = "https://example.org"\nrecords = "a"\n')
    (folder / "sample.json").write_text('{"a": [{"speed": 1.5}]}')
    feed = load_feed(folder)
    for number, quick in (("9007199254740991", True), ("9007199254740993", False), ("1e300", False)):
        body = b'{"a": [{"speed": 2.5}, {"speed": %s}]}' % number.encode()
        assert (of(feed).columns(body, TICK) is not None) is quick


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["2023-10-26T22:58:00Z", "2023-10-26T22:58:00.123456789+02:00", "13", "", "1.5", "LILLE"]
    )
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)


@st.composite
def generated_bodies(draw: st.DrawFn, sample: bytes) -> bytes:
    """The sample with up to three places changed, taken away or added, as JSON in one of its spellings."""
    document = json.loads(sample)
    for _ in range(draw(st.integers(0, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 4)):
                place = place[key]
                continue
            match draw(st.sampled_from(["change", "change", "change", "remove", "add"])):
                case "remove":
                    del place[key]
                case "add" if isinstance(place, dict):
                    place[draw(st.sampled_from(["new", *keys]))] = draw(VALUES)
                case "add":
                    place.insert(key, json.loads(json.dumps(place[draw(st.sampled_from(keys))])))
                case _:
                    place[key] = draw(VALUES)
            break
    text = json.dumps(document, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.long
@pytest.mark.parametrize("name", FEEDS)
@given(data=st.data())
def test_the_typed_decoder_gives_the_rows_of_parse_response(name: str, data: st.DataObject) -> None:
    """Several consecutive responses: caches of one do not change the result of the next."""
    feed = FEEDS[name]
    for body in data.draw(st.lists(generated_bodies(feed.sample), min_size=1, max_size=4)):
        quick = rows(feed, body)
        assert quick is None or quick == parsed(feed, body)


@given(st.binary(max_size=400), st.integers(0, 60), st.integers(1, 500), st.booleans())
def test_unpacked_is_unpack(body: bytes, cut: int, limit: int, twice: bool) -> None:
    data = compress(body) + (zlib.compress(body, wbits=31) if twice else b"")
    for stored in (data, data[: len(data) - cut], body, data[:cut] + b"x" + data[cut:]):
        assert result(decompress_fast, stored, limit) == result(decompress, stored, limit)


def result(unpacking: Callable[[bytes, int], bytes], stored: bytes, limit: int) -> bytes | str:
    try:
        return unpacking(stored, limit)
    except DecompressionError as error:
        return str(error)
