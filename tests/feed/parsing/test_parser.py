import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feed import (
    Column,
    Feed,
    Outcome,
    compress,
    convert_rows_to_json,
    extract_report_times,
    make_rejection_rows,
    make_unreadable_outcome,
    parse_response,
    quarantine_schema,
    station_schema,
)
from feed.parsing.json_decoding import MAX_DEPTH
from feed.parsing.outcome import MAX_RECORD, MAX_TEXT
from feed.parsing.parser import MAX_DUPLICATES, MAX_REJECTED
from feed.parsing.response_format import MAX_RECORDS
from feed.values.partial_conversion import MAX_ERRORS

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
DECODERS: list[Callable[[bytes], Any]] = [json.loads, msgspec.json.Decoder().decode]
both_decoders = pytest.mark.parametrize("decode", DECODERS, ids=["json", "msgspec"])


def records_of(feed: Feed) -> list[Any]:
    """A fresh copy of the sample's records."""
    answer = json.loads(feed.sample)
    records: list[Any] = answer["records"] if "records" in answer else answer["features"]
    return records


def answer(records: Any) -> bytes:
    return json.dumps({"records": records}).encode()


def assert_accounted(feed: Feed, outcome: Outcome) -> None:
    """Every record is a row or a rejection, every rejected value is of a row; all of it fits schemas and JSON."""
    assert outcome.records == len(outcome.rows) + outcome.rejected_records
    of_records, of_values = (
        [each.index for each in outcome.rejections if each.scope == scope and each.index is not None]
        for scope in ("record", "value")
    )
    assert of_records == sorted(set(of_records))
    assert of_values == sorted(of_values)
    assert all(index < outcome.records for index in (*of_records, *of_values))
    assert not set(of_records) & set(of_values), (
        "a rejected record has no values of its own in the quarantine"
    )
    values = sum(each.occurrences for each in outcome.rejections if each.scope == "value")
    assert values == outcome.rejected_values + outcome.implausible_values
    if not outcome.is_usable:
        assert (len(outcome.rejections), outcome.records, outcome.rows) == (1, 0, [])
    names = [column["name"] for column in station_schema(feed)]
    assert all(list(row) == names for row in outcome.rows)
    quarantined = make_rejection_rows(outcome, "object")
    assert all(list(row) == [column["name"] for column in quarantine_schema()] for row in quarantined)
    json.dumps(
        [convert_rows_to_json(feed, outcome), quarantined], allow_nan=False, ensure_ascii=False
    ).encode()
    for rejection in outcome.rejections:
        assert rejection.message.startswith(f"{feed.name}: ")
        assert rejection.expected
        assert max(len(rejection.message), len(rejection.found), len(rejection.field)) <= MAX_TEXT
        assert len(rejection.record or "") <= MAX_RECORD


def test_the_projects_samples_are_all_rows(feeds: dict[str, Feed]) -> None:
    for feed in feeds.values():
        outcome = parse_response(feed, feed.sample, TICK)
        assert (outcome.records, len(outcome.rows), outcome.rejections, outcome.drifts) == (5, 5, (), ())
        assert all(3.0 < row["longitude"] < 3.3 and 50.5 < row["latitude"] < 50.8 for row in outcome.rows)


def test_a_row(ods: Feed) -> None:
    outcome = parse_response(ods, ods.sample, TICK)
    assert list(outcome.rows[3].items()) == [
        ("collected_at", TICK),
        ("recordid", records_of(ods)[3]["recordid"]),
        ("record_timestamp", datetime(2023, 10, 26, 20, 49, 2, 340000, UTC)),
        ("nbvelosdispo", 0),
        ("nbplacesdispo", 0),
        ("libelle", 304),
        ("adresse", "Chemin du Héron"),
        ("nom", "CHEMIN DU HÉRON"),
        ("etat", "RÉFORMÉ"),
        ("commune", "VILLENEUVE D'ASCQ"),
        ("etatconnexion", "DÉCONNECTÉ"),
        ("type", "SANS TPE"),
        ("longitude", 3.1512),
        ("latitude", 50.6318),
        ("datemiseajour", datetime(2022, 11, 29, 9, 40, 5, tzinfo=UTC)),
    ]


@both_decoders
def test_a_response_of_full_size(ods: Feed, full_response: bytes, decode: Callable[[bytes], Any]) -> None:
    outcome = parse_response(ods, full_response, TICK, decode=decode)
    assert (outcome.records, len(outcome.rows), outcome.rejections, outcome.drifts) == (289, 289, (), ())
    assert all(
        abs(row["longitude"] - 3.1) < 0.2 and abs(row["latitude"] - 50.65) < 0.15 for row in outcome.rows
    )
    assert len({row["libelle"] for row in outcome.rows}) == 289
    taken = {record["record_timestamp"] for record in json.loads(full_response)["records"]}
    assert max(extract_report_times(ods, full_response)) == max(map(datetime.fromisoformat, taken))
    assert_accounted(ods, outcome)


def test_load_rows_are_what_a_load_job_takes(ods: Feed) -> None:
    row = convert_rows_to_json(ods, parse_response(ods, ods.sample, TICK))[0]
    assert row["collected_at"] == "2023-10-26T20:50:00+00:00"
    assert row["record_timestamp"] == "2023-10-26T20:49:02.340000+00:00"
    assert row["libelle"] == 301


def test_load_rows_reach_into_records_and_arrays(make_feed: MakeFeed) -> None:
    at, local, day = "2023-09-08T08:36:00Z", "2023-09-08T08:36:00", "2023-09-08"
    feed = make_feed([{"o": {"at": at, "days": [day], "l": [{"local": local}]}, "n": 1}])
    outcome = parse_response(feed, feed.sample, TICK)
    assert convert_rows_to_json(feed, outcome) == [
        {
            "collected_at": "2023-10-26T20:50:00+00:00",
            "o": {"at": "2023-09-08T08:36:00+00:00", "days": [day], "l": [{"local": local}]},
            "n": 1,
        }
    ]
    assert isinstance(outcome.rows[0]["o"]["at"], datetime), "the rows themselves are left as they are"


def test_whole_numbers_that_json_readers_round_are_loaded_as_text(make_feed: MakeFeed) -> None:
    """BigQuery asks for text where an integer is beyond 2^53."""
    exact, beyond = 2**53, 2**53 + 1
    feed = make_feed([{"a": beyond, "b": exact, "c": -beyond, "l": [beyond], "o": {"n": beyond}, "t": True}])
    row = convert_rows_to_json(feed, parse_response(feed, feed.sample, TICK))[0]
    assert {name: row[name] for name in "abclot"} == {
        "a": str(beyond),
        "b": exact,
        "c": str(-beyond),
        "l": [str(beyond)],
        "o": {"n": str(beyond)},
        "t": True,
    }


def test_collected_at_is_utc(ods: Feed) -> None:
    local = TICK.astimezone(timezone(timedelta(hours=2)))
    assert (
        parse_response(ods, ods.sample, local).rows[0]["collected_at"].isoformat()
        == "2023-10-26T20:50:00+00:00"
    )
    with pytest.raises(ValueError, match="has no time zone"):
        parse_response(ods, ods.sample, TICK.replace(tzinfo=None))


# --- the whole answer -----------------------------------------------------------------------------

HTML = b"\n<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head></html>"
ANSWERS: list[tuple[bytes, str, str, str]] = [
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
    ("body", "reason", "field", "found"), ANSWERS, ids=[repr(body[:24]) for body, *_ in ANSWERS]
)
def test_unusable_answers(ods: Feed, body: bytes, reason: str, field: str, found: str) -> None:
    outcome, again = (parse_response(ods, body, TICK, decode=decode) for decode in DECODERS)
    assert outcome == again
    (rejection,) = outcome.rejections
    assert (rejection.reason, rejection.index, rejection.field) == (reason, None, field)
    assert rejection.record is None, "the raw answer is kept: no need to repeat it"
    assert rejection.found.startswith(found)
    assert (outcome.records, outcome.rows, outcome.drifts) == (0, [], ())
    assert f"unusable response ({reason})" in rejection.message
    assert_accounted(ods, outcome)


@both_decoders
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_read(ods: Feed, decode: Callable[[bytes], Any], encoding: str) -> None:
    body = ods.sample.decode().encode(encoding)
    assert parse_response(ods, body, TICK, decode=decode) == parse_response(ods, ods.sample, TICK)


@both_decoders
def test_gzip_that_no_header_announced_is_read(ods: Feed, decode: Callable[[bytes], Any]) -> None:
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


def test_stored_bytes_that_cannot_be_unpacked(ods: Feed) -> None:
    outcome = make_unreadable_outcome(ods, TICK, ValueError("gzip truncated after 20 bytes"))
    assert [(r.reason, r.index, r.found) for r in outcome.rejections] == [
        ("unreadable", None, "gzip truncated after 20 bytes")
    ]
    assert_accounted(ods, outcome)


# --- one record -----------------------------------------------------------------------------------


def set_field(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(record: dict[str, Any]) -> dict[str, Any]:
        record["fields"][name] = value
        return record

    return change


def set_record(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda record: record | {name: value}


def drop_field(name: str) -> Callable[[dict[str, Any]], Any]:
    def change(record: dict[str, Any]) -> dict[str, Any]:
        del record["fields"][name]
        return record

    return change


def place(*coordinates: Any) -> Callable[[dict[str, Any]], Any]:
    return set_record("geometry", {"type": "Point", "coordinates": list(coordinates)})


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
        place("abc", 50.6),
        ("bad_value", "longitude", "the text 'abc'", A_FLOAT, '"abc"'),
        {"longitude": None, "latitude": 50.6},
    ),
    (
        place(float("nan"), 50.6),
        ("bad_value", "longitude", "the number nan", A_FLOAT, "NaN"),
        {"longitude": None},
    ),
    (
        place(3.1, float("inf")),
        ("bad_value", "latitude", "the number inf", A_FLOAT, "Infinity"),
        {"latitude": None},
    ),
    (
        place(50.63, 3.07),
        ("swapped_coordinates", "latitude", "latitude 3.07, longitude 50.63", BOUNDS, "[3.07, 50.63]"),
        {"longitude": 3.07, "latitude": 50.63},
    ),
    (
        place(0, 0),
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
def test_a_bad_record_is_rejected_and_the_others_go_on(
    ods: Feed,
    decode: Callable[[bytes], Any],
    change: Callable[[dict[str, Any]], Any],
    expected: tuple[str, str, str, str],
) -> None:
    records = records_of(ods)
    records[2] = change(records[2])
    outcome = parse_response(ods, answer(records), TICK, decode=decode)
    (rejection,) = outcome.rejections
    assert (rejection.reason, rejection.field, rejection.found, rejection.expected) == expected
    assert (rejection.index, rejection.scope, rejection.value) == (2, "record", None)
    assert f"vlille_ods: record 2 rejected ({expected[0]})" in rejection.message
    assert f"found {expected[2]}; expected {expected[3]}" in rejection.message
    assert rejection.record == json.dumps(records[2], ensure_ascii=False)
    whole = parse_response(ods, ods.sample, TICK).rows
    assert outcome.rows == whole[:2] + whole[3:]
    assert_accounted(ods, outcome)


@both_decoders
@pytest.mark.parametrize(
    ("change", "expected", "kept"), LOST, ids=[f"{e[0]} {e[1]} {e[2]}" for _, e, _ in LOST]
)
def test_a_value_that_does_not_fit_costs_the_value(
    ods: Feed,
    decode: Callable[[bytes], Any],
    change: Callable[[dict[str, Any]], Any],
    expected: tuple[str, str, str, str, str],
    kept: dict[str, Any],
) -> None:
    records = records_of(ods)
    records[2] = change(records[2])
    outcome = parse_response(ods, answer(records), TICK, decode=decode)
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
    assert_accounted(ods, outcome)


ACCEPTED: list[tuple[Callable[[dict[str, Any]], Any], str, Any]] = [
    (set_field("nbvelosdispo", None), "nbvelosdispo", None),
    (set_field("nbvelosdispo", "12"), "nbvelosdispo", 12),
    (set_field("nbvelosdispo", 12.0), "nbvelosdispo", 12),
    (drop_field("nom"), "nom", None),
    (set_field("nom", 12), "nom", "12"),
    (set_record("geometry", None), "longitude", None),
    (set_record("geometry", {}), "longitude", None),
    (place(), "latitude", None),
    (place(3), "latitude", None),
    (place(3, 50.6, 20), "longitude", 3.0),
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
def test_an_odd_record_goes_on(
    ods: Feed, change: Callable[[dict[str, Any]], Any], column: str, expected: Any
) -> None:
    records = records_of(ods)
    records[2] = change(records[2])
    outcome = parse_response(ods, answer(records), TICK)
    assert outcome.rejections == ()
    assert outcome.rows[2][column] == expected
    assert type(outcome.rows[2][column]) is type(expected)
    assert_accounted(ods, outcome)


def test_the_first_usable_record_of_a_key_is_kept(ods: Feed) -> None:
    records = records_of(ods)
    bad, good, again = (copy.deepcopy(records[0]) for _ in range(3))
    bad["fields"]["libelle"] = {}
    outcome = parse_response(ods, answer([bad, good, again, *records[1:]]), TICK)
    assert [(r.index, r.reason) for r in outcome.rejections] == [(0, "bad_value"), (2, "duplicate_key")]
    assert outcome.rejections[1].expected == "a unique key; record 1 has the same"


def test_a_feed_without_a_key_keeps_duplicates(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}])
    assert len(parse_response(feed, answer([{"a": 1}, {"a": 1}]), TICK).rows) == 2


def test_an_empty_key_is_none(feeds: dict[str, Feed]) -> None:
    feed = feeds["vlille_ogc"]
    records = records_of(feed)
    records[1]["@id"] = ""
    outcome = parse_response(feed, answer(records), TICK)
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
def test_the_samples_extent_tells_swapped_coordinates(
    make_feed: MakeFeed, lat: float | None, lon: float | None, reason: str | None
) -> None:
    feed = make_feed([{"id": 1, "lat": 50.6, "lon": 3.1}, {"id": 2, "lat": 50.65, "lon": 3.05}], LOCATED)
    outcome = parse_response(
        feed, answer([{"id": 1, "lat": lat, "lon": lon}, {"id": 2, "lat": 50.6, "lon": 3.1}]), TICK
    )
    assert [rejection.reason for rejection in outcome.rejections] == ([reason] if reason else [])


def test_a_lone_surrogate_costs_its_value_only(feeds: dict[str, Feed]) -> None:
    feed = feeds["vlille_ogc"]
    records = records_of(feed)
    records[0]["nom"] = "\ud83d"
    for decode in DECODERS:
        outcome = parse_response(feed, answer(records), TICK, decode=decode)
        assert [(r.index, r.reason, r.field) for r in outcome.rejections] == [(0, "bad_value", "nom")]
        assert json.loads(outcome.rejections[0].value or "") == "\ud83d"
        assert (outcome.rows[0]["nom"], outcome.rows[0]["id"]) == (None, "301")
        assert_accounted(feed, outcome)


def test_what_is_quarantined_is_bounded(ods: Feed) -> None:
    records = records_of(ods)
    records[0]["fields"]["nbvelosdispo"] = "x" * 1_000_000
    records[1]["fields"] = {"k" * 100_000 + str(i): i for i in range(30)}
    outcome = parse_response(ods, answer(records), TICK)
    assert len(outcome.rejections) == 2
    assert_accounted(ods, outcome)


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
def test_an_answer_of_too_many_is_quarantined_as_one(
    ods: Feed, decode: Callable[[bytes], Any], records: list[Any], found: str
) -> None:
    outcome = parse_response(ods, answer([*records_of(ods), *records]), TICK, decode=decode)
    (rejection,) = outcome.rejections
    assert (rejection.reason, rejection.index, rejection.field) == ("too_many", None, "records")
    assert rejection.found == found
    assert_accounted(ods, outcome)


def test_as_many_as_are_allowed_are_quarantined_one_by_one(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}])
    outcome = parse_response(feed, answer([{"a": 1}, *[7] * MAX_REJECTED]), TICK)
    assert (len(outcome.rows), len(outcome.rejections)) == (1, MAX_REJECTED)
    assert len(parse_response(feed, answer([{"a": 1}] * MAX_RECORDS), TICK).rows) == MAX_RECORDS


def test_more_values_than_are_recorded_are_counted(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1, "b": 1}])
    outcome = parse_response(feed, answer([{"a": "x", "b": "y"}] * MAX_REJECTED), TICK)
    assert (len(outcome.rows), len(outcome.rejections)) == (MAX_REJECTED, MAX_REJECTED + 1)
    last = outcome.rejections[-1]
    assert (last.reason, last.index, last.scope, last.occurrences) == (
        "too_many",
        None,
        "value",
        MAX_REJECTED,
    )
    assert outcome.rejected_values == 2 * MAX_REJECTED
    assert_accounted(feed, outcome)


def test_records_that_repeat_a_key_do_not_flood_the_quarantine(ods: Feed) -> None:
    records = records_of(ods)
    outcome = parse_response(ods, answer(records * 101), TICK)
    assert (len(outcome.rows), len(outcome.rejections)) == (5, MAX_DUPLICATES + 1)
    last = outcome.rejections[-1]
    assert (last.reason, last.index, last.scope) == ("duplicate_key", None, "record")
    assert (last.occurrences, outcome.rejected_records) == (500 - MAX_DUPLICATES, 500)
    assert_accounted(ods, outcome)


@pytest.mark.parametrize("depth", [500, 5_000])
def test_deep_values_in_a_record(ods: Feed, depth: int) -> None:
    deep = b'{"records": [{"fields": {"libelle": 1, "nom": ' + b"[" * depth + b"]" * depth + b"}}]}"
    for decode in DECODERS:
        assert_accounted(ods, parse_response(ods, deep, TICK, decode=decode))


def test_nested_faults_are_placed(make_feed: MakeFeed) -> None:
    feed = make_feed([{"lines": [{"stops": [{"n": 1}]}]}])
    outcome = parse_response(feed, answer([{"lines": [{"stops": [{"n": 1}, {"n": "x"}]}]}]), TICK)
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
def test_what_fits_of_a_nested_value_is_kept(
    make_feed: MakeFeed, sample: Any, value: Any, kept: Any, faults: list[str]
) -> None:
    feed = make_feed([{"v": sample}])
    outcome = parse_response(feed, answer([{"v": value}]), TICK)
    assert outcome.rows == [{"collected_at": TICK, "v": kept}]
    assert [(each.field, each.scope) for each in outcome.rejections] == [(fault, "value") for fault in faults]
    assert_accounted(feed, outcome)


def test_an_array_of_a_million_wrong_items_is_bounded(make_feed: MakeFeed) -> None:
    feed = make_feed([{"v": [1]}])
    outcome = parse_response(feed, answer([{"v": ["x"] * 1_000_000}]), TICK)
    assert len(outcome.rejections) == MAX_ERRORS + 1
    assert outcome.rejected_values == 1_000_000
    assert_accounted(feed, outcome)


# --- what a mismatch costs ------------------------------------------------------------------------


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
def test_a_mismatch_costs_what_the_feed_says(make_feed: MakeFeed, toml: str, rows: int, scope: str) -> None:
    feed = make_feed([{"a": 1, "b": 1, "c": 1}], f'key = "a"\n{toml}')
    outcome = parse_response(feed, answer([{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": "x", "c": 2}]), TICK)
    assert len(outcome.rows) == rows
    assert [(each.reason, each.field, each.scope) for each in outcome.rejections] == [
        ("bad_value", "b", scope)
    ]
    assert ("in record 1" in outcome.rejections[0].message) is (scope == "response")
    assert_accounted(feed, outcome)


def test_an_object_that_is_none_costs_what_the_strictest_of_its_columns_says(make_feed: MakeFeed) -> None:
    toml = 'key = "id"\nlift = ["o"]\n[rules]\nb = { on_mismatch = "row" }'
    feed = make_feed([{"id": 1, "o": {"a": 1, "b": 1}}], toml)
    outcome = parse_response(feed, answer([{"id": 1, "o": "x"}, {"id": 2, "o": {"a": "x", "b": 1}}]), TICK)
    assert [(each.index, each.field, each.scope) for each in outcome.rejections] == [
        (0, "o", "record"),
        (1, "a", "value"),
    ]
    assert_accounted(feed, outcome)


def test_a_misplaced_station_costs_its_row_where_the_feed_says_so(make_feed: MakeFeed) -> None:
    bounds = "[bounds]\nlatitude = [50, 51]\nlongitude = [3, 4]\n[rules]\nlon = { on_mismatch = 'row' }"
    feed = make_feed([{"id": 1, "lat": 50.6, "lon": 3.1}], LOCATED + bounds)
    outcome = parse_response(feed, answer([{"id": 1, "lat": 0, "lon": 0}]), TICK)
    assert [(each.reason, each.scope) for each in outcome.rejections] == [("out_of_range", "record")]
    assert outcome.rows == []


# --- plausibility ---------------------------------------------------------------------------------

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
    outcome = parse_response(feed, answer(records), TICK)
    assert len(outcome.rows) == 2
    assert (outcome.rows[1][column] is None) is (value is None)
    flags = [(each.reason, each.index, each.field, each.expected, each.scope) for each in outcome.rejections]
    assert flags == ([("implausible", 1, column, expected, "value")] if expected else [])
    assert (outcome.implausible_values, outcome.rejected_values) == (len(flags), 0)
    assert_accounted(feed, outcome)


# --- times inside an answer -----------------------------------------------------------------------


def test_answer_times(feeds: dict[str, Feed], make_feed: MakeFeed) -> None:
    times = extract_report_times(feeds["vlille_ods"], feeds["vlille_ods"].sample)
    assert times[-1] == datetime(2023, 10, 26, 20, 49, 2, 340000, UTC)
    assert len(times) == 6
    ogc = feeds["vlille_ogc"]
    records = [{"date_modification": "soon"}, {"date_modification": "2023-10-26T20:47:12Z"}, {}, 3]
    assert extract_report_times(ogc, answer(records)) == (datetime(2023, 10, 26, 20, 47, 12, tzinfo=UTC),)
    assert extract_report_times(ogc, b"<html>") == ()
    assert extract_report_times(make_feed([{"a": 1}]), answer([{"a": 1}])) == ()


# --- properties -----------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
decoders = st.sampled_from(DECODERS)


@given(st.binary(), decoders)
def test_no_bytes_raise(ods: Feed, body: bytes, decode: Callable[[bytes], Any]) -> None:
    assert_accounted(ods, parse_response(ods, body, TICK, decode=decode))


@given(json_values, decoders)
def test_no_json_raises(ods: Feed, value: Any, decode: Callable[[bytes], Any]) -> None:
    assert_accounted(ods, parse_response(ods, json.dumps(value).encode(), TICK, decode=decode))
    assert_accounted(ods, parse_response(ods, answer(value), TICK, decode=decode))


@st.composite
def mangled(draw: st.DrawFn, records: list[Any]) -> list[Any]:
    """The sample's records, some of them with a value replaced, dropped or doubled."""
    records = copy.deepcopy(records)
    for _ in range(draw(st.integers(0, 4))):
        index = draw(st.integers(0, len(records) - 1))
        holder = records[index]
        while isinstance(holder, dict | list) and holder:
            key = draw(
                st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder))))
            )
            if not isinstance(holder[key], dict | list) or draw(st.booleans()):
                if isinstance(holder, dict) and draw(st.booleans()):
                    del holder[key]
                else:
                    holder[key] = draw(json_values)
                break
            holder = holder[key]
        if draw(st.booleans()):
            records.insert(draw(st.integers(0, len(records))), copy.deepcopy(records[index]))
    return records


@settings(max_examples=200)
@given(st.data(), st.sampled_from(["vlille_ods", "vlille_ogc", "vlille_wfs"]))
def test_mangled_answers_are_accounted_for_and_decoders_agree(
    feeds: dict[str, Feed], data: st.DataObject, name: str
) -> None:
    feed = feeds[name]
    records = data.draw(mangled(records_of(feed)))
    key = "features" if name == "vlille_wfs" else "records"
    body = json.dumps({key: records}).encode()
    outcome = parse_response(feed, body, TICK)
    assert outcome.records == len(records)
    assert_accounted(feed, outcome)
    assert parse_response(feed, body, TICK, decode=DECODERS[1]) == outcome


@given(st.data())
def test_records_fare_alike_alone_and_together(feeds: dict[str, Feed], data: st.DataObject) -> None:
    feed = feeds["vlille_ogc"]
    records = data.draw(mangled(records_of(feed)))
    together = parse_response(feed, answer(records), TICK)
    alone = [parse_response(feed, answer([record]), TICK) for record in records]
    duplicates = {r.index for r in together.rejections if r.reason == "duplicate_key"}
    assert together.rows == [row for i, each in enumerate(alone) if i not in duplicates for row in each.rows]


@pytest.mark.parametrize("is_ascii", [False, True])
def test_an_answer_cut_anywhere_is_truncated(ods: Feed, is_ascii: bool) -> None:
    """In the other spelling, escapes are cut as well."""
    body = json.dumps(
        {"\U0001f6b2\\": 1.5e-7, "a": True} | json.loads(ods.sample), ensure_ascii=is_ascii
    ).encode()
    for cut in range(1, len(body)):
        outcome = parse_response(ods, body[:cut], TICK)
        assert [rejection.reason for rejection in outcome.rejections] == ["truncated"], body[:cut]


def test_columns_given_in_the_model_are_columns_of_rows(ods: Feed) -> None:
    assert all(isinstance(column, Column) for column in ods.columns)
    assert list(parse_response(ods, ods.sample, TICK).rows[0])[1:] == [column.name for column in ods.columns]


@pytest.mark.parametrize(("toml", "reasons"), [("", ["empty"]), ('empty = "ok"', [])])
def test_an_empty_array_is_a_response_where_the_feed_says_so(
    make_feed: MakeFeed, toml: str, reasons: list[str]
) -> None:
    outcome = parse_response(make_feed([{"a": 1}], toml), answer([]), TICK)
    assert [each.reason for each in outcome.rejections] == reasons
    assert (outcome.records, outcome.rows, outcome.is_usable) == (0, [], not reasons)
