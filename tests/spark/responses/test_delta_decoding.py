"""A response decoded by its differences gives the same values as one decoded as a whole."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feed import load_feeds
from spark.responses.decoding import Decoder, make_decoder
from spark.responses.delta_decoding import DeltaDecoder, Values

pytestmark = pytest.mark.unit

TICK = datetime(2023, 10, 26, 20, 58, tzinfo=UTC)

# A joined feed is read by `parse_response` only.
FEEDS = {
    name: feed
    for name, feed in load_feeds(Path(__file__).parents[3] / "sources").items()
    if feed.join is None
}
ODS = FEEDS["vlille_ods"]
# Two columns, `a` and `b`; what else is in a record is none.
TYPES = (int | None, str | None)


class Record(msgspec.Struct):
    a: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def places(body: bytes) -> Values:
    records = msgspec.json.decode(body, type=list[Record])
    return {0: [record.a for record in records], 1: [record.b for record in records]}


KNOWN = b'[{"a": 7, "b": "x", "c": 1}, {"a": 12, "b": "y, z", "c": [2]}, {"b": null}]'
VALUES: Values = {0: [7, 12, msgspec.UNSET], 1: ["x", "y, z", None]}


def make_delta_decoder() -> DeltaDecoder:
    made = DeltaDecoder(places, [msgspec.json.Decoder(kind).decode for kind in TYPES])
    made.set_baseline(KNOWN, VALUES)
    return made


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        (b"", b"", ([7, 12, msgspec.UNSET], ["x", "y, z", None])),
        (b"7", b"8", ([8, 12, msgspec.UNSET], ["x", "y, z", None])),
        (b"7", b"1024", ([1024, 12, msgspec.UNSET], ["x", "y, z", None])),
        (b"12", b"-1", ([7, -1, msgspec.UNSET], ["x", "y, z", None])),
        (b"12", b"null", ([7, None, msgspec.UNSET], ["x", "y, z", None])),
        (b"12", b" 3", ([7, 3, msgspec.UNSET], ["x", "y, z", None])),
        (b'"x"', b'"\\u00e9\\""', ([7, 12, msgspec.UNSET], ['é"', "y, z", None])),
        (b'"x"', '"é"'.encode(), ([7, 12, msgspec.UNSET], ["é", "y, z", None])),
        (b"null}", b'"w"}', ([7, 12, msgspec.UNSET], ["x", "y, z", "w"])),
        (b'7, "b": "x"', b'10, "b": ""', ([10, 12, msgspec.UNSET], ["", "y, z", None])),
    ],
)
def test_changed_values_are_decoded(old: bytes, new: bytes, values: tuple[list[Any], list[Any]]) -> None:
    assert make_delta_decoder().decode(KNOWN.replace(old, new, 1)) == dict(enumerate(values))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"7", b'"7"'),  # of another type
        (b"7", b"7.5"),
        (b"7", b"07"),
        (b"7", b""),
        (b"7", b"]"),
        (b'"x"', b'"x'),
        (b'"x"', b'"x"y"'),
        (b'"x"', b'"\xff"'),
        (b'"x"', b'"x, y"'),  # one comma more
        (b'"y, z"', b'"y, w"'),  # a text with a comma is not looked into
        (b'"y, z"', b'"yy, z"'),
        (b'"c": 1', b'"c": 3'),  # no column's
        (b'"c": 1', b'"c": 10'),
        (b'"a": 7', b'"A": 7'),
        (b'"a": 7', b'"aa": 7'),
        (b"[2]", b"(2)"),
        (b"}]", b"}}"),
        (b"}]", b"}"),
        (b"}]", b"}]]"),
    ],
)
def test_other_changes_are_not_decoded(old: bytes, new: bytes) -> None:
    assert make_delta_decoder().decode(KNOWN.replace(old, new, 1)) is None


@pytest.mark.parametrize(
    "numbers", [(5, 5), (44, 44), (5, 6), (6, 5), (5, 55), (55, 5), (10**80, 10**80), (10**80, 5)]
)
def test_all_values_of_a_column_may_change(numbers: tuple[int, int]) -> None:
    body = b'[{"a": 7, "b": "x"}, {"a": 8, "b": "y"}]'
    decoder = DeltaDecoder(places, [int, bytes])
    decoder.set_baseline(body, {0: [7, 8], 1: ["x", "y"]})
    changed = body.replace(b"7", b"%d" % numbers[0]).replace(b"8", b"%d" % numbers[1])
    assert decoder.decode(changed) == {0: list(numbers), 1: ["x", "y"]}


def test_a_column_without_a_change_is_the_very_same() -> None:
    decoder = make_delta_decoder()
    first = decoder.decode(KNOWN)
    second = decoder.decode(KNOWN.replace(b"7", b"9"))
    assert first is not None
    assert second is not None
    assert second[1] is first[1] is VALUES[1]
    assert VALUES[0] == [7, 12, msgspec.UNSET]  # as it was


def test_each_response_is_compared_with_the_previous_one() -> None:
    decoder = make_delta_decoder()
    for number in (8, 2**40, 9, 10, 3):
        values = decoder.decode(KNOWN.replace(b"7", str(number).encode()))
        assert values is not None
        assert values[0] == [number, 12, msgspec.UNSET]


def test_long_texts_are_read_each_time_and_not_remembered() -> None:
    decoder = make_delta_decoder()
    for length in (100_000, 100_001, 10):
        values = decoder.decode(KNOWN.replace(b'"x"', b'"%s"' % (b"w" * length)))
        assert values is not None
        assert values[1][0] == "w" * length
    assert [len(token) for token in decoder._tokens[1]] == [12]


def test_a_response_of_commas_is_rejected_by_their_number() -> None:
    assert make_delta_decoder().decode(b"[" + b"," * 2**20) is None


def test_repeated_mismatches_replace_the_baseline() -> None:
    decoder, other = make_delta_decoder(), b'[{"a": 1, "b": "new"}]'
    for _ in range(4):
        assert decoder.decode(other) is None
        decoder.set_baseline(other, {0: [1], 1: ["new"]})
    assert decoder.decode(other.replace(b"1", b"22")) == {0: [22], 1: ["new"]}
    assert decoder.decode(KNOWN) is None


def test_a_single_mismatch_does_not_replace_the_baseline() -> None:
    decoder, other = make_delta_decoder(), b'[{"a": 1, "b": "new"}]'
    assert decoder.decode(other) is None
    decoder.set_baseline(other, {0: [1], 1: ["new"]})
    assert decoder.decode(KNOWN) == VALUES


def of(feed: Any) -> Decoder:
    make_decoder.cache_clear()
    decoder = make_decoder(feed)
    assert decoder is not None
    return decoder


def lists(columns: list[pa.Array] | None) -> list[list[Any]] | None:
    return None if columns is None else [column.to_pylist() for column in columns]


ODD = (b"1", b"0", b"-", b".", b"e", b'"', b"\\", b",", b" ", b"{", b"}", b"[", b"]", b":", b"\xc3", b"\n")
PIECES = st.sampled_from(
    [*ODD, b"", b"null", b'"",', b"13", b"2023-10-26T22:58:00Z", b"\\u00e9", "é".encode()]
)
CUTS = st.tuples(st.integers(0, 3_000), st.integers(0, 4), PIECES)


def cut(body: bytes, start: int, length: int, piece: bytes) -> bytes:
    start %= len(body)
    return body[:start] + piece + body[start + length :]


@pytest.mark.long
@pytest.mark.parametrize("name", FEEDS)
@given(edits=st.lists(st.lists(CUTS, max_size=4), min_size=1, max_size=4))
@example(edits=[[]])
def test_any_edited_response_is_read_as_without_a_previous_response(
    name: str, edits: list[list[tuple[int, int, bytes]]]
) -> None:
    feed = FEEDS[name]
    sample = json.dumps(json.loads(feed.sample)).encode()
    remembering = of(feed)
    assert remembering.columns(sample, TICK) is not None
    for cuts in edits:
        body = sample
        for each in cuts:
            body = cut(body, *each)
        assert lists(remembering.columns(body, TICK)) == lists(of(feed).columns(body, TICK))
