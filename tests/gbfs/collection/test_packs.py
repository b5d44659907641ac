"""Packs: reading inverts writing, standard tools can read them, and damage is detected."""

import gzip
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs import GbfsError
from gbfs.collection.packs import FetchResult, pack_name, read_pack, write_pack

pytestmark = pytest.mark.unit

TICK = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
AT = datetime(2026, 5, 1, 10, 7, 3, 250_000, tzinfo=UTC)
URL = "https://example.org/station_status.json"
STATUS = FetchResult(
    "dott-bodø",
    "station_status",
    URL,
    AT,
    200,
    (("Content-Type", "application/json"), ("ETag", '"a"')),
    b'{"a": 1}',
)
UNCHANGED = FetchResult("lille", "station_status", URL, AT, 304, (("ETag", '"a"'),), unchanged_since=TICK)
LOST = FetchResult("lille", "station_information", URL, AT, error="no response after 10 s")


def make_pack(*fetched: FetchResult) -> bytes:
    return write_pack(TICK, 3, fetched)


def test_a_pack_is_named_by_its_minute_and_shard() -> None:
    assert pack_name(TICK, 3) == "gbfs/date=2026-05-01/hour=10/20260501T1007Z_0003.warc.gz"


@pytest.mark.parametrize(
    "fetched",
    [
        (),
        (STATUS,),
        (STATUS, UNCHANGED, LOST),
        (FetchResult("a", "f", URL, AT, 200, (), b""),),
        (FetchResult("a", "f", URL, AT, 200, (), b"\r\n\r\nWARC/1.1\r\n\x00\xff" * 9),),
        (FetchResult("a", "f", URL, AT, 599, (("X-Empty", ""),), b"oops"),),
        (FetchResult("a", "f", URL, AT, 200, (), bytes(200_000)), STATUS),
    ],
    ids=["empty", "one", "each kind", "no body", "hostile body", "odd status", "large"],
)
def test_reading_inverts_writing(fetched: tuple[FetchResult, ...]) -> None:
    assert tuple(read_pack(make_pack(*fetched))) == fetched
    assert make_pack(*fetched) == make_pack(*fetched)


def test_transfer_headers_are_not_stored() -> None:
    headers = (
        ("Content-Encoding", "gzip"),
        ("Content-Length", "9"),
        ("Transfer-Encoding", "chunked"),
        ("Date", "x"),
    )
    [found] = read_pack(make_pack(FetchResult("a", "f", URL, AT, 200, headers, b"{}")))
    assert found.headers == (("Date", "x"),)


def test_a_line_break_cannot_add_a_header_field() -> None:
    odd = FetchResult("a\r\nWARC-Type: warcinfo", "f", URL, AT, error="no\r\n\r\nresponse")
    [found] = read_pack(make_pack(odd))
    assert (found.system_id, found.error) == ("a WARC-Type: warcinfo", "no response")


def test_zcat_shows_the_responses(tmp_path: Path) -> None:
    file = tmp_path / "pack.warc.gz"
    file.write_bytes(make_pack(STATUS))
    shown = subprocess.run(["zcat", str(file)], capture_output=True, check=True).stdout.decode()
    assert shown.startswith("WARC/1.1\r\nWARC-Record-ID: <urn:uuid:")
    assert "WARC-Target-URI: https://example.org/station_status.json\r\n" in shown
    assert (
        'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "a"\r\nContent-Length: 8\r\n\r\n{"a": 1}'
        in shown
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        make_pack(STATUS)[:-9],
        make_pack(STATUS)[9:],
        make_pack(STATUS) + b"x",
        gzip.compress(b"no record", mtime=0),
        gzip.compress(gzip.decompress(make_pack(STATUS)).replace(b'{"a": 1}', b'{"a": 2}'), mtime=0),
        gzip.compress(b"WARC/1.1\r\nContent-Length: x\r\n\r\n", mtime=0),
    ],
    ids=["none", "json", "cut", "beginning lost", "more", "text", "changed", "length"],
)
def test_a_damaged_pack_is_an_error(data: bytes) -> None:
    with pytest.raises(GbfsError, match=r"record \d+ of the pack: .+; expected a WARC 1\.1 record") as caught:
        tuple(read_pack(data))
    assert caught.value.reason == "damaged"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs")), max_size=12)
FETCHED = st.builds(
    FetchResult,
    system_id=WORDS,
    file=st.just("station_status"),
    url=st.just(URL),
    fetched_at=st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    status=st.integers(100, 599).filter(lambda status: status != 304),
    headers=st.lists(st.tuples(st.sampled_from(["ETag", "Date", "X-A"]), WORDS), max_size=3).map(tuple),
    body=st.binary(max_size=300),
)


@given(st.lists(FETCHED, max_size=4))
@pytest.mark.long
def test_reading_inverts_writing_for_any_response(fetched: list[FetchResult]) -> None:
    assert list(read_pack(make_pack(*fetched))) == fetched


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_detected(position: int, change: int) -> None:
    good = make_pack(STATUS, LOST)
    data = bytearray(good)
    data[position % len(data)] ^= change
    try:
        found = list(read_pack(bytes(data)))
    except GbfsError:
        return
    assert found == [STATUS, LOST]  # a byte of the gzip header that does not affect the content
