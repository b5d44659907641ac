import contextlib
import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import DecompressionError, TooLargeError, compress, decompress, decompress_body
from feed.parsing.compression import MAX_LAYERS, MAX_MEMBERS

pytestmark = pytest.mark.unit


@given(st.binary())
def test_packed_bytes_are_gzip_and_come_back(body: bytes) -> None:
    assert gzip.decompress(compress(body)) == body == decompress(compress(body))
    assert compress(body)[4:8] == bytes(4), "a time in the header would make equal responses differ"


def test_plain_bytes_are_returned_as_they_are() -> None:
    assert decompress(b'{"records": []}') == b'{"records": []}'


def test_several_gzip_members_are_one_response() -> None:
    assert decompress(compress(b"[1,") + compress(b"2]")) == b"[1,2]"
    assert decompress(compress(b"1") * MAX_MEMBERS) == b"1" * MAX_MEMBERS


COMPRESSED = compress(b"some response " * 50)
MANY = f"more than {MAX_MEMBERS} gzip members"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (COMPRESSED[:-1], "gzip truncated"),
        (COMPRESSED[:15], "gzip truncated"),
        (COMPRESSED[:2], "gzip truncated"),
        (COMPRESSED[:20] + b"\0\0\0" + COMPRESSED[23:], "damaged gzip"),
        (COMPRESSED[:-8] + bytes(8), "damaged gzip"),
        (COMPRESSED + b"more", "damaged gzip"),
        (compress(bytes(1001)), "more than 1000 bytes"),
        (compress(bytes(600)) + compress(bytes(401)), "more than 1000 bytes"),
        (b" " * 1001, "more than 1000 bytes"),
        (compress(b"1") * (MAX_MEMBERS + 1), MANY),
        (compress(b"") * 500_000, MANY),  # 10 MB that give no byte took a minute
    ],
)
@pytest.mark.timeout(10)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(DecompressionError, match=message):
        decompress(data, limit=1000)


@given(st.lists(st.binary(max_size=70_000), min_size=1, max_size=4), st.integers(0, 200_000))
@pytest.mark.long
def test_members_and_chunks_may_end_anywhere(members: list[bytes], limit: int) -> None:
    body, data = b"".join(members), b"".join(map(compress, members))
    if len(body) <= limit:
        assert decompress(data, limit) == body
    else:
        with pytest.raises(DecompressionError, match="bytes decompressed"):
            decompress(data, limit)


@pytest.mark.parametrize("size", [0, 65_535, 65_536, 65_537, 300_000])
def test_what_does_not_compress_goes_through_many_chunks(size: int) -> None:
    body = random.Random(size).randbytes(size)  # noqa: S311 - noise, not a secret
    assert decompress(compress(body) + compress(body)) == body + body


def test_the_limit_itself_is_allowed() -> None:
    assert decompress(compress(bytes(1000)), limit=1000) == decompress(bytes(1000), limit=1000) == bytes(1000)


@given(st.binary(max_size=60).map(lambda noise: b"\x1f\x8b" + noise))
def test_damage_never_raises_anything_else(data: bytes) -> None:
    with contextlib.suppress(DecompressionError):
        decompress(data)


@pytest.mark.parametrize("layers", range(MAX_LAYERS + 2))
def test_gzip_inside_of_gzip(layers: int) -> None:
    data = b'{"records": []}'
    for _ in range(layers):
        data = compress(data)
    found = decompress_body(data)
    assert found == (b'{"records": []}' if layers <= MAX_LAYERS else compress(b'{"records": []}'))


def test_each_layer_is_bounded() -> None:
    for layers in (compress(bytes(2_000)), compress(compress(bytes(2_000)))):
        with pytest.raises(TooLargeError):
            decompress_body(layers, limit=1_000)
