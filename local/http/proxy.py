"""A reverse proxy for HTTP/1.1 that decides about each request; bodies are streamed and connections reused.

It is written on sockets: the copier sends hundreds of requests a second through it, and the message classes of
http.server and http.client would take half of its time. `make bench` measures what is left.
"""

import io
import json
import logging
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from local.http.faults import CUT, DROP, SLOW, SLOW_S, Faults
from local.http.messages import RESPONSE_LIMIT, MessageBody, buffered_reader, read_head
from local.http.request import Request
from local.http.rest import REASONS
from local.processes.ports import LOOPBACK

LOG = logging.getLogger(__name__)
TIMEOUT_S = 600.0
HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"})
NO_BODY = frozenset({204, 304})


@dataclass(frozen=True)
class ProxyResponse:
    """A response that the proxy itself sends, or one of the upstream server that `Decision.inspect` may replace."""

    status: int
    body: bytes
    kind: str = "application/json; charset=UTF-8"


@dataclass(frozen=True)
class Decision:
    """What becomes of a request: `response` is sent instead of forwarding it, or `inspect` may replace the upstream
    response.

    `inspect` gets JSON responses and every 404, but no other response where `is_media`: that content is streamed.
    """

    response: ProxyResponse | None = None
    inspect: Callable[[ProxyResponse], ProxyResponse] = lambda response: response
    is_media: bool = False


Decide = Callable[[Request], Decision]


class Proxy:
    """Listens on loopback and forwards requests to the server at `upstream` until it is closed."""

    def __init__(
        self,
        name: str,
        upstream: str,
        decide: Decide,
        faults: Faults | None = None,
        *,
        port: int = 0,
        slot: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Listen on `port`, or on a free port where it is 0. `slot` is entered while a request is in flight
        upstream.
        """
        parts = urlsplit(upstream)
        self._faults = faults or Faults()
        self._address = parts.hostname or LOOPBACK, parts.port or 80
        self._upstream, self._decide, self._slot = upstream.encode(), decide, slot
        self._listener = socket.create_server((LOOPBACK, port), backlog=128)
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name=name, daemon=True).start()

    def close(self) -> None:
        """Stop listening and break all connections."""
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        connection = _Connection(
            client,
            self._address,
            self._upstream,
            self.url.encode(),
            self._decide,
            faults=self._faults,
            slot=self._slot,
        )
        try:
            while connection.serve_request():
                pass
        except (OSError, ValueError) as error:  # either side closed the connection, or did not send HTTP
            LOG.debug("the connection to %s broke: %r", self.url, error)
        finally:
            connection.close()
            with self._lock:
                self._open.discard(client)


class _Connection:
    """One client's connection, and the upstream connection that serves it."""

    def __init__(
        self,
        client: socket.socket,
        address: tuple[str, int],
        upstream: bytes,
        own_url: bytes,
        decide: Decide,
        *,
        faults: Faults,
        slot: Callable[[], AbstractContextManager[None]],
    ) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(TIMEOUT_S)  # of an idle connection: the client's pool opens another
        self._client, self._from_client = client, buffered_reader(client)
        self._address, self._upstream, self._own_url, self._decide = address, upstream, own_url, decide
        self._faults, self._slot = faults, slot
        self._server: socket.socket | None = None
        self._from_server: io.BufferedReader | None = None

    def close(self) -> None:
        for each in (self._from_client, self._client, self._from_server, self._server):
            if each is not None:
                with suppress(OSError):
                    each.close()

    def serve_request(self) -> bool:
        """Serve one request; return whether the connection can be reused."""
        if (head := read_head(self._from_client)) is None:
            return False
        line, headers = head
        method, target, version = line.decode("latin-1").split(" ", 2)
        known = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        if "100-continue" in known.get("expect", "").lower():
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = MessageBody(self._from_client, known)
        decision = self._decide(Request(method, target, known, body.peek))
        keep_alive = version.strip() == "HTTP/1.1" and known.get("connection", "").lower() != "close"
        if decision.response is not None:
            for _ in body.chunks():
                pass  # a client that is still sending would not read the response
            self._respond(decision.response, method, keep_alive=keep_alive)
            return keep_alive
        fault = self._faults.take(f"{method} {path_pattern(target)}")
        what = fault.effect if fault else ""
        if what == DROP:
            return False
        if what == SLOW:
            time.sleep(SLOW_S)
        with self._slot():
            try:
                if not what.isdigit():
                    self._forward_request(line, headers, body, uncompressed=not decision.is_media)
            except ConnectionRefusedError:
                what = "503"
            if not what.isdigit():
                return self._forward_response(method, decision, is_cut=what == CUT) and keep_alive
        for _ in body.chunks():
            pass
        self._respond(
            _injected_error(int(what)) if fault else _unavailable_response(), method, keep_alive=keep_alive
        )
        return keep_alive

    def _respond(self, response: ProxyResponse, method: str, *, keep_alive: bool) -> None:
        head = (
            f"HTTP/1.1 {response.status} {_reason(response.status)}\r\nContent-Type: {response.kind}\r\n"
            f"Content-Length: {len(response.body)}\r\n" + ("" if keep_alive else "Connection: close\r\n")
        )
        self._client.sendall(head.encode() + b"\r\n" + (b"" if method == "HEAD" else response.body))

    def _forward_request(
        self, line: bytes, headers: list[tuple[bytes, bytes]], body: MessageBody, *, uncompressed: bool
    ) -> None:
        server = self._connect_server()
        left_out = HOP_BY_HOP | (
            {"accept-encoding"} if uncompressed else set()
        )  # a response that is inspected must not be compressed
        lines = [b"%s: %s" % each for each in headers if each[0].decode("latin-1").lower() not in left_out]
        begin = b"\r\n".join([line, *lines, b"", b""])
        for chunk in body.encoded_chunks():
            server.sendall(begin + chunk)
            begin = b""
        if begin:
            server.sendall(begin)

    def _connect_server(self) -> socket.socket:
        if self._server is not None and _is_stale(self._server):
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = socket.create_connection(self._address, TIMEOUT_S)
            self._server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._from_server = buffered_reader(self._server)
        return self._server

    def _forward_response(self, method: str, decision: Decision, *, is_cut: bool) -> bool:
        assert self._from_server is not None  # noqa: S101 - `_connect_server` has set it
        status = 100
        while status // 100 == 1:
            if (head := read_head(self._from_server)) is None:
                return False
            line, headers = head
            status = int(line.split(b" ", 2)[1])
        if is_cut:  # after the upstream server has processed the request
            return False
        known = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        ends_by_closing = "content-length" not in known and "transfer-encoding" not in known
        has_body = method != "HEAD" and status not in NO_BODY
        closes = (ends_by_closing and has_body) or known.get("connection", "").lower() == "close"
        body = MessageBody(self._from_server, known, until_closed=ends_by_closing) if has_body else None
        kept = [
            (name, value.replace(self._upstream, self._own_url) if name.lower() == b"location" else value)
            for name, value in headers
            if name.lower() not in (b"connection", b"keep-alive")
        ]
        is_json = known.get("content-type", "").startswith("application/json") and not decision.is_media
        if body is not None and (is_json or status == HTTPStatus.NOT_FOUND):
            # URLs of the upstream server would bypass the proxy.
            found = ProxyResponse(
                status, body.read_all(RESPONSE_LIMIT).replace(self._upstream, self._own_url)
            )
            held = decision.inspect(found)
            changed = {
                b"content-length",
                b"transfer-encoding",
                *((b"content-type",) if held is not found else ()),
            }
            kept = [each for each in kept if each[0].lower() not in changed]
            if held is not found:
                kept.append((b"Content-Type", b"application/json; charset=UTF-8"))
            kept.append((b"Content-Length", b"%d" % len(held.body)))
            line = b"HTTP/1.1 %d %s" % (held.status, _reason(held.status).encode())
            frames: Iterator[bytes] = iter((held.body,))
        else:
            frames = body.encoded_chunks() if body is not None else iter(())
        begin = b"\r\n".join(
            [
                line,
                *(b"%s: %s" % each for each in kept),
                *([b"Connection: close"] if closes else []),
                b"",
                b"",
            ]
        )
        for frame in frames:
            self._client.sendall(begin + frame)
            begin = b""
        if begin:
            self._client.sendall(begin)
        if closes and self._server is not None:
            self._server.close()
            self._server = None
        return not closes


def _is_stale(server: socket.socket) -> bool:
    """Whether the upstream server has closed an idle connection."""
    readable = select.poll()
    readable.register(server, select.POLLIN)
    return bool(readable.poll(0))


def _reason(status: int) -> str:
    return HTTPStatus(status).phrase


def path_pattern(target: str) -> str:
    """Return the path of a request with its names replaced: `/storage/v1/b/{}/o/{}`."""
    path = target.partition("?")[0]
    return re.sub(r"/(b|o|projects|datasets|tables|jobs|queries)/[^/]+", r"/\1/{}", path)


def _injected_error(status: int) -> ProxyResponse:
    message = "injected fault (FAULT)"
    error = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "reason": REASONS[status][1]}],
    }
    return ProxyResponse(status, json.dumps({"error": error}).encode())


def _unavailable_response() -> ProxyResponse:
    """Return what Google returns when it is unavailable; clients retry, and a killed emulator is restarted soon."""
    message = "the emulator is not listening"
    error = {"code": 503, "message": message, "errors": [{"message": message, "reason": "backendError"}]}
    return ProxyResponse(503, json.dumps({"error": error}).encode())
