"""Many requests at once within one deadline, few at once to each host; slow and broken hosts hold nobody up."""

import math
import queue
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urljoin

import requests

from collector.api import make_session
from collector.deadline import Deadline
from feed import is_private_address, redacted
from gbfs.documents import decode
from gbfs.errors import GbfsError
from gbfs.packs import Fetched
from gbfs.shards import host_of

CONNECT_SECONDS = 5.0
REDIRECTS = 3
CHUNK = 64 * 1024
LONGEST_ERROR = 300
QUOTED = 64 * 1024  # of a body that is no file: messages quote less than this
_QUERY = re.compile(r"\?[^\s'\")]+")


@dataclass(frozen=True)
class Request:
    """A file to request; `secrets` are header fields that go to its host alone and are kept nowhere.

    `unchanged_since` is the tick whose pack has the body that a response 304 to `headers` means.
    """

    system_id: str
    file: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()  # such as If-None-Match
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    unchanged_since: datetime | None = None


@dataclass(frozen=True)
class Limits:
    """Bounds of one `fetch_all`, in seconds, bytes and requests."""

    deadline_s: float = 45.0  # of all requests together
    request_s: float = (
        4.0  # of one, redirects and body included: of public systems, one response of 10,000 takes longer
    )
    max_bytes: int = 32 * 2**20  # of a body, decoded
    at_once: int = 64
    at_once_per_host: int = 8
    at_once_per_large_host: int = 16  # of a host with hundreds of systems
    files_per_connection: int = 16  # a host with more files gets another connection for so many

    def connections(self, files: int) -> int:
        """Return how many requests a host with so many files due gets at once."""
        wanted = math.ceil(files / self.files_per_connection)
        most = max(self.at_once_per_host, self.at_once_per_large_host)
        return min(files, most, max(self.at_once_per_host, wanted))


def fetch_all(wanted: Iterable[Request], now: Callable[[], datetime], limits: Limits) -> list[Fetched]:
    """Return what each request gave, in the order of `wanted`; what went wrong is in its `error`, nothing is raised.

    A host gets few requests at a time (`Limits.connections`), so that one that hangs holds so many workers and no more.
    A host that gives no response to twice as many requests, and none to any other, is taken to be down: the others
    are not made. Neither is a request whose turn comes after the deadline.
    """
    asked = list(wanted)
    results: dict[int, Fetched] = {}
    ends_at = time.monotonic() + limits.deadline_s
    turns = _Turns(asked, limits)

    def work() -> None:
        with make_session() as session:
            while (turn := turns.take()) is not None:
                host, number = turn
                if (silent := turns.silent_requests(host)) is not None:
                    told = f"not requested: the host gave no response to {silent} other requests"
                    each = asked[number]
                    results[number] = Fetched(each.system_id, each.file, each.url, now(), error=told)
                else:
                    left_s = ends_at - time.monotonic()
                    results[number] = _fetch(
                        session, asked[number], now, min(left_s, limits.request_s), limits
                    )
                turns.give_back(host, has_response=results[number].status is not None)

    workers = min(limits.at_once, len(asked))
    if workers:
        with ThreadPoolExecutor(workers, "fetch") as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                done.result()
    return [results[number] for number in range(len(asked))]


class _Turns:
    """Hands out requests, by their number, and never too many of a host at once.

    A host stands in the queue as often as it may have requests at once, and again after each one that has ended; the
    hosts with most files come first, since they take longest. The files of a host are in random order, lest a few that
    hang, next to one another, make it look down.
    """

    def __init__(self, asked: list[Request], limits: Limits) -> None:
        by_host: dict[str, list[int]] = {}
        for number, each in enumerate(asked):
            by_host.setdefault(host_of(each.url), []).append(number)
        self._left = len(asked)
        self._lock = threading.Lock()
        self._hosts: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None: all have been handed out
        self._waiting: dict[str, deque[int]] = {}
        self._silent = dict.fromkeys(by_host, 0)  # requests without a response
        self._is_down_after: dict[str, int] = {}
        self._responds: set[str] = set()
        for host, numbers in sorted(by_host.items(), key=lambda item: -len(item[1])):
            random.shuffle(numbers)
            connections = limits.connections(len(numbers))
            self._waiting[host] = deque(numbers)
            self._is_down_after[host] = 2 * connections
            for _ in range(connections):
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

    def silent_requests(self, host: str) -> int | None:
        """Return how many requests of a host that is taken to be down had no response; None where it is not."""
        with self._lock:
            silent = self._silent[host]
            is_down = host not in self._responds and silent >= self._is_down_after[host]
            return silent if is_down else None

    def give_back(self, host: str, *, has_response: bool) -> None:
        """Let the host have its next request."""
        with self._lock:
            if has_response:
                self._responds.add(host)
            else:
                self._silent[host] += 1
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
            told = (
                str(error) if isinstance(error, _FetchError) else f"{type(error).__name__}: {_cause(error)}"
            )
            if not deadline.left_s:
                told = f"no whole response within {seconds:.1f} s"
            told = _QUERY.sub("?…", redacted(told, _values(request)))
            return replace(result, error=told[:LONGEST_ERROR], fetched_at=now())


def _cause(error: Exception) -> object:
    """Return what is behind urllib3's error of all attempts, whose message repeats host, port and path."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return error if reason is None else str(reason).rpartition("): ")[2] or reason


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
                values = _values(request)
                if values:
                    body = _without_secrets(body, values)
                kept = tuple((name, redacted(value, values)) for name, value in response.headers.items())
                status = response.status_code
                since = request.unchanged_since if status == HTTPStatus.NOT_MODIFIED else None
                return replace(result, status=status, headers=kept, body=body, unchanged_since=since)
            url = urljoin(url, target)
    raise _FetchError(f"redirected more than {REDIRECTS} times")


def _values(request: Request) -> list[str]:
    return [value for _, value in request.secrets]


def _without_secrets(body: bytes, values: list[str]) -> bytes:
    """Return a body that is no GBFS file, such as a page that repeats a key, without the key in what is quoted of it.

    The reason of its poll quotes its beginning, by whoever reads the pack. A file is kept as it came.
    """
    try:
        decode(body)
    except GbfsError:
        beginning = redacted(body[:QUOTED].decode("utf-8", "surrogateescape"), values)
        return beginning.encode("utf-8", "surrogateescape") + body[QUOTED:]
    return body


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
