"""Loopback ports for the programs that run here, and whether something listens on one."""

import platform
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

from local.errors import LocalError

LOOPBACK = "127.0.0.1"
ON_LINUX = platform.system() == "Linux"
# Ports that this process gave away, each with the socket that keeps it from other programs.
_reserved: dict[int, socket.socket] = {}
_reserved_lock = threading.Lock()


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on, and that this process was not given before.

    On Linux it stays reserved as long as this process lives: a socket that is bound, but does not listen, keeps the
    kernel from giving it to another program, and lets ours, which set SO_REUSEADDR, listen on it.
    """
    with _reserved_lock:
        while True:
            probe = _bind(0)
            port: int = probe.getsockname()[1]
            if port not in _reserved:
                _reserved[port] = probe
                if not ON_LINUX:  # there a bound socket would keep our own programs away as well
                    probe.close()
                return port
            probe.close()


def reserve_port(port: int, owner: str) -> int:
    """Reserve the port where a program listened in an earlier run. Raises LocalError where another has taken it."""
    with _reserved_lock:
        if port not in _reserved:
            try:
                _reserved[port] = _bind(port)
            except OSError as error:
                raise LocalError(
                    f"{owner} cannot listen on {LOOPBACK}:{port}, as in the run before: {error.strerror}; end the "
                    f"program that has taken the port (`ss -ltnp 'sport = :{port}'` names it), then run the command "
                    "again"
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
    """Return a ready check: something accepts connections on that loopback port."""

    def check() -> bool:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            return False
        return True

    return check


def http_ready_check(url: str) -> Callable[[], bool]:
    """Return a ready check: a GET of `url` is answered with a status below 500."""
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
