"""Concurrent requests: each has a result, whatever the servers do."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gbfs import read_file
from gbfs.collection.rows import make_rows
from gbfs_collector.fetching import Limits, Request, fetch_all
from local.feeds.gbfs_system import SimulatedServer, SimulatedSystem, serve_system

pytestmark = pytest.mark.local

NOON = datetime(2026, 5, 1, 10, tzinfo=UTC)
QUICK = Limits(deadline_s=20, request_s=1)


@contextmanager
def serve_systems(*faults: str) -> Iterator[list[SimulatedServer]]:
    """Serve one system per fault, "" for none."""
    with ExitStack() as closing:
        servers = []
        for number, fault in enumerate(faults):
            system = SimulatedSystem(
                f"s{number}", "S", stations=3, faults=frozenset({fault} if fault else ())
            )
            servers.append(serve_system(system, lambda: NOON))
            closing.callback(servers[-1].close)
        yield servers


def make_request(server: SimulatedServer, number: int = 0, **more: Any) -> Request:
    return Request(f"s{number}", "station_status", server.url_of("station_status"), **more)


def test_every_request_has_its_result_in_order() -> None:
    faults = ("", "error", "too_many", "html", "cut", "hang", "moved", "")
    with serve_systems(*faults) as servers:
        wanted = [make_request(server, number) for number, server in enumerate(servers)]
        found = fetch_all(wanted, lambda: NOON, QUICK)
    assert [each.system_id for each in found] == [f"s{number}" for number in range(8)]
    assert [each.status for each in found] == [200, 500, 429, 200, 200, None, 200, 200]
    assert dict(found[2].headers)["Retry-After"] == "120"
    assert found[5].error == "no complete response within 1.0 s"
    assert all(each.fetched_at == NOON for each in found)
    assert len(read_file("s0", "station_status", found[0].body).rows) == 3
    assert found[6].body == found[7].body == found[0].body


def test_no_requests_have_no_results() -> None:
    assert fetch_all([], lambda: NOON, QUICK) == []


def test_an_unchanged_file_has_status_304() -> None:
    with serve_systems("") as [server]:
        [first] = fetch_all([make_request(server)], lambda: NOON, QUICK)
        etag = dict(first.headers)["ETag"]
        [again] = fetch_all([make_request(server, headers=(("If-None-Match", etag),))], lambda: NOON, QUICK)
    assert (again.status, again.body) == (304, b"")


def test_a_host_that_hangs_does_not_block_others() -> None:
    with serve_systems("hang", "") as (hanging, good):
        wanted = [make_request(hanging, number) for number in range(40)] + [make_request(good, 99)] * 12
        limits = Limits(deadline_s=60, request_s=1, max_concurrent=6, max_concurrent_per_host=4)
        found = fetch_all(wanted, lambda: NOON, limits)
    assert [each.status for each in found[40:]] == [200] * 12
    errors = Counter(str(each.error) for each in found[:40])
    skipped = [error for error in errors if error.startswith("not requested: the host did not respond to ")]
    # 8 were made before the host was treated as down, besides those in progress at that time.
    assert sum(errors[error] for error in skipped) >= 40 - 8 - 3
    assert errors["no complete response within 1.0 s"] == hanging.requests["station_status"] <= 11


def test_files_that_hang_do_not_make_their_host_look_down() -> None:
    with serve_counting() as (url, _):
        wanted = [Request("s", "f", f"{url}/{'hang' * (number < 8)}{number}") for number in range(60)]
        limits = Limits(deadline_s=60, request_s=0.5, max_concurrent_per_host=4)
        found = fetch_all(wanted, lambda: NOON, limits)
    assert [each.error for each in found[:8]] == ["no complete response within 0.5 s"] * 8
    assert [each.status for each in found[8:]] == [200] * 52


def test_requests_after_the_deadline_are_not_made() -> None:
    with serve_systems("hang") as [hanging]:
        limits = Limits(deadline_s=0.5, request_s=5, max_concurrent=2, max_concurrent_per_host=2)
        found = fetch_all([make_request(hanging, number) for number in range(4)], lambda: NOON, limits)
    assert Counter(each.error for each in found)["not requested before the deadline of 0.5 s"] == 2


@pytest.mark.parametrize(
    ("files", "connections"),
    [(1, 1), (5, 5), (8, 8), (128, 8), (129, 9), (228, 15), (256, 16), (1_000, 16)],
)
def test_a_host_with_many_files_gets_more_connections(files: int, connections: int) -> None:
    assert Limits().count_connections(files) == connections


class _CountingHandler(BaseHTTPRequestHandler):
    """Counts concurrent requests, and records their paths and keys."""

    lock = threading.Lock()
    current = most = 0
    seen: list[tuple[str, str | None]]
    location: str | None = None
    body = b"{}"

    def do_GET(self) -> None:
        kind = type(self)
        with self.lock:
            kind.current += 1
            kind.most = max(kind.most, kind.current)
            kind.seen.append((self.path, self.headers.get("X-Key")))
        time.sleep(10 if "hang" in self.path else 0.02)
        with self.lock:
            kind.current -= 1
        self.send_response(302 if self.location else 200)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("X-Seen", str(self.headers.get("X-Key")))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


@contextmanager
def serve_counting(
    location: str | None = None, body: bytes = b"{}"
) -> Iterator[tuple[str, type[_CountingHandler]]]:
    handler = type("Handler", (_CountingHandler,), {"seen": [], "location": location, "body": body})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()


def test_concurrent_requests_per_host_are_limited() -> None:
    with serve_counting() as (url, handler):
        wanted = [Request("s", "f", f"{url}/{number}") for number in range(40)]
        found = fetch_all(wanted, lambda: NOON, Limits(max_concurrent=32, max_concurrent_per_host=3))
        assert [each.status for each in found] == [200] * 40
        assert handler.most <= 3
        assert len(handler.seen) == 40


def test_a_secret_is_sent_to_its_host_only() -> None:
    with serve_counting() as (other, second), serve_counting(f"{other}/there?key=abc") as (url, first):
        keyed = Request("s", "f", f"{url}/here", secrets=(("X-Key", "secret"),))
        [found] = fetch_all([keyed], lambda: NOON, QUICK)
        assert (first.seen, second.seen) == ([("/here", "secret")], [("/there?key=abc", None)])
    assert "secret" not in repr(keyed)
    assert (found.status, found.url) == (200, f"{url}/here")


@pytest.mark.parametrize(
    ("location", "error"),
    [
        (
            "http://example.org/x?key=abc",
            "http://example.org/x?… is not encrypted (expected https)",
        ),
        ("/again", "more than 3 redirects"),
        ("https://[oops", "ValueError: "),
    ],
)
def test_an_invalid_redirect_is_an_error(location: str, error: str) -> None:
    with serve_counting(location) as (url, _):
        [found] = fetch_all([Request("s", "f", f"{url}/?key=abc")], lambda: NOON, QUICK)
    assert found.status is None
    assert str(found.error).startswith(error)


def test_the_error_of_an_unreachable_server_omits_the_query() -> None:
    with serve_counting() as (url, _):
        pass
    [found] = fetch_all([Request("s", "f", f"{url}/x?key=abc")], lambda: NOON, QUICK)
    assert str(found.error).startswith("ConnectionError: ")
    assert "abc" not in str(found.error)


def test_a_body_that_is_too_large_is_an_error() -> None:
    with serve_systems("") as [server]:
        [found] = fetch_all([make_request(server)], lambda: NOON, Limits(max_bytes=100))
    assert found.error == "the body exceeds 100 bytes"


KEY = "k3y/a+b"


def make_keyed_request(url: str, value: str = KEY) -> Request:
    return Request("s", "station_status", url, secrets=(("X-Key", value),))


@pytest.mark.parametrize("value", [f" {KEY}", f"{KEY}\n"])
def test_the_error_of_an_invalid_header_omits_the_secret(value: str) -> None:
    [found] = fetch_all([make_keyed_request("http://127.0.0.1:9/", value)], lambda: NOON, QUICK)
    assert str(found.error).startswith("InvalidHeader: ")
    assert "k3y" not in str(found.error)


def test_the_error_of_a_redirect_omits_a_repeated_secret() -> None:
    with serve_counting("http://example.org/k3y%2Fa%2bb/x") as (url, _):
        [found] = fetch_all([make_keyed_request(url)], lambda: NOON, QUICK)
    assert found.error == "http://example.org/[secret]/x is not encrypted (expected https)"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"<html>k3y%2Fa%2bb is not known \xff</html>", b"<html>[secret] is not known \xff</html>"),
        (b'{"error": "k3y\\/a+b"}', b'{"error": "[secret]"}'),
        (b'{"data": "k3y/a+b"}', b'{"data": "[secret]"}'),
        (b'{"data": {"stations": [], "x": "k3y/a+b"}}', b'{"data": {"stations": [], "x": "k3y/a+b"}}'),
    ],
)
def test_a_poll_omits_a_secret_that_a_response_repeats(body: bytes, kept: bytes) -> None:
    with serve_counting(body=body) as (url, _):
        [found] = fetch_all([make_keyed_request(url)], lambda: NOON, QUICK)
    assert found.body == kept
    assert dict(found.headers)["X-Seen"] == "[secret]"
    [poll] = make_rows([found], NOON, "pack").polls
    assert "k3y" not in str(poll)


def test_without_secrets_a_page_is_stored_unchanged() -> None:
    with serve_counting(body=b"<html>k3y/a+b</html>") as (url, _):
        [found] = fetch_all([Request("s", "station_status", url)], lambda: NOON, QUICK)
    assert found.body == b"<html>k3y/a+b</html>"
