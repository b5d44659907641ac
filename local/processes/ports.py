"""Loopback ports for child processes, and checks whether a process listens."""

import platform
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

from local.errors import LocalError

LOOPBACK = "127.0.0.1"
ON_LINUX = platform.system() == "Linux"
# The ports that this process has reserved, each with the socket that reserves it.
_reserved: dict[int, socket.socket] = {}
_reserved_lock = threading.Lock()


def free_port() -> int:
    """Return a free loopback TCP port that this process has not used before.

    On Linux it stays reserved as long as this process lives: a socket that is bound but does not listen keeps the
    kernel from giving the port to another program, while our programs, which set SO_REUSEADDR, can listen on it.
    """
    with _reserved_lock:
        while True:
            probe = _bind(0)
            port: int = probe.getsockname()[1]
            if port not in _reserved:
                _reserved[port] = probe
                if not ON_LINUX:  # elsewhere a bound socket would block our own programs too
                    probe.close()
                return port
            probe.close()


def reserve_port(port: int, owner: str) -> int:
    """Reserve the port that a program used in an earlier run. Raises LocalError where another program uses it now."""
    with _reserved_lock:
        if port not in _reserved:
            try:
                _reserved[port] = _bind(port)
            except OSError as error:
                raise LocalError(
                    f"{owner} cannot listen on {LOOPBACK}:{port}, where an earlier run had it: {error.strerror}; "
                    f"stop the program that uses the port (`ss -ltnp 'sport = :{port}'` names it), then run the "
                    "command again"
                ) from None
            if not ON_LINUX:
                _reserved[port].close()
    return port


def _bind(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        raise
    return bound


def port_ready_check(port: int) -> Callable[[], bool]:
    """Return a readiness check: does a process accept connections on that loopback port?"""

    def check() -> bool:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            return False
        return True

    return check


def http_ready_check(url: str) -> Callable[[], bool]:
    """Return a readiness check: does a GET of `url` return a status below 500?"""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def check() -> bool:
        try:
            opener.open(url, timeout=2).close()
        except urllib.error.HTTPError as error:
            return error.code < 500
        except OSError:
            return False
        return True

    return check
