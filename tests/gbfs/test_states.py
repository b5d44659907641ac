"""The chain of what is known: names that sort the newest first, and content that comes back."""

from datetime import UTC, datetime

import pytest

from gbfs import GbfsError
from gbfs.states import (
    State,
    discovery_pack_name,
    known_name,
    known_prefix,
    pack_json,
    read_state,
    rows_name,
    unpack_json,
    write_state,
)
from gbfs.validity import KnownSystem

pytestmark = pytest.mark.unit

TICK = datetime(2026, 5, 1, 2, 23, tzinfo=UTC)
STATE = State(
    7,
    TICK,
    {"dott-bodø": KnownSystem({"version": "2.3", "files": []}, {"1": "abc"})},
    "gbfs/rows/0003/x.json.gz",
)


def test_the_newest_link_comes_first() -> None:
    names = [known_name(3, number) for number in (1, 2, 10, 99_999)]
    assert sorted(names, reverse=True) == names
    assert all(name.startswith(known_prefix(3)) for name in names)


def test_links_rows_and_packs_of_minutes_are_apart() -> None:
    names = [known_name(3, 1), rows_name(3, "ab"), discovery_pack_name(TICK, 3)]
    assert names == [
        "gbfs/known/0003/99999998.json.gz",
        "gbfs/rows/0003/ab.json.gz",
        "gbfs/discovery/date=2026-05-01/20260501T0223Z_0003.warc.gz",
    ]


def test_a_state_comes_back_and_is_always_the_same_bytes() -> None:
    assert read_state(write_state(STATE)) == STATE
    assert write_state(STATE) == write_state(STATE)


@pytest.mark.parametrize(
    "data", [b"", b"{}", pack_json({}), pack_json([1]), pack_json({"systems": {"a": {"b": 1}}})]
)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(GbfsError) as refused:
        read_state(data)
    assert refused.value.reason == "damaged"


def test_rows_come_back() -> None:
    assert unpack_json(pack_json({"systems": [{"a": "ø"}]})) == {"systems": [{"a": "ø"}]}
    with pytest.raises(GbfsError):
        unpack_json(b"no gzip")
