"""Read the records of a response, or find the reason why it has none."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from feed import (
    Feed,
    compress,
    make_unreadable_outcome,
    parse_response,
)
from feed.parsing.json_decoding import MAX_DEPTH
from feed.parsing.parser import MAX_REJECTED
from feed.parsing.response import make_excerpt
from feed.parsing.response_format import MAX_RECORDS
from tests.feed.parsing.records import (
    DECODERS,
    TICK,
    MakeFeed,
    assert_reconciled,
    both_decoders,
    copy_sample_records,
    make_body,
)

pytestmark = pytest.mark.unit

HTML = b"\n<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head></html>"
UNUSABLE_BODIES: list[tuple[bytes, str, str, str]] = [
    (b"", "empty", "", "no bytes"),
    (b" \n", "empty", "", "only whitespace"),
    (b"\xef\xbb\xbf", "empty", "", "no bytes"),
    (b'{"records": []}', "empty", "records", "an empty array"),
    (
        HTML,
        "html",
        "",
        "an HTML page: <!DOCTYPE html> <html><head><title>502 Bad Gateway</title></head></html>",
    ),
    (b"\xef\xbb\xbf<HTML>", "html", "", "an HTML page: <HTML>"),
    (b'<?xml version="1.0"?><html/>', "html", "", 'an HTML page: <?xml version="1.0"?><html/>'),
    (b"<ExceptionReport/>", "not_json", "", "<ExceptionReport/> (Expecting value: line 1 column 1 (char 0))"),
    (b"upstream timed out", "not_json", "", "upstream timed out (Expecting value: line 1 column 1 (char 0))"),
    (
        b'{"records": [{"a": 1}, ]}',
        "not_json",
        "",
        '{"records": [{"a": 1}, ]} (Illegal trailing comma',
    ),
    (b"\x80\x81", "not_json", "", "\ufffd\ufffd ("),
    (b'{"records": [1]} /* cached */', "trailing_data", "", "JSON, then 12 characters: /* cached */"),
    (
        b'{"records": [1]}\n{"records": [1]}',
        "trailing_data",
        "",
        'JSON, then 16 characters: {"records": [1]}',
    ),
    (b"\x1f\x8bno gzip", "not_json", "", "damaged gzip"),
    (compress(b'{"records": [{}]}')[:-3], "not_json", "", "gzip truncated after"),
    (compress(b"<html>"), "html", "", "an HTML page: <html>"),
    (b"[" * 200_000, "not_json", "", "JSON nested too deeply"),
    (b'{"records": [{"recordid": "30', "truncated", "", "JSON truncated after 29 bytes"),
    (b'{"records": [{"nom": "R\xc3', "truncated", "", "JSON truncated after 24 bytes"),
    (b'{"records": [{"nom": "R\\u00c', "truncated", "", "JSON truncated after 28 bytes"),
    (b'{"records": [u00c', "not_json", "", '{"records": [u00c ('),
    (b'{"records": ["\\x"]}', "not_json", "", '{"records": ["\\x"]} ('),
    (b'{"error": "no such dataset"}', "no_records", "records", 'nothing there: {"error": "no such dataset"}'),
    (b'{"records": null}', "no_records", "records", "null"),
    (b'{"records": {"1": {}}}', "no_records", "records", "an object with 1"),
    (b"[]", "no_records", "records", "nothing there: []"),
    (b"null", "no_records", "records", "nothing there: null"),
    (b'"records"', "no_records", "records", 'nothing there: "records"'),
]


@pytest.mark.parametrize(
    ("body", "reason", "field", "found"),
    UNUSABLE_BODIES,
    ids=[repr(body[:24]) for body, *_ in UNUSABLE_BODIES],
)
def test_unusable_responses(ods: Feed, body: bytes, reason: str, field: str, found: str) -> None:
    outcome, again = (parse_response(ods, body, TICK, decode=decode) for decode in DECODERS)
    assert outcome == again
    (rejection,) = outcome.rejections
    assert (rejection.reason, rejection.index, rejection.field) == (reason, None, field)
    assert rejection.record is None, "the raw response is stored, so the rejection does not repeat it"
    assert rejection.found.startswith(found)
    assert (outcome.records, outcome.rows, outcome.drifts) == (0, [], ())
    assert f"unusable response ({reason})" in rejection.message
    assert_reconciled(ods, outcome)


@both_decoders
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_read(ods: Feed, decode: Callable[[bytes], Any], encoding: str) -> None:
    body = ods.sample.decode().encode(encoding)
    assert parse_response(ods, body, TICK, decode=decode) == parse_response(ods, ods.sample, TICK)


@both_decoders
def test_undeclared_gzip_is_read(ods: Feed, decode: Callable[[bytes], Any]) -> None:
    assert parse_response(ods, compress(ods.sample), TICK, decode=decode) == parse_response(
        ods, ods.sample, TICK
    )


SURE: list[tuple[str, str, str]] = [
    ("latin-1", "ISO-8859-1", ""),
    ("latin-1", "latin1", ""),
    ("cp1252", "windows-1252", ""),
    ("iso8859-15", "ISO-8859-15", ""),
    ("iso8859-15", "utf-8", "iso-8859-15"),
    ("shift_jis", "Shift_JIS", ""),
    ("utf-8", "ISO-8859-1", ""),  # a header that is wrong does no harm
    ("utf-8", "utf-8", "iso-8859-1"),
]


@both_decoders
@pytest.mark.parametrize(("encoding", "charset", "key"), SURE)
def test_a_declared_charset_is_read(
    make_feed: MakeFeed, decode: Callable[[bytes], Any], encoding: str, charset: str, key: str
) -> None:
    name = "駅" if encoding == "shift_jis" else "Gare de l'Été"
    feed = make_feed([{"nom": name}], f'encoding = "{key}"' if key else "")
    body = json.dumps({"records": [{"nom": name}]}, ensure_ascii=False).encode(encoding)
    outcome = parse_response(feed, body, TICK, charset=charset, decode=decode)
    assert (outcome.rows[0]["nom"], outcome.drifts, outcome.rejections) == (name, (), ())


@pytest.mark.parametrize(
    ("body", "charset", "name"),
    [
        ("Été".encode("cp1252"), "", "Été"),
        ("Été œ €".encode("cp1252"), "utf-8", "Été œ €"),
        ("Été".encode("cp1252") + b"\x81", "", "Été\x81"),
        ("Été".encode("cp1252"), "idna", "Été"),
        ("Été É È Ê".encode() + b"\xc3", "", "Été É È Ê\ufffd"),  # one damaged letter spoils no other
    ],
)
def test_a_charset_that_nobody_declared_is_guessed_and_logged(
    make_feed: MakeFeed, body: bytes, charset: str, name: str
) -> None:
    feed = make_feed([{"nom": "x"}])
    outcome = parse_response(feed, b'{"records": [{"nom": "' + body + b'"}]}', TICK, charset=charset)
    assert outcome.rows[0]["nom"] == name
    assert [drift.kind for drift in outcome.drifts] == ["encoding"]


def test_depth_is_bounded_alike_for_every_decoder(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}], 'ignore = ["b"]')
    for levels, is_read in ((MAX_DEPTH - 3, True), (MAX_DEPTH - 2, False)):
        body = b'{"records": [{"a": 1, "b": ' + b"[" * levels + b"]" * levels + b"}]}"
        assert [len(parse_response(feed, body, TICK, decode=decode).rows) for decode in DECODERS] == [
            is_read
        ] * 2
    texts = json.dumps({"records": [{"a": 1, "b": "[" * 9_999 + '\\"' + "{" * 9_999}]}).encode()
    assert len(parse_response(feed, texts, TICK).rows) == 1, "brackets inside texts are no levels"


def test_stored_bytes_that_cannot_be_decompressed(ods: Feed) -> None:
    outcome = make_unreadable_outcome(ods, TICK, ValueError("gzip truncated after 20 bytes"))
    assert [(r.reason, r.index, r.found) for r in outcome.rejections] == [
        ("unreadable", None, "gzip truncated after 20 bytes")
    ]
    assert_reconciled(ods, outcome)


@both_decoders
@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([1] * (MAX_REJECTED + 1), f"more than {MAX_REJECTED} rejected records"),
        ([{}] * (MAX_REJECTED + 1), f"more than {MAX_REJECTED} rejected records"),
        ([{"a": 1}] * (MAX_RECORDS + 1), f"more than {MAX_RECORDS} records"),
    ],
    ids=["rejected numbers", "rejected objects", "records"],
)
@pytest.mark.long
def test_a_response_with_too_many_rejections_is_quarantined_as_a_whole(
    ods: Feed, decode: Callable[[bytes], Any], records: list[Any], found: str
) -> None:
    outcome = parse_response(ods, make_body([*copy_sample_records(ods), *records]), TICK, decode=decode)
    (rejection,) = outcome.rejections
    assert (rejection.reason, rejection.index, rejection.field) == ("too_many", None, "records")
    assert rejection.found == found
    assert_reconciled(ods, outcome)


@pytest.mark.parametrize("is_ascii", [False, True])
@pytest.mark.long
def test_a_response_cut_anywhere_is_truncated(ods: Feed, is_ascii: bool) -> None:
    """In the other spelling, escapes are cut as well."""
    body = json.dumps(
        {"\U0001f6b2\\": 1.5e-7, "a": True} | json.loads(ods.sample), ensure_ascii=is_ascii
    ).encode()
    for cut in range(1, len(body)):
        outcome = parse_response(ods, body[:cut], TICK)
        assert [rejection.reason for rejection in outcome.rejections] == ["truncated"], body[:cut]


@pytest.mark.parametrize(("toml", "reasons"), [("", ["empty"]), ('empty = "ok"', [])])
def test_an_empty_array_is_valid_if_the_feed_allows_it(
    make_feed: MakeFeed, toml: str, reasons: list[str]
) -> None:
    outcome = parse_response(make_feed([{"a": 1}], toml), make_body([]), TICK)
    assert [each.reason for each in outcome.rejections] == reasons
    assert (outcome.records, outcome.rows, outcome.is_usable) == (0, [], not reasons)


@pytest.mark.parametrize("shift", range(4))
def test_an_excerpt_ends_with_a_whole_character(shift: int) -> None:
    excerpt = make_excerpt(b"x" * shift + "é€😀".encode() * 60)
    assert excerpt.startswith("x" * shift + "é€😀")
    assert "\ufffd" not in excerpt
    assert make_excerpt(b"<html>\xff\xc3") == "<html>\ufffd\ufffd"  # these bytes are no UTF-8
