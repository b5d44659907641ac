"""The common fields of GBFS files, and both formats of times."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import ConversionError
from gbfs import GbfsError, decode_file, read_time

pytestmark = pytest.mark.unit
NOON = datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1_714_557_600, NOON),
        (1_714_557_600.0, NOON),
        ("1714557600", NOON),
        (1_714_557_600_000, NOON),
        ("1714557600000", NOON),
        ("2024-05-01T10:00:00Z", NOON),
        ("2024-05-01T12:00:00+02:00", NOON),
        ("2024-05-01T10:00:00.250Z", NOON.replace(microsecond=250_000)),
    ],
)
def test_a_time_is_read(value: Any, moment: datetime) -> None:
    assert read_time(value) == moment
    assert read_time(value).tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 86_400, 10**18, 10**40, float("nan"), float("inf"), True, None, [], {}),
        *(
            "",
            "0",
            "now",
            "2024-05-01",
            "2024-05-01T10:00:00",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ),
    ],
)
def test_an_invalid_time_is_refused(value: Any) -> None:
    with pytest.raises(ConversionError):
        read_time(value)


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_both_formats_give_the_same_time(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    assert read_time(int(whole.timestamp())) == read_time(whole.isoformat()) == whole


def test_a_document_is_decoded() -> None:
    body = {"last_updated": 1_714_557_600, "ttl": 30, "version": "2.3", "data": {"stations": []}}
    document = decode_file(json.dumps(body).encode())
    assert (document.version, document.last_updated, document.ttl_seconds) == ("2.3", NOON, 30)
    assert document.data == {"stations": []}


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(None, 0), (0, 0), (-5, 0), ("60", 0), (True, 0), (59.9, 59), (10**9, 86_400), (float("nan"), 0)],
)
def test_an_invalid_ttl_is_zero(ttl: Any, seconds: int) -> None:
    assert decode_file(json.dumps({"ttl": ttl, "data": {}}).encode()).ttl_seconds == seconds


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<!DOCTYPE html><html>maintenance</html>", "html"),
        (b"<?xml version='1.0'?>", "html"),
        (b'{"data": {"stations": [', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"\xff\xfe\x00", "not_json"),
        (b"[]", "no_data"),
        (b'{"data": []}', "no_data"),
        (b'{"version": "4.0", "data": {}}', "unknown_version"),
    ],
)
def test_an_invalid_file_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(GbfsError) as caught:
        decode_file(body)
    assert caught.value.reason == reason
    assert "expected" in str(caught.value)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("digits", [400, 4_300, 4_301, 20_000])
def test_an_integer_of_any_length_leaves_its_file_readable(digits: int, sign: str) -> None:
    long = sign + "7" * digits
    document = decode_file(f'{{"last_updated": {long}, "ttl": {long}, "data": {{"x": {long}}}}}'.encode())
    assert (document.version, document.last_updated) == ("1.0", None)
    assert document.ttl_seconds == (0 if sign else 86_400)
    assert abs(document.data["x"]) >= 10 ** min(digits - 1, 4_999)


def test_a_long_integer_is_not_a_version() -> None:
    with pytest.raises(GbfsError, match="version: found a number of more than 76 digits"):
        decode_file(b'{"version": ' + b"2" * 5_000 + b', "data": {}}')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_a_document_is_read_in_each_encoding_of_json(encoding: str) -> None:
    assert decode_file('{"version": "2.3", "data": {"name": "Vélo"}}'.encode(encoding)).data == {
        "name": "Vélo"
    }
