"""Shards of hosts, and the next tick at which a file may be requested."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs.collection.shards import (
    assign_shard,
    compute_next_tick,
    parse_host,
    parse_retry_after,
    split_by_shard,
)

pytestmark = pytest.mark.unit

TICK = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
HOSTS = [f"host{number}.example.org" for number in range(400)]


def test_all_urls_of_a_host_are_in_one_shard() -> None:
    shard = assign_shard("https://a.example.org/x/gbfs.json", 8)
    assert assign_shard("https://A.example.org:443/y?z", 8) == shard
    assert split_by_shard({"x": "https://a.example.org/x", "y": "https://a.example.org/y"}, 1) == (
        ("x", "y"),
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://A.example.org/x", "a.example.org"),
        ("https://user@a.example.org:443/", "a.example.org"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("https://[oops", ""),
        ("https://a:port/", ""),
        ("none", ""),
    ],
)
def test_a_url_has_a_host(url: str, host: str) -> None:
    assert parse_host(url) == host


def test_hosts_are_distributed_evenly() -> None:
    counts = Counter(assign_shard(f"https://{host}/", 8) for host in HOSTS)
    assert set(counts) == set(range(8))
    assert max(counts.values()) < 2 * 400 / 8


def test_another_shard_moves_few_hosts() -> None:
    moved = [
        host for host in HOSTS if assign_shard(f"https://{host}/", 8) != assign_shard(f"https://{host}/", 9)
    ]
    assert {assign_shard(f"https://{host}/", 9) for host in moved} == {8}
    assert 0 < len(moved) < 2 * 400 / 9


@given(
    st.dictionaries(st.text(max_size=3), st.sampled_from(HOSTS).map("https://{}/".format)), st.integers(1, 9)
)
def test_every_system_is_in_one_shard(urls: dict[str, str], shards: int) -> None:
    parts = split_by_shard(urls, shards)
    assert len(parts) == shards
    assert sorted(key for part in parts for key in part) == sorted(urls)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", 0),
        ("Fri, 01 May 2026 10:09:00 GMT", 120),
        ("Fri, 01 May 2026 09:00:00 GMT", 0),
        ("Fri, 01 May 2026 10:09:00", 0),
        ("soon", 0),
        ("-5", 0),
        ("9" * 5_000, 0),
        ("١", 0),
    ],
)
def test_a_retry_after_is_read(value: str, seconds: float) -> None:
    assert parse_retry_after([("retry-After", value)], TICK) == seconds


def test_without_the_header_there_is_no_delay() -> None:
    assert parse_retry_after([("Date", "x")], TICK) == 0


@pytest.mark.parametrize(
    ("delays", "minutes"),
    [
        ({}, 1),
        ({"ttl_seconds": 0}, 1),
        ({"ttl_seconds": 60}, 1),
        ({"ttl_seconds": 61}, 2),
        ({"ttl_seconds": 300}, 5),
        ({"ttl_seconds": 60, "retry_after_seconds": 120}, 2),
        ({"ttl_seconds": 600, "retry_after_seconds": 120}, 10),
        ({"failures": 1}, 1),
        ({"failures": 3}, 2),
        ({"failures": 6}, 30),
        ({"failures": 99}, 30),
        ({"failures": 99, "retry_after_seconds": 3_600}, 60),
        ({"ttl_seconds": 10**9}, 24 * 60),
    ],
)
def test_the_next_tick_follows_the_longest_delay(delays: dict[str, int], minutes: int) -> None:
    assert compute_next_tick(TICK, **delays) == TICK + timedelta(minutes=minutes)
