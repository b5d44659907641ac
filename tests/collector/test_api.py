"""The request of the API, against a real server on loopback."""

import time
import tracemalloc

import pytest
import requests

from collector.api import USER_AGENT, ApiError, Response, fetch
from tests.collector.fakes import FakeApi, Reply

pytestmark = pytest.mark.unit


def fetch_body(session: requests.Session, api: FakeApi) -> Response:
    return fetch(session, api.url, timeout_s=5.0, max_bytes=100_000)


def test_the_body_is_unchanged_and_headers_are_kept(api: FakeApi, session: requests.Session) -> None:
    api.set_replies(Reply(b'{"a": 1}\n', headers={"ETag": '"7"', "X-Other": "no"}))
    response = fetch_body(session, api)
    assert response.body == b'{"a": 1}\n'
    assert {name: response.headers.get(name) for name in ("etag", "x-other")} == {
        "etag": '"7"',
        "x-other": None,
    }
    assert api.requests[0]["User-Agent"] == USER_AGENT


def test_a_compressed_transfer_is_decompressed(api: FakeApi, session: requests.Session) -> None:
    api.set_replies(Reply(b'{"a": 1}', compressed=True))
    assert fetch_body(session, api).body == b'{"a": 1}'


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_transient_errors_are_retried(api: FakeApi, session: requests.Session, status: int) -> None:
    api.set_replies(Reply(b"later", status), Reply(b"{}"))
    assert fetch_body(session, api).body == b"{}"
    assert len(api.requests) == 2


def test_a_truncated_transfer_is_retried(api: FakeApi, session: requests.Session) -> None:
    api.set_replies(Reply(b"x" * 50_000, cut_at=20_000), Reply(b"{}"))
    assert fetch_body(session, api).body == b"{}"


def test_a_lasting_error_is_attempted_four_times(api: FakeApi, session: requests.Session) -> None:
    api.set_replies(Reply(b"", 503))
    with pytest.raises(ApiError, match=r"status 503 .*; gave up after 4 attempts"):
        fetch_body(session, api)
    assert len(api.requests) == 4


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        ("2", [2.0]),
        ("10", [10.0]),
        ("soon", [0.01]),
        ("9" * 5_000, [0.01]),
        ("", [0.01]),
    ],
)
def test_retry_after_is_respected_up_to_ten_seconds(
    api: FakeApi,
    session: requests.Session,
    monkeypatch: pytest.MonkeyPatch,
    retry_after: str,
    waits: list[float],
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("collector.api.time.sleep", waited.append)
    api.set_replies(Reply(b"", 503, {"Retry-After": retry_after}), Reply(b"{}"))
    fetch(session, api.url, timeout_s=30.0, max_bytes=10)
    assert [each for each in waited if each] == waits  # the fake server itself sleeps 0 s


@pytest.mark.parametrize("retry_after", ["11", "3600", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_longer_retry_after_is_left_to_the_next_delivery(
    api: FakeApi, session: requests.Session, retry_after: str
) -> None:
    api.set_replies(Reply(b"", 503, {"Retry-After": retry_after}), Reply(b"{}"))
    with pytest.raises(
        ApiError, match=r"status 503 .*; Retry-After is \d+ s, so no more attempts \(1 made\)"
    ):
        fetch(session, api.url, timeout_s=30.0, max_bytes=10)
    assert len(api.requests) == 1


def test_a_wait_beyond_the_time_limit_is_not_started(api: FakeApi, session: requests.Session) -> None:
    api.set_replies(Reply(b"", 503, {"Retry-After": "6"}))
    with pytest.raises(ApiError, match="gave up after 1 attempts within 5 s"):
        fetch_body(session, api)


def test_few_redirects_are_followed(api: FakeApi, session: requests.Session) -> None:
    redirect = Reply(b"", 302, {"Location": "/elsewhere"})
    api.set_replies(redirect, redirect, redirect, Reply(b"{}"))
    assert fetch_body(session, api).body == b"{}"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(b"gone", 404), "status 404"),
        (Reply(b"", 204), "status 204"),
        (Reply(b"x" * 100_001), "larger than 100000 bytes"),
        (Reply(b"x" * 200_000_0, compressed=True), "larger than 100000 bytes"),
        (Reply(b"x" * 50_000, cut_at=20_000), "IncompleteRead|incomplete|Connection broken"),
        (Reply(b"", 302, {"Location": "/"}), "redirected more than 3 times"),
        (Reply(b"", 302, {"Location": "https://[api"}), "redirected to an invalid URL"),
        (
            Reply(b"", 302, {"Location": "file:///etc/passwd"}),
            "redirected to file:///etc/passwd, .*not encrypted",
        ),
        (Reply(b"", 302, {"Location": "http://example.com/"}), "redirected to http.*not encrypted"),
    ],
)
def test_a_response_that_cannot_be_stored_is_an_error(
    api: FakeApi, session: requests.Session, reply: Reply, words: str
) -> None:
    api.set_replies(reply)
    with pytest.raises(ApiError, match=words):
        fetch(session, api.url, timeout_s=2.0, max_bytes=100_000)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(b"x" * 90_000, pause_s=2.0), r"incomplete after 0\.5 s"),
        (Reply(b"x" * 900, pause_s=0.1, step=1), r"incomplete after 0\.5 s"),
        (Reply(b"x" * 900, pause_s=0.1, step=1, has_length=False), r"incomplete after 0\.5 s"),
        (Reply(b"x" * 900, pause_s=0.1, step=1, compressed=True), r"incomplete after 0\.5 s"),
        (Reply(silent_s=30.0), r"(?i)timed out|no response within 0\.5 s"),
        (Reply(header_pause_s=0.2), r"(no response within|incomplete after) 0\.5 s"),
        (Reply(b"x" * 900, 302, {"Location": "/"}, pause_s=0.1, step=1), "redirected more than 3 times"),
        (Reply(b"", 302, {"Location": "/"}, silent_s=0.3), "(?i)timed out|no response within"),
    ],
)
def test_one_time_limit_covers_the_whole_fetch(
    api: FakeApi, session: requests.Session, reply: Reply, words: str
) -> None:
    """Without the limit of half a second, most of these cases take 30 s and more."""
    api.set_replies(reply)
    began = time.monotonic()
    with pytest.raises(ApiError, match=words):
        fetch(session, api.url, timeout_s=0.5, max_bytes=100_000)
    assert time.monotonic() - began < 2


def test_a_redirects_body_is_not_read(api: FakeApi, session: requests.Session) -> None:
    """A redirect of 300 MB would be read into memory before the next request."""
    api.set_replies(Reply(b"x" * 50_000_000, 302, {"Location": "/there"}), Reply(b"{}"))
    tracemalloc.start()
    try:
        assert fetch_body(session, api).body == b"{}"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_connections_are_not_kept_for_a_later_fetch(api: FakeApi, session: requests.Session) -> None:
    """The later fetch's time limit could not close a connection that an earlier one opened."""
    api.set_replies(Reply(b"{}"))
    fetch_body(session, api)
    fetch_body(session, api)
    assert len(set(api.clients)) == 2


def test_an_unreachable_server_is_named(session: requests.Session) -> None:
    with pytest.raises(ApiError, match=r"127\.0\.0\.1:1/"):
        fetch(session, "http://127.0.0.1:1/", timeout_s=1.0, max_bytes=10)


def test_unencrypted_urls_are_refused(session: requests.Session) -> None:
    with pytest.raises(ApiError, match=r"^http://example\.com: the URL is not encrypted"):
        fetch(session, "http://example.com", timeout_s=1.0, max_bytes=10)
