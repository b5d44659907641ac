"""An unusable response is requested again within its minute, a few times; the first one is stored."""

import gzip
import logging
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from collector.api import ApiError, Response
from collector.envelope import Delivery
from collector.fetching import TRIES, Limits, count_unusable_responses, fetch_tick_response
from collector.tick import collect_tick
from feed import Feed, landing_name, redact_secrets, rejected_name
from tests.collector.fakes import TICK, FakeApi, MakeEnvironment, Reply

PAGE = b"<!doctype html><html>maintenance</html>"
LIMITS = Limits(30.0, 2**20)


class Replies:
    """The results of requests, in order: bodies, or errors that are raised."""

    def __init__(self, *replies: bytes | ApiError) -> None:
        self.replies = list(replies)
        self.requests_made = 0

    def __call__(self, url: str, seconds: float, size: int) -> Response:
        reply = self.replies[self.requests_made]
        self.requests_made += 1
        if isinstance(reply, ApiError):
            raise reply
        return Response(reply, {"content-type": "application/json"})


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes only in pauses, which are listed."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
    monkeypatch.setattr("collector.fetching.time", clock)
    return slept


# What is received, how many of it are of no use, and what is the tick's.
CASES: dict[str, tuple[list[bytes | ApiError], int, str]] = {
    "good at once": ([b"GOOD"], 0, "GOOD"),
    "a page, then good": ([PAGE, b"GOOD"], 1, "GOOD"),
    "cut, a page, then good": ([b'{"records": [{"fie', PAGE, b"GOOD"], 2, "GOOD"),
    "no bytes, then good": ([b"", b"GOOD"], 1, "GOOD"),
    "three of no use: the first": ([PAGE, b"", b"{"], 3, PAGE.decode()),
    "a page, then an error: the page": ([PAGE, ApiError("down")], 1, PAGE.decode()),
}


@pytest.mark.unit
@pytest.mark.parametrize(("replies", "unusable", "body"), CASES.values(), ids=CASES)
def test_the_first_response_of_use_is_the_ticks(
    feeds: dict[str, Feed],
    pauses: list[float],
    replies: list[bytes | ApiError],
    unusable: int,
    body: str,
) -> None:
    feed = feeds["vlille_ods"]
    api = Replies(*(feed.sample if reply == b"GOOD" else reply for reply in replies))
    fetched = fetch_tick_response(feed, api, feed.url, TICK, LIMITS)
    assert fetched.response.body == (feed.sample if body == "GOOD" else body.encode())
    assert count_unusable_responses(fetched.response.metadata) == unusable
    assert fetched.outcome.is_usable == (body == "GOOD")
    assert (fetched.rejected is not None) == (body == "GOOD" and unusable > 0)
    assert fetched.rejected is None or fetched.rejected.body == replies[0]
    assert pauses == [1.0, 2.0][: api.requests_made - 1]
    assert api.requests_made == len(replies) <= TRIES


@pytest.mark.unit
def test_no_request_is_repeated_beyond_the_time_limit_of_a_tick(
    feeds: dict[str, Feed], pauses: list[float]
) -> None:
    api = Replies(PAGE, PAGE, PAGE)
    fetch_tick_response(feeds["vlille_ods"], api, "https://api.example", TICK, Limits(2.5, 2**20))
    assert (api.requests_made, pauses) == (2, [1.0])


@pytest.mark.unit
def test_an_error_is_raised_where_there_is_no_response_at_all(
    feeds: dict[str, Feed], pauses: list[float]
) -> None:
    errors: list[ApiError] = []
    with pytest.raises(ApiError, match="down"):
        fetch_tick_response(
            feeds["vlille_ods"],
            Replies(ApiError("down")),
            "https://api.example",
            TICK,
            LIMITS,
            on_error=errors.append,
        )
    assert [str(error) for error in errors] == ["down"]


@pytest.mark.emulator
def test_a_page_for_a_moment_costs_no_minute(
    make_environment: MakeEnvironment, api: FakeApi, pauses: list[float]
) -> None:
    environment = make_environment()
    api.set_replies(Reply(PAGE), Reply(environment.feed.sample))
    outcome = collect_tick(
        environment.settings, environment.feed, environment.services, Delivery(TICK, is_first=True)
    )
    assert len(outcome.rows) == len(environment.rows(environment.settings.station_table)) > 0
    assert environment.rows(environment.settings.quarantine_table) == []
    landing = environment.gcs.bucket(environment.settings.landing_bucket)
    assert gzip.decompress(landing.blob(rejected_name("vlille_ods", TICK)).download_as_bytes()) == PAGE
    assert landing.get_blob(landing_name("vlille_ods", TICK)).metadata["unusable_responses"] == "1"


@pytest.mark.emulator
def test_a_feed_that_stays_unusable_is_requested_once_a_minute(
    make_environment: MakeEnvironment, api: FakeApi, pauses: list[float]
) -> None:
    environment = make_environment()
    api.set_replies(Reply(PAGE))
    counts = []
    for minute in range(3):
        tick = TICK + timedelta(minutes=minute)
        collect_tick(
            environment.settings, environment.feed, environment.services, Delivery(tick, is_first=True)
        )
        counts.append(len(api.requests))
    assert counts == [3, 4, 5]
    api.set_replies(Reply(environment.feed.sample), Reply(PAGE), Reply(environment.feed.sample))
    for minute in (3, 4):
        tick = TICK + timedelta(minutes=minute)
        collect_tick(
            environment.settings, environment.feed, environment.services, Delivery(tick, is_first=True)
        )
    assert len(api.requests) == 3


@pytest.mark.unit
def test_the_log_of_a_repeated_request_has_no_secret_from_the_response(
    feeds: dict[str, Feed], pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    feed = feeds["vlille_ods"]
    api = Replies(b"<html>not allowed: /?apiKey=k3y%2fa", feed.sample)
    logging.getLogger("vlille").propagate = True
    with caplog.at_level(logging.INFO, "vlille"):
        fetch_tick_response(
            feed, api, feed.url, TICK, LIMITS, redact=lambda text: redact_secrets(text, ["k3y/a"])
        )
    logged = "".join(each.getMessage() for each in caplog.records)
    assert "requesting again in 1 s: vlille_ods: unusable response (html)" in logged
    assert "not allowed: /?apiKey=[secret]" in logged
    assert "k3y" not in logged


@pytest.mark.emulator
def test_a_repeated_request_logs_no_secret(
    make_environment: MakeEnvironment,
    api: FakeApi,
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment = make_environment()
    services = replace(environment.services, secrets={"bikes": "k3y/a"})
    api.set_replies(Reply(b"<html>not allowed: /?apiKey=k3y%2fa"), Reply(environment.feed.sample))
    logging.getLogger("vlille").propagate = True
    with caplog.at_level(logging.INFO, "vlille"):
        collect_tick(environment.settings, environment.feed, services, Delivery(TICK, is_first=True))
    logged = "".join(f"{each.getMessage()} {vars(each)['fields']}" for each in caplog.records)
    assert "requesting again in 1 s" in logged
    assert "k3y" not in logged
