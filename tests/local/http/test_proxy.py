"""The proxy forwards requests and responses unchanged, and does not forward refused requests."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.http.messages import PEEK_LIMIT
from local.http.proxy import Decision, Proxy, ProxyResponse
from local.http.request import Request
from local.processes.ports import free_port

pytestmark = pytest.mark.unit


class Upstream:
    """A server that echoes requests in the way that the path selects."""

    def __init__(self) -> None:
        self.inspect: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def _any(self) -> None:
                length = self.headers.get("Content-Length")
                body = self.rfile.read(int(length)) if length else self._chunks()
                outer.inspect.append((self.command, self.path, body, dict(self.headers)))
                way = self.path.strip("/").partition("?")[0]
                if way == "drop":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                status = int(way) if way.isdigit() else 200
                response = b"" if status == 204 else body
                if way == "links":
                    response = json.dumps({"mediaLink": f"{outer.url}/x"}).encode()
                self.send_response(status)
                self.send_header(
                    "Content-Type", "application/json" if way in ("links", "json") else "text/plain"
                )
                self.send_header("Location", f"{outer.url}/session")
                if way == "chunked":
                    self.send_header("Transfer-Encoding", "chunked")
                elif way == "closing":
                    self.close_connection = True
                else:
                    self.send_header("Content-Length", str(len(response)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if way == "chunked":
                    half = len(response) // 2
                    for part in (response[:half], response[half:]):
                        if part:
                            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.wfile.write(response)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any  # noqa: N815 - http.server's names

            def _chunks(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return b""
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream_server = Upstream()
    yield upstream_server
    upstream_server.close()


REFUSED = Decision(ProxyResponse(403, b'{"error": {}}'))


def decide(request: Request) -> Decision:
    if "refuse" in request.target:
        return REFUSED
    if "peek" in request.target:
        request.peek()
    if "hide" in request.target:
        return Decision(
            inspect=lambda response: ProxyResponse(403, b"{}") if response.status == 404 else response
        )
    return Decision(is_media="media" in request.target)


@pytest.fixture(scope="module")
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    running_proxy = Proxy("test", upstream.url, decide)
    yield running_proxy
    running_proxy.close()


@pytest.fixture
def connect(proxy: Proxy) -> Iterator[Callable[[], http.client.HTTPConnection]]:
    made: list[http.client.HTTPConnection] = []

    def connect() -> http.client.HTTPConnection:
        made.append(http.client.HTTPConnection("127.0.0.1", urlsplit(proxy.url).port, timeout=10))
        return made[-1]

    yield connect
    for each in made:
        each.close()


Connect = Callable[[], http.client.HTTPConnection]


def send_request(
    connection: http.client.HTTPConnection, method: str, target: str, body: Any = None, **more: Any
) -> tuple[int, bytes, dict[str, str]]:
    connection.request(method, target, body=body, **more)
    response = connection.getresponse()
    return response.status, response.read(), dict(response.getheaders())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD"])
@pytest.mark.parametrize("way", ["plain", "chunked", "json", "201", "204", "404", "500"])
def test_a_request_is_forwarded_and_its_response_returned(
    upstream: Upstream, connect: Connect, method: str, way: str
) -> None:
    status, body, headers = send_request(
        connect(), method, f"/{way}?x=a%2Fb", b"some\r\n\r\nbytes", headers={"X-Test": "1"}
    )
    assert status == (int(way) if way.isdigit() else 200)
    assert body == (b"" if method == "HEAD" or way == "204" else b"some\r\n\r\nbytes")
    inspect = upstream.inspect[-1]
    assert inspect[:3] == (method, f"/{way}?x=a%2Fb", b"some\r\n\r\nbytes")
    assert inspect[3]["X-Test"] == "1"
    assert headers["Location"].endswith("/session")


def test_successive_requests_share_a_connection(upstream: Upstream, connect: Connect) -> None:
    connection, before = connect(), upstream.connections
    for way in ("plain", "chunked", "refuse", "204", "json", "404"):
        send_request(connection, "POST", f"/{way}", b"x" * 1000)
    assert upstream.connections == before + 1


def test_a_response_that_ends_by_closing_closes_the_connection(connect: Connect) -> None:
    connection = connect()
    status, body, headers = send_request(connection, "POST", "/closing", b"all of it")
    assert (status, body, headers["Connection"]) == (200, b"all of it", "close")
    assert send_request(connection, "POST", "/plain", b"again")[1] == b"again"  # http.client connects anew


SIZES = st.integers(0, 3 * 64 * 2**10)


@pytest.mark.long
@settings(max_examples=30)
@given(size=SIZES, chunk=st.integers(1_000, 2**17), peeks=st.booleans(), chunked=st.booleans())
def test_bodies_of_any_size_are_forwarded_whole(
    proxy: Proxy, size: int, chunk: int, peeks: bool, chunked: bool
) -> None:
    body = bytes(number % 251 for number in range(size))
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(proxy.url).port, timeout=10)
    target = f"/{'chunked' if chunked else 'plain'}?{'peek' if peeks else ''}"
    parts = [body[start : start + chunk] for start in range(0, size, chunk)]
    assert (
        send_request(connection, "POST", target, iter(parts) if parts else b"", encode_chunked=bool(parts))[1]
        == body
    )
    assert send_request(connection, "POST", target, body)[1] == body
    connection.close()


def test_a_body_larger_than_the_peek_limit_is_forwarded_whole(connect: Connect) -> None:
    body = b"0123456789abcdef" * ((PEEK_LIMIT + 2**20) // 16)
    assert send_request(connect(), "POST", "/plain?peek", body)[1] == body


def test_a_refused_request_is_not_forwarded_and_its_body_is_read(
    upstream: Upstream, connect: Connect
) -> None:
    connection, before = connect(), len(upstream.inspect)
    status, body, headers = send_request(connection, "POST", "/refuse", b"x" * 2**20)
    assert (status, body) == (403, b'{"error": {}}')
    assert headers["Content-Type"].startswith("application/json")
    assert len(upstream.inspect) == before
    assert send_request(connection, "GET", "/plain")[0] == 200


def test_urls_of_the_emulator_are_replaced_by_the_proxys(
    proxy: Proxy, upstream: Upstream, connect: Connect
) -> None:
    _, body, headers = send_request(connect(), "GET", "/links")
    assert json.loads(body) == {"mediaLink": f"{proxy.url}/x"}
    assert headers["Location"] == f"{proxy.url}/session"
    _, body, _ = send_request(
        connect(), "GET", "/links?media"
    )  # a content of that type is nobody's to change
    assert json.loads(body) == {"mediaLink": f"{upstream.url}/x"}


def test_an_inspected_response_may_be_replaced(connect: Connect) -> None:
    status, body, headers = send_request(connect(), "POST", "/404?hide&media", b"not here")
    assert (status, body, headers["Content-Type"]) == (403, b"{}", "application/json; charset=UTF-8")
    assert send_request(connect(), "POST", "/plain?hide&media", b"here")[:2] == (200, b"here")


def test_a_stopped_emulator_is_503_until_it_is_back() -> None:
    port = free_port()
    proxy = Proxy("gone", f"http://127.0.0.1:{port}", decide)
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(proxy.url).port, timeout=10)
    status, body, _ = send_request(connection, "POST", "/plain", b"x" * 100_000)
    assert (status, json.loads(body)["error"]["errors"][0]["reason"]) == (503, "backendError")
    server = ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    assert send_request(connection, "GET", "/plain")[0] == 501  # what http.server answers by itself
    server.shutdown()
    server.server_close()
    connection.close()
    proxy.close()


def test_a_connection_that_the_emulator_closed_is_reopened(connect: Connect) -> None:
    connection = connect()
    assert send_request(connection, "POST", "/plain", b"1")[1] == b"1"
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        send_request(connection, "POST", "/drop", b"2")
    assert send_request(connection, "POST", "/plain", b"3")[1] == b"3"


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
)
def test_invalid_http_closes_only_its_own_connection(proxy: Proxy, connect: Connect, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(proxy.url).port or 0), 10) as client:
        client.sendall(raw)
        assert client.recv(100) == b""
    assert send_request(connect(), "GET", "/plain")[0] == 200


def test_a_closed_proxy_refuses_connections(upstream: Upstream) -> None:
    proxy = Proxy("closed", upstream.url, decide)
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(proxy.url).port, timeout=10)
    assert send_request(connection, "GET", "/plain")[0] == 200
    proxy.close()
    with pytest.raises((OSError, http.client.HTTPException)):
        send_request(connection, "GET", "/plain")
