"""Fetch many files concurrently within one deadline, few at a time from each host."""

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
from feed import is_secure_url, redact_secrets
from gbfs.collection.packs import FetchResult
from gbfs.collection.shards import parse_host
from gbfs.errors import GbfsError
from gbfs.files.decoding import decode_file

CONNECT_SECONDS = 5.0
MAX_REDIRECTS = 3
CHUNK_BYTES = 64 * 1024
MAX_ERROR_LENGTH = 300
MAX_QUOTED_BYTES = 64 * 1024  # of a body that is not a GBFS file: messages quote less than this
_QUERY = re.compile(r"\?[^\s'\")]+")


@dataclass(frozen=True)
class Request:
    """A file to request; `secrets` are header fields that are sent to its host only and never stored.

    `unchanged_since` is the tick whose pack has the body to which a 304 refers.
    """

    system_id: str
    file: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()  # such as If-None-Match
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    unchanged_since: datetime | None = None


@dataclass(frozen=True)
class Limits:
    """Limits of one `fetch_all`, in seconds, bytes and requests."""

    deadline_s: float = 45.0  # for all requests
    # For one request, with redirects and body; one in 10,000 responses of public systems takes longer.
    request_s: float = 4.0
    max_bytes: int = 32 * 2**20  # of a decoded body
    max_concurrent: int = 64
    max_concurrent_per_host: int = 8
    max_concurrent_per_large_host: int = 16  # for a host with hundreds of systems
    files_per_connection: int = 16  # a host with more files gets more connections

    def count_connections(self, files: int) -> int:
        """Return how many files of a host are requested at once, by the number of files that are due."""
        wanted = math.ceil(files / self.files_per_connection)
        most = max(self.max_concurrent_per_host, self.max_concurrent_per_large_host)
        return min(files, most, max(self.max_concurrent_per_host, wanted))


def fetch_all(wanted: Iterable[Request], now: Callable[[], datetime], limits: Limits) -> list[FetchResult]:
    """Return the result of each request, in the order of `wanted`; errors are in the results, not raised.

    The number of concurrent requests per host is limited (`Limits.count_connections`), so that a host that hangs
    blocks only as many workers. A host that has not responded to any of twice as many requests is treated as down: the
    remaining ones are not made. Neither are requests that cannot start before the deadline.
    """
    requested = list(wanted)
    results: dict[int, FetchResult] = {}
    ends_at = time.monotonic() + limits.deadline_s
    queued = _RequestQueue(requested, limits)

    def work() -> None:
        with make_session() as session:
            while (next_request := queued.take_request()) is not None:
                host, number = next_request
                if (unanswered := queued.count_unanswered(host)) is not None:
                    error = f"not requested: the host did not respond to {unanswered} other requests"
                    each = requested[number]
                    results[number] = FetchResult(each.system_id, each.file, each.url, now(), error=error)
                else:
                    left_s = ends_at - time.monotonic()
                    results[number] = _fetch(
                        session, requested[number], now, min(left_s, limits.request_s), limits
                    )
                queued.release_host(host, has_response=results[number].status is not None)

    workers = min(limits.max_concurrent, len(requested))
    if workers:
        with ThreadPoolExecutor(workers, "fetch") as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                done.result()
    return [results[number] for number in range(len(requested))]


class _RequestQueue:
    """Hands out requests, by index, and limits the concurrent requests per host.

    The queue contains each host as often as it may be requested concurrently; a host returns to it after each request.
    Hosts with the most files come first, since they take longest. The files of a host are shuffled, so that a few
    adjacent ones that hang do not make it look down.
    """

    def __init__(self, requested: list[Request], limits: Limits) -> None:
        by_host: dict[str, list[int]] = {}
        for number, each in enumerate(requested):
            by_host.setdefault(parse_host(each.url), []).append(number)
        self._left = len(requested)
        self._lock = threading.Lock()
        self._hosts: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None: no request is left
        self._waiting: dict[str, deque[int]] = {}
        self._unanswered = dict.fromkeys(by_host, 0)  # number of requests without a response
        self._is_down_after: dict[str, int] = {}
        self._responds: set[str] = set()
        for host, numbers in sorted(by_host.items(), key=lambda item: -len(item[1])):
            random.shuffle(numbers)
            connections = limits.count_connections(len(numbers))
            self._waiting[host] = deque(numbers)
            self._is_down_after[host] = 2 * connections
            for _ in range(connections):
                self._hosts.put(host)

    def take_request(self) -> tuple[str, int] | None:
        """Return a host and the index of its next request, or None if no request is left."""
        while (host := self._hosts.get()) is not None:
            with self._lock:
                if self._waiting[host]:
                    self._left -= 1
                    if not self._left:
                        self._hosts.put(None)
                    return host, self._waiting[host].popleft()
        self._hosts.put(None)  # for the next worker
        return None

    def count_unanswered(self, host: str) -> int | None:
        """Return the number of unanswered requests of a host that is treated as down, None for any other host."""
        with self._lock:
            unanswered = self._unanswered[host]
            is_down = host not in self._responds and unanswered >= self._is_down_after[host]
            return unanswered if is_down else None

    def release_host(self, host: str, *, has_response: bool) -> None:
        """Record the result, and allow the next request of the host."""
        with self._lock:
            if has_response:
                self._responds.add(host)
            else:
                self._unanswered[host] += 1
        self._hosts.put(host)


class _FetchError(Exception):
    """A response cannot be used."""


def _fetch(
    session: requests.Session, request: Request, now: Callable[[], datetime], seconds: float, limits: Limits
) -> FetchResult:
    result = FetchResult(request.system_id, request.file, request.url, now())
    if seconds <= 0:
        return replace(result, error=f"not requested before the deadline of {limits.deadline_s:g} s")
    with Deadline(seconds) as deadline:
        try:
            return _fetch_with_redirects(session, request, result, deadline, limits)
        except (_FetchError, requests.RequestException, OSError, ValueError) as error:
            message = (
                str(error)
                if isinstance(error, _FetchError)
                else f"{type(error).__name__}: {_find_cause(error)}"
            )
            if not deadline.left_s:
                message = f"no complete response within {seconds:.1f} s"
            message = _QUERY.sub("?…", redact_secrets(message, _get_secret_values(request)))
            return replace(result, error=message[:MAX_ERROR_LENGTH], fetched_at=now())


def _find_cause(error: Exception) -> object:
    """Return the cause of urllib3's MaxRetryError, whose own message repeats host, port and path."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return error if reason is None else str(reason).rpartition("): ")[2] or reason


def _fetch_with_redirects(
    session: requests.Session, request: Request, result: FetchResult, deadline: Deadline, limits: Limits
) -> FetchResult:
    """Return the response after redirects. Raises _FetchError and errors of requests."""
    url = request.url
    for _ in range(MAX_REDIRECTS + 1):
        if not is_secure_url(url):
            raise _FetchError(f"{url} is not encrypted (expected https)")
        secrets = request.secrets if parse_host(url) == parse_host(request.url) else ()
        headers = dict((*request.headers, *secrets))
        prepared = session.prepare_request(requests.Request("GET", url, headers=headers))
        left_s = max(deadline.left_s, 0.001)
        timeouts = (min(CONNECT_SECONDS, left_s), left_s)
        with session.send(prepared, stream=True, timeout=timeouts, allow_redirects=False) as response:
            target = session.get_redirect_target(response)
            if target is None:
                body = _read_body(response, deadline, limits.max_bytes)
                values = _get_secret_values(request)
                if values:
                    body = _redact_quoted_part(body, values)
                kept = tuple(
                    (name, redact_secrets(value, values)) for name, value in response.headers.items()
                )
                status = response.status_code
                since = request.unchanged_since if status == HTTPStatus.NOT_MODIFIED else None
                return replace(result, status=status, headers=kept, body=body, unchanged_since=since)
            url = urljoin(url, target)
    raise _FetchError(f"more than {MAX_REDIRECTS} redirects")


def _get_secret_values(request: Request) -> list[str]:
    return [value for _, value in request.secrets]


def _redact_quoted_part(body: bytes, values: list[str]) -> bytes:
    """Redact secrets in a body that is not a GBFS file, such as an error page that repeats an API key.

    Only the beginning is redacted, since the error of a poll quotes no more. A GBFS file is stored unchanged.
    """
    try:
        decode_file(body)
    except GbfsError:
        beginning = redact_secrets(body[:MAX_QUOTED_BYTES].decode("utf-8", "surrogateescape"), values)
        return beginning.encode("utf-8", "surrogateescape") + body[MAX_QUOTED_BYTES:]
    return body


def _read_body(response: requests.Response, deadline: Deadline, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise _FetchError(f"the body exceeds {max_bytes} bytes")
    # A connection that was closed at the deadline may look like the end of the body.
    if not deadline.left_s:
        raise _FetchError("the body is incomplete")
    return bytes(body)
