"""The API's answer as it came, within bounds of size and time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Timer
from urllib.parse import urlsplit

import requests
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

USER_AGENT = "vlille-collector/0.1 (bike-share availability archive)"
CONNECT_SECONDS = 5.0
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5  # doubled after each attempt
LONGEST_WAIT_SECONDS = 10.0  # a longer Retry-After is the next delivery's business
PASSING = (429, 500, 502, 503, 504)
REDIRECTS = 3
CHUNK = 64 * 1024
LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEPT_HEADERS = ("content-type", "etag", "last-modified", "date")


class ApiError(RuntimeError):
    """The API gave no answer that could be kept: the tick is delivered again."""


@dataclass(frozen=True)
class Answer:
    """The body, and the headers that tell of its making."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class _PassingError(ApiError):
    """What may be well again in a moment; `wait_s` where the API said when."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def make_session() -> requests.Session:
    """Return a session that says who asks."""
    session = requests.Session()
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.1"})
    return session


def fetch(session: requests.Session, url: str, *, timeout_s: float, max_bytes: int) -> Answer:
    """Return the answer of a GET that ended with status 200; what passes is asked again, ATTEMPTS times at most.

    `timeout_s` bounds all attempts together with their waits, redirects and reading; `max_bytes` the body after
    decompression. Raises ApiError.
    """
    ends_at = time.monotonic() + timeout_s
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _ask(session, url, ends_at, timeout_s, max_bytes)
        except _PassingError as error:
            wait_s = FIRST_WAIT_SECONDS * 2 ** (attempt - 1) if error.wait_s is None else error.wait_s
            if attempt == ATTEMPTS or time.monotonic() + wait_s >= ends_at:
                raise ApiError(f"{error}; asked {attempt} times in {timeout_s:g} s at most") from error
            time.sleep(wait_s)
    raise AssertionError("unreachable")


def _ask(session: requests.Session, url: str, ends_at: float, timeout_s: float, max_bytes: int) -> Answer:
    request = session.prepare_request(requests.Request("GET", url))
    for _ in range(REDIRECTS + 1):
        _check_address(request.url or "")
        left_s = ends_at - time.monotonic()
        if left_s <= 0:
            raise ApiError(f"{url}: no answer after {timeout_s:g} s")
        timeouts = (min(CONNECT_SECONDS, left_s), left_s)
        try:
            with session.send(request, stream=True, timeout=timeouts, allow_redirects=False) as response:
                if response.next is None:
                    return _answer(response, ends_at, timeout_s, max_bytes)
                request = response.next
        except requests.RequestException as error:
            raise _PassingError(f"{url}: {error}") from error
    raise ApiError(f"{url}: redirected more than {REDIRECTS} times")


def _check_address(url: str) -> None:
    address = urlsplit(url)
    if address.scheme != "https" and (address.scheme, address.hostname) not in [
        ("http", it) for it in LOOPBACK
    ]:
        raise ApiError(f"{url}: redirected to a connection that is not encrypted")


def _answer(response: requests.Response, ends_at: float, timeout_s: float, max_bytes: int) -> Answer:
    if response.status_code != requests.codes.ok:
        told = f"{response.url}: answered {response.status_code} {response.reason}, expected 200"
        if response.status_code in PASSING:
            raise _PassingError(told, _retry_after(response))
        raise ApiError(told)
    body = bytearray()
    with _cut_at(response, ends_at):
        try:
            for chunk in response.iter_content(CHUNK):
                body += chunk
                if len(body) > max_bytes:
                    raise ApiError(f"{response.url}: the answer is larger than {max_bytes} bytes")
        finally:
            # What was cut may look like a transfer error, or like the end of the body.
            if time.monotonic() >= ends_at:
                raise ApiError(f"{response.url}: the answer is not complete after {timeout_s:g} s")
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return Answer(bytes(body), kept)


@contextmanager
def _cut_at(response: requests.Response, ends_at: float) -> Iterator[None]:
    """Stop reading at a moment: a read's own time limit starts anew with every byte that drips in."""

    def cut() -> None:
        with suppress(OSError, RuntimeError, ValueError):  # it has just ended by itself
            response.raw.shutdown()

    timer = Timer(max(0.0, ends_at - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _retry_after(response: requests.Response) -> float | None:
    if not (header := response.headers.get("Retry-After")):
        return None
    with suppress(InvalidHeader):
        return min(Retry().parse_retry_after(header), LONGEST_WAIT_SECONDS)
    return None
