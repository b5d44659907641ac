"""The call of the API, against a real server on loopback."""

import pytest
import requests

from collector.api import USER_AGENT, Answer, ApiError, fetch
from tests.collector.surroundings import Api, Reply

pytestmark = pytest.mark.unit


def ask(session: requests.Session, api: Api) -> Answer:
    return fetch(session, api.url, timeout_s=5.0, max_bytes=100_000)


def test_the_body_comes_as_it_was_with_what_tells_of_its_making(api: Api, session: requests.Session) -> None:
    api.answers(Reply(b'{"a": 1}\n', headers={"ETag": '"7"', "X-Other": "no"}))
    answer = ask(session, api)
    assert answer.body == b'{"a": 1}\n'
    assert {name: answer.headers.get(name) for name in ("etag", "x-other")} == {
        "etag": '"7"',
        "x-other": None,
    }
    assert api.requests[0]["User-Agent"] == USER_AGENT


def test_a_compressed_transfer_is_undone(api: Api, session: requests.Session) -> None:
    api.answers(Reply(b'{"a": 1}', compressed=True))
    assert ask(session, api).body == b'{"a": 1}'


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_asked_again(api: Api, session: requests.Session, status: int) -> None:
    api.answers(Reply(b"later", status), Reply(b"{}"))
    assert ask(session, api).body == b"{}"
    assert len(api.requests) == 2


def test_a_long_retry_after_is_not_waited_for(
    api: Api, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    api.answers(Reply(b"", 503, {"Retry-After": "86400"}), Reply(b"{}"))
    ask(session, api)
    assert max(waits) == 10.0


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(b"gone", 404), "answered 404"),
        (Reply(b"", 204), "answered 204"),
        (Reply(b"x" * 100_001), "larger than 100000 bytes"),
        (Reply(b"x" * 200_000_0, compressed=True), "larger than 100000 bytes"),
        (Reply(b"x" * 50_000, cut_at=20_000), "IncompleteRead|incomplete|Connection broken|timed out"),
        (Reply(b"", 302, {"Location": "/"}), "[Rr]edirect"),
        (Reply(b"", 302, {"Location": "file:///etc/passwd"}), "No connection adapters"),
    ],
)
def test_what_cannot_be_kept_is_an_error(
    api: Api, session: requests.Session, reply: Reply, words: str
) -> None:
    api.answers(reply)
    with pytest.raises(ApiError, match=words):
        fetch(session, api.url, timeout_s=2.0, max_bytes=100_000)


def test_an_answer_that_drips_is_given_up(api: Api, session: requests.Session) -> None:
    api.answers(Reply(b"x" * 90_000, pause_s=0.1))
    with pytest.raises(ApiError, match=r"not complete after 0\.5 s"):
        fetch(session, api.url, timeout_s=0.5, max_bytes=100_000)


def test_a_server_that_is_not_there_is_named(session: requests.Session) -> None:
    with pytest.raises(ApiError, match=r"127\.0\.0\.1:1/"):
        fetch(session, "http://127.0.0.1:1/", timeout_s=1.0, max_bytes=10)
