"""HTTP/1.1 messages read from a socket: the head, and the body as a stream."""

import io
import socket
from collections.abc import Iterator
from typing import cast

PEEK_LIMIT = 10 * 2**20  # BigQuery's limit for the JSON of a request
HEAD_LIMIT = 64 * 2**10
HEADERS_LIMIT = 100
RESPONSE_LIMIT = 256 * 2**20  # of JSON, which is read whole before it is forwarded
CHUNK = 64 * 2**10


class MessageBody:
    """The body of a message: of a known length, in chunks, or up to the end of the connection."""

    def __init__(
        self, source: io.BufferedReader, headers: dict[str, str], *, until_closed: bool = False
    ) -> None:
        self._source = source
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self._left: int | None = (
            None if self._chunked or until_closed else int(headers.get("content-length", 0))
        )
        self._peeked = b""
        self._ended = self._left == 0

    def peek(self) -> bytes:
        """Return the body, or its first 10 MiB, without consuming it."""
        parts = [self._peeked]
        size = len(self._peeked)
        while size < PEEK_LIMIT and (chunk := self._next()):
            parts.append(chunk)
            size += len(chunk)
        self._peeked = b"".join(parts)
        return self._peeked

    def read_all(self, limit: int) -> bytes:
        """Return the whole body. Raises ValueError where it has more than `limit` bytes."""
        parts, size = [], 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise ValueError(f"a JSON response of more than {limit} bytes")
            parts.append(chunk)
        return b"".join(parts)

    def chunks(self) -> Iterator[bytes]:
        """Yield the rest of the body."""
        if self._peeked:
            yield self._peeked
            self._peeked = b""
        while chunk := self._next():
            yield chunk

    def encoded_chunks(self) -> Iterator[bytes]:
        """Yield the rest of the body in its transfer encoding."""
        if not self._chunked:
            yield from self.chunks()
            return
        for chunk in self.chunks():
            yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
        yield b"0\r\n\r\n"

    def _next(self) -> bytes:
        if self._ended:
            return b""
        if self._chunked:
            return self._next_chunk()
        wanted = CHUNK if self._left is None else min(CHUNK, self._left)
        chunk = self._source.read1(wanted)
        if self._left is None:
            self._ended = not chunk
            return chunk
        if not chunk:
            raise ConnectionError("the body ended early")
        self._left -= len(chunk)
        self._ended = self._left == 0
        return chunk

    def _next_chunk(self) -> bytes:
        size = int(self._source.readline(HEAD_LIMIT).split(b";")[0], 16)
        if size > RESPONSE_LIMIT:
            raise ValueError(f"a chunk of {size} bytes is too large")
        chunk = self._source.read(size)
        if len(chunk) < size:
            raise ConnectionError("the body ended early")
        if size == 0:
            self._ended = True
            while self._source.readline(HEAD_LIMIT) not in (b"\r\n", b"\n", b""):
                pass  # trailers
            return b""
        self._source.readline(HEAD_LIMIT)
        return chunk


def read_head(source: io.BufferedReader) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
    """Return the first line and the headers, or None where the peer has closed the connection. Raises ValueError."""
    line = source.readline(HEAD_LIMIT)
    while line in (b"\r\n", b"\n"):
        line = source.readline(HEAD_LIMIT)
    if not line:
        return None
    headers: list[tuple[bytes, bytes]] = []
    while (header := source.readline(HEAD_LIMIT)) not in (b"\r\n", b"\n"):
        name, separator, value = header.partition(b":")
        if not separator or len(headers) == HEADERS_LIMIT:
            raise ValueError(f"expected at most {HEADERS_LIMIT} headers, found {header[:100]!r}")
        headers.append((name.strip(), value.strip()))
    return line.rstrip(b"\r\n"), headers


def buffered_reader(connection: socket.socket) -> io.BufferedReader:
    return cast("io.BufferedReader", connection.makefile("rb", CHUNK))
