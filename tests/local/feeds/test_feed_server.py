import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Feed, load_feed, load_feeds, parse_response
from local.feeds.feed_server import EvolvingSample, evolve_bikes, probe_api, serve_feed
from local.feeds.replay import Replay
from tests.collector.fakes import FakeApi, Reply

pytestmark = pytest.mark.unit
SOURCES = Path(__file__).parents[3] / "sources"
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)


def minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        assert response.headers["Content-Type"].startswith("application/json")
        return json.loads(response.read())


@pytest.mark.parametrize("feed", load_feeds(SOURCES).values(), ids=lambda feed: str(feed.name))
def test_the_evolving_sample_stays_a_valid_response(feed: Feed) -> None:
    sample = EvolvingSample(feed)
    before = parse_response(feed, feed.sample, NOON)
    first, later = (parse_response(feed, sample.response_at(minute(n)), minute(n)) for n in (0, 10))
    assert len(first.rows) == len(later.rows) == len(before.rows)
    assert not first.rejections
    assert not later.rejections
    bikes, docks = feed.common.num_bikes_available, feed.common.num_docks_available
    assert bikes
    assert docks
    assert [row[bikes] for row in first.rows] != [row[bikes] for row in later.rows]
    for old, new in zip(before.rows, later.rows, strict=True):
        if old[bikes] is not None and old[docks] is not None:
            assert new[bikes] + new[docks] == old[bikes] + old[docks]
    reported = feed.common.last_reported
    assert reported
    assert max(row[reported] for row in later.rows if row[reported]) == minute(10)


def test_the_same_minute_gives_the_same_sample() -> None:
    feed = load_feed(SOURCES / "vlille_ogc")
    assert EvolvingSample(feed).response_at(minute(7)) == EvolvingSample(feed).response_at(minute(7))


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 1000), st.integers(0, 30_000_000))
def test_bikes_stay_between_zero_and_the_number_of_places(
    bikes: int, free: int, station: int, when: int
) -> None:
    assert 0 <= evolve_bikes(bikes, bikes + free, station, when) <= bikes + free


def test_without_common_columns_the_sample_does_not_change(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "source.toml").write_text('url = "https://example.com/x"\nrecords = "items"\n')
    (folder / "sample.json").write_text('{"items": [{"a": 1, "b": "x"}]}')
    sample = EvolvingSample(load_feed(folder))
    assert json.loads(sample.response_at(minute(3))) == {"items": [{"a": 1, "b": "x"}]}
    assert sample.description == "the unchanging sample of plain"


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        ("2022-11-29T10:47:16.181+00:00", "", "2023-10-26T12:05:00.000+00:00"),
        ("2022-11-29T10:47:16Z", "", "2023-10-26T12:05:00Z"),
        ("2022-11-29T11:47:16+01:00", "", "2023-10-26T13:05:00+01:00"),
        (1669718836, '[types]\nt = { type = "TIMESTAMP", unit = "seconds" }\n', 1698321900),
    ],
)
def test_timestamps_are_shifted_and_keep_their_format(
    tmp_path: Path, value: Any, options: str, expected: Any
) -> None:
    folder = tmp_path / "timed"
    folder.mkdir()
    (folder / "source.toml").write_text(f'url = "https://example.com/x"\nrecords = "items"\n{options}')
    (folder / "sample.json").write_text(json.dumps({"items": [{"t": value}]}))
    assert json.loads(EvolvingSample(load_feed(folder)).response_at(minute(5)))["items"][0]["t"] == expected


def test_the_server_responds_with_the_minute_of_its_clock(tmp_path: Path) -> None:
    for name in "12":
        (tmp_path / f"{name}.json").write_text(name)
    times = iter([minute(0), minute(0) + timedelta(seconds=59), minute(1)])
    server = serve_feed(Replay(tmp_path), lambda: next(times))
    try:
        assert server.url.startswith("http://127.0.0.1:")
        assert [get(server.url) for _ in range(3)] == [1, 1, 2]
    finally:
        server.close()


def test_an_api_is_used_only_if_it_returns_rows(tmp_path: Path) -> None:
    feed = load_feed(SOURCES / "vlille_ogc")
    (tmp_path / "good.json").write_bytes(feed.sample)
    (tmp_path / "maintenance.json").write_text("<html>Maintenance</html>")
    good = serve_feed(Replay(tmp_path / "good.json"), lambda: NOON)
    page = serve_feed(Replay(tmp_path / "maintenance.json"), lambda: NOON)
    try:
        assert probe_api(feed, good.url) is None
        assert "its response has no rows for vlille_ogc" in str(probe_api(feed, page.url))
    finally:
        good.close()
        page.close()
    assert "it cannot be reached" in str(probe_api(feed, good.url))


def test_both_files_of_a_joined_feed_are_served(tmp_path: Path) -> None:
    feed = load_feed(SOURCES / "vlille_gbfs")
    (tmp_path / "both.json").write_bytes(feed.sample)
    (tmp_path / "first.json").write_text(json.dumps(json.loads(feed.sample)["response"]))
    assert feed.join is not None
    for name, reason in (("both", None), ("first", "Not Found")):
        server = serve_feed(Replay(tmp_path / f"{name}.json"), lambda: NOON, feed.join)
        try:
            assert get(server.url) == json.loads(feed.sample)["response"]
            assert str(reason) in str(probe_api(feed, server.url))
            if reason is None:
                assert get(feed.join.url(server.url)) == json.loads(feed.sample)["joined"]
        finally:
            server.close()


def test_the_api_is_probed_with_the_feeds_parameters_headers_and_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "keyed"
    folder.mkdir()
    (folder / "sample.json").write_text('[{"id": 1}]')
    (folder / "source.toml").write_text(
        'url = "https://api.example/"\nrecords = ""\nquery = { apiKey = { secret = "bikes" } }\n'
        'headers = { User-Agent = "archive (mail@example.org)", X-Key = { secret = "bikes" } }\n'
    )
    feed, api = load_feed(folder), FakeApi()
    try:
        monkeypatch.delenv("SECRET_BIKES", raising=False)
        assert probe_api(feed, api.url) == "it needs a secret: set the variable SECRET_BIKES to its value"
        monkeypatch.setenv("SECRET_BIKES", "k3y/+signs")
        api.set_replies(Reply(feed.sample))
        assert probe_api(feed, api.url) is None
        assert api.paths == ["/?apiKey=k3y%2F%2Bsigns"]
        assert (api.requests[0]["User-Agent"], api.requests[0]["X-Key"]) == (
            "archive (mail@example.org)",
            "k3y/+signs",
        )
        api.set_replies(Reply(b"<html>/?apiKey=k3y%2f%2bsigns"))
        assert "<html>/?apiKey=[secret]" in str(probe_api(feed, api.url))
        api.set_replies(Reply(b"", 302, {"Location": f"{api.url}moved"}), Reply(feed.sample))
        assert probe_api(feed, api.url) is None
        assert "X-Key" not in api.requests[1]
    finally:
        api.close()
