"""One time limit for a whole call: handshakes, headers, bodies, redirects and waits."""

import socket
import time
from contextlib import suppress
from contextvars import ContextVar
from threading import Timer
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class Deadline:
    """While it is entered, the connections that this thread makes by a WatchedAdapter are its own.

    They are cut when the time is over, since a read's own limit starts anew with every byte that drips in, and
    when it is left, since one that is kept alive would be outside of the next call's limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []

    @property
    def left_s(self) -> float:
        """Seconds until it is over, at least 0."""
        return max(0.0, self._ends_at - time.monotonic())

    def watch(self, connected: socket.socket) -> None:
        """Cut this connection with the others."""
        self._sockets.append(connected)
        if not self.left_s:
            self._cut()

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        self._timer = Timer(self.left_s, self._cut)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _current.reset(self._token)
        self._cut()

    def _cut(self) -> None:
        for each in list(self._sockets):
            with suppress(OSError):  # it has ended by itself
                # Not SSLSocket's own, which would take the encryption away below a reader.
                socket.socket.shutdown(each, socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def _watch(connection: HTTPConnection) -> None:
    if (deadline := _current.get()) is not None and isinstance(connection.sock, socket.socket):
        deadline.watch(connection.sock)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _watch(self)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _watch(self)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class WatchedAdapter(HTTPAdapter):
    """Its connections belong to the Deadline that is entered."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the base class does, with connections that are watched."""
        super().init_poolmanager(*args, **kwargs)
        _use_watched(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:
        """As the base class does, with connections that are watched."""
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        _use_watched(manager)
        return manager


def _use_watched(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
