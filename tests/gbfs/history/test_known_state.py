"""The known state of a shard: object names that sort the newest first, and its encoding."""

from datetime import UTC, datetime

import pytest

from gbfs import GbfsError
from gbfs.history.known_state import (
    KnownState,
    compress_json,
    decode_state,
    decompress_json,
    discovery_pack_name,
    encode_state,
    rows_object_name,
    state_name,
    state_prefix,
)
from gbfs.history.validity import KnownSystem

pytestmark = pytest.mark.unit

TICK = datetime(2026, 5, 1, 2, 23, tzinfo=UTC)
STATE = KnownState(
    7,
    TICK,
    {"dott-bodø": KnownSystem({"version": "2.3", "files": []}, {"1": "abc"})},
    "gbfs/rows/0003/x.json.gz",
)


def test_the_newest_state_is_listed_first() -> None:
    names = [state_name(3, number) for number in (1, 2, 10, 99_999)]
    assert sorted(names, reverse=True) == names
    assert all(name.startswith(state_prefix(3)) for name in names)


def test_states_rows_and_packs_have_separate_prefixes() -> None:
    names = [state_name(3, 1), rows_object_name(3, "ab"), discovery_pack_name(TICK, 3)]
    assert names == [
        "gbfs/known/0003/99999998.json.gz",
        "gbfs/rows/0003/ab.json.gz",
        "gbfs/discovery/date=2026-05-01/20260501T0223Z_0003.warc.gz",
    ]


def test_decoding_inverts_the_deterministic_encoding() -> None:
    assert decode_state(encode_state(STATE)) == STATE
    assert encode_state(STATE) == encode_state(STATE)


@pytest.mark.parametrize(
    "data", [b"", b"{}", compress_json({}), compress_json([1]), compress_json({"systems": {"a": {"b": 1}}})]
)
def test_a_damaged_state_is_refused(data: bytes) -> None:
    with pytest.raises(GbfsError) as refused:
        decode_state(data)
    assert refused.value.reason == "damaged"


def test_decompression_inverts_compression() -> None:
    assert decompress_json(compress_json({"systems": [{"a": "ø"}]})) == {"systems": [{"a": "ø"}]}
    with pytest.raises(GbfsError):
        decompress_json(b"no gzip")
