"""Many requests at once within one deadline, few at once to each host; slow and broken hosts hold nobody up."""

import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urljoin

import requests

from collector.api import make_session
from collector.deadline import Deadline
from feed import is_private_address
from gbfs.packs import Fetched
from gbfs.shards import host_of

CONNECT_SECONDS = 5.0
REDIRECTS = 3
CHUNK = 64 * 1024
LONGEST_ERROR = 300
_QUERY = re.compile(r"\?[^\s'\")]+")


@dataclass(frozen=True)
class Request:
    """A file to request; `secrets` are header fields that go to its host alone and are kept nowhere."""

    system_id: str
    file: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()  # such as If-None-Match
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Limits:
    """Bounds of one `fetch_all`, in seconds, bytes and requests."""

    deadline_s: float = 45.0  # of all requests together
    request_s: float = 5.0  # of one, redirects and body included
    max_bytes: int = 32 * 2**20  # of a body, decoded
    at_once: int = 64
    at_once_per_host: int = 8


def fetch_all(wanted: Iterable[Request], now: Callable[[], datetime], limits: Limits) -> list[Fetched]:
    """Return what each request gave, in the order of `wanted`; what went wrong is in its `error`, nothing is raised.

    A host gets at most `at_once_per_host` requests at a time, so that one that hangs holds so many workers and no more.
    A request whose turn comes after the deadline is not made.
    """
    asked = list(wanted)
    results: dict[int, Fetched] = {}
    ends_at = time.monotonic() + limits.deadline_s
    turns = _Turns(asked, limits.at_once_per_host)

    def work() -> None:
        with make_session() as session:
            while (turn := turns.take()) is not None:
                host, number = turn
                left_s = ends_at - time.monotonic()
                results[number] = _fetch(session, asked[number], now, min(left_s, limits.request_s), limits)
                turns.give_back(host)

    workers = min(limits.at_once, len(asked))
    if workers:
        with ThreadPoolExecutor(workers, "fetch") as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                done.result()
    return [results[number] for number in range(len(asked))]


class _Turns:
    """Hands out requests, by their number: those of a host in order, and never too many of a host at once.

    A host stands in the queue as often as it may have requests at once, and again after each one that has ended.
    """

    def __init__(self, asked: list[Request], at_once_per_host: int) -> None:
        self._waiting: dict[str, deque[int]] = {}
        for number, each in enumerate(asked):
            self._waiting.setdefault(host_of(each.url), deque()).append(number)
        self._left = len(asked)
        self._lock = threading.Lock()
        self._hosts: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None: all have been handed out
        for _ in range(at_once_per_host):
            for host in self._waiting:
                self._hosts.put(host)

    def take(self) -> tuple[str, int] | None:
        """Return a host and the number of its next request, None once all have been handed out."""
        while (host := self._hosts.get()) is not None:
            with self._lock:
                if self._waiting[host]:
                    self._left -= 1
                    if not self._left:
                        self._hosts.put(None)
                    return host, self._waiting[host].popleft()
        self._hosts.put(None)  # for the next worker
        return None

    def give_back(self, host: str) -> None:
        """Let the host have its next request."""
        self._hosts.put(host)


class _FetchError(Exception):
    """There is no response that can be kept."""


def _fetch(
    session: requests.Session, request: Request, now: Callable[[], datetime], seconds: float, limits: Limits
) -> Fetched:
    result = Fetched(request.system_id, request.file, request.url, now())
    if seconds <= 0:
        return replace(result, error=f"no turn before the deadline of {limits.deadline_s:g} s")
    with Deadline(seconds) as deadline:
        try:
            return _follow(session, request, result, deadline, limits)
        except (_FetchError, requests.RequestException, OSError, ValueError) as error:
            told = str(error) if isinstance(error, _FetchError) else f"{type(error).__name__}: {error}"
            if not deadline.left_s:
                told = f"no whole response within {seconds:.1f} s"
            return replace(result, error=_QUERY.sub("?…", told)[:LONGEST_ERROR], fetched_at=now())


def _follow(
    session: requests.Session, request: Request, result: Fetched, deadline: Deadline, limits: Limits
) -> Fetched:
    """Return the response, after redirects. Raises _FetchError and what requests raises."""
    url = request.url
    for _ in range(REDIRECTS + 1):
        if not is_private_address(url):
            raise _FetchError(f"expected https, redirected to {url}")
        secrets = request.secrets if host_of(url) == host_of(request.url) else ()
        headers = dict((*request.headers, *secrets))
        prepared = session.prepare_request(requests.Request("GET", url, headers=headers))
        left_s = max(deadline.left_s, 0.001)
        timeouts = (min(CONNECT_SECONDS, left_s), left_s)
        with session.send(prepared, stream=True, timeout=timeouts, allow_redirects=False) as response:
            target = session.get_redirect_target(response)
            if target is None:
                body = _body(response, deadline, limits.max_bytes)
                return replace(
                    result, status=response.status_code, headers=tuple(response.headers.items()), body=body
                )
            url = urljoin(url, target)
    raise _FetchError(f"redirected more than {REDIRECTS} times")


def _body(response: requests.Response, deadline: Deadline, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise _FetchError(f"the body has more than {max_bytes} bytes")
    # A connection that was cut at the deadline may look like the end of the body.
    if not deadline.left_s:
        raise _FetchError("the body is not complete")
    return bytes(body)
