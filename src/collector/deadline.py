"""One time limit for a whole fetch: handshakes, headers, bodies, redirects and waits."""

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
    """A context that closes the connections which a WatchedAdapter opens in this thread.

    They are closed when the time is over, because a read timeout starts anew with every byte that arrives, and when the
    context ends, because a kept-alive connection would not be covered by the next fetch's deadline.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []

    @property
    def left_s(self) -> float:
        """The remaining seconds, at least 0."""
        return max(0.0, self._ends_at - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """Close this connection with the others."""
        self._sockets.append(connection)
        if not self.left_s:
            self._close_all()

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        self._timer = Timer(self.left_s, self._close_all)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _current.reset(self._token)
        self._close_all()

    def _close_all(self) -> None:
        for each in list(self._sockets):
            with suppress(OSError):  # it is closed already
                # Not SSLSocket.shutdown: it would remove the encryption while another thread reads.
                socket.socket.shutdown(each, socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def _watch_connection(connection: HTTPConnection) -> None:
    if (deadline := _current.get()) is not None and isinstance(connection.sock, socket.socket):
        deadline.watch(connection.sock)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _watch_connection(self)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _watch_connection(self)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class WatchedAdapter(HTTPAdapter):
    """An adapter whose connections belong to the current Deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use the base class's manager, with watched connections."""
        super().init_poolmanager(*args, **kwargs)
        _use_watched_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:
        """Use the base class's manager, with watched connections."""
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        _use_watched_pools(manager)
        return manager


def _use_watched_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
