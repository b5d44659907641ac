"""The API's answer as it came, within bounds of size and time."""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urljoin

import requests
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from collector.deadline import Deadline, WatchedAdapter
from feed import RawError, TooLargeError, is_private_address, unpack_body

USER_AGENT = "vlille-collector/0.1 (bike-share availability archive)"
CONNECT_SECONDS = 5.0
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5  # doubled after each attempt
LONGEST_WAIT_SECONDS = 10.0  # a longer Retry-After is the next delivery's business
PASSING = (429, 500, 502, 503, 504)
REDIRECTS = 3
MOVED_FOR_GOOD = (301, 308)
CHUNK = 64 * 1024
KEPT_LENGTH = 200  # they become an object's metadata, of which Cloud Storage takes 8 KiB
KEPT_HEADERS = ("content-type", "etag", "last-modified", "date")


class ApiError(RuntimeError):
    """The API gave no answer that could be kept: the tick is delivered again.

    `status` is that of its response, where it gave one, `retry_after_s` the seconds that it asks to wait.

    What to do: nothing at first: Pub/Sub redelivers the message with backoff. If it goes on, request the URL of the
    feed yourself.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


@dataclass(frozen=True)
class Answer:
    """The body, the headers that tell of its making, and what else is kept beside it."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


class _PassingError(ApiError):
    """What may be well again in a moment."""


class _Session(requests.Session):
    """Leaves redirects to `fetch`: the base class reads all of their body before it makes the next request."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Generator[requests.Response]:
        yield from ()


def make_session() -> requests.Session:
    """Return a session that says who asks, and whose connections keep to the time limit of `fetch`."""
    # It logs whole addresses, and with them keys in their queries, where a response's headers are damaged.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    session = _Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, WatchedAdapter())
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.1"})
    return session


def fetch(
    session: requests.Session,
    url: str,
    *,
    timeout_s: float,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    redact: Callable[[str], str] = str,
) -> Answer:
    """Return the answer of a GET that ended with status 200; what passes is asked again, ATTEMPTS times at most.

    `timeout_s` bounds all attempts together with their waits, redirects and reading; `max_bytes` the body after
    decompression. `headers` go to the host of `url` only, not where it redirects to. `redact`
    takes secrets out of what is kept beside the body, before it is cut. Raises ApiError.
    """
    with Deadline(timeout_s) as deadline:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = _ask(session, requests.Request("GET", url, headers=headers), deadline, max_bytes)
                return Answer(answer.body, _kept(answer.headers, redact), _kept(answer.metadata, redact))
            except _PassingError as error:
                own_wait_s = FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
                wait_s = own_wait_s if error.retry_after_s is None else error.retry_after_s
                told = None
                if wait_s > LONGEST_WAIT_SECONDS:
                    told = f"{error}, not again for {wait_s:.0f} s; asked {attempt} times"
                elif attempt == ATTEMPTS or wait_s >= deadline.left_s:
                    told = f"{error}; asked {attempt} times in {timeout_s:g} s at most"
                if told is not None:
                    raise ApiError(told, status=error.status, retry_after_s=error.retry_after_s) from error
                time.sleep(wait_s)
    raise AssertionError("unreachable")


def _kept(texts: Mapping[str, str], redact: Callable[[str], str]) -> dict[str, str]:
    """Return texts without secrets and then cut: what is left of a secret that was cut could not be found."""
    return {name: redact(text)[:KEPT_LENGTH] for name, text in texts.items()}


def _ask(session: requests.Session, first: requests.Request, deadline: Deadline, max_bytes: int) -> Answer:
    request, url = session.prepare_request(first), first.url
    moved: dict[str, str] = {}  # where it says that it has moved for good, by whatever way
    for redirects in range(REDIRECTS + 1):
        _check_address(url, request.url or "", is_redirected=redirects > 0)
        if not (left_s := deadline.left_s):
            raise ApiError(f"{url}: no answer after {deadline.seconds:g} s")
        timeouts = (min(CONNECT_SECONDS, left_s), left_s)
        try:
            with session.send(request, stream=True, timeout=timeouts, allow_redirects=False) as response:
                if (there := _redirected(session, response)) is None:
                    return replace(_answer(response, deadline, max_bytes), metadata=moved)
                if response.status_code in MOVED_FOR_GOOD:
                    moved = {"moved_to": (there.url or "").partition("?")[0]}
                request = there
        except requests.RequestException as error:
            if not deadline.left_s:
                raise ApiError(f"{url}: no answer after {deadline.seconds:g} s") from error
            raise _PassingError(f"{url}: {error}") from error
    raise ApiError(f"{url}: redirected more than {REDIRECTS} times")


def _redirected(session: requests.Session, response: requests.Response) -> requests.PreparedRequest | None:
    try:
        target = session.get_redirect_target(response)
        if target is None:
            return None
        return session.prepare_request(requests.Request("GET", urljoin(response.url, target)))
    except ValueError as error:
        raise ApiError(f"{response.url}: redirected to what is no address: {error}") from error


def _check_address(asked: str, address: str, *, is_redirected: bool) -> None:
    if not is_private_address(address):
        found = f"redirected to {address}," if is_redirected else "found"
        raise ApiError(f"{asked}: {found} a connection that is not encrypted; expected https")


def _answer(response: requests.Response, deadline: Deadline, max_bytes: int) -> Answer:
    if response.status_code != requests.codes.ok:
        told = f"{response.url}: answered {response.status_code} {response.reason}, expected 200"
        if response.status_code in PASSING:
            raise _PassingError(told, status=response.status_code, retry_after_s=_retry_after(response))
        raise ApiError(told, status=response.status_code)
    body = bytearray()
    try:
        for chunk in response.iter_content(CHUNK):
            body += chunk
            if len(body) > max_bytes:
                raise ApiError(f"{response.url}: the answer is larger than {max_bytes} bytes")
    finally:
        # What was cut may look like a transfer error, or like the end of the headers or of the body.
        if not deadline.left_s:
            raise ApiError(f"{response.url}: the answer is not complete after {deadline.seconds:g} s")
    try:
        unpack_body(
            bytes(body), max_bytes
        )  # a gzip file that no header announces is bounded unpacked as well
    except TooLargeError as error:
        raise ApiError(f"{response.url}: the answer is larger than allowed: {error}") from error
    except RawError:
        pass  # kept as it came
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return Answer(bytes(body), kept)


def _retry_after(response: requests.Response) -> float | None:
    if not (header := response.headers.get("Retry-After")):
        return None
    with suppress(InvalidHeader, ValueError):  # a number of thousands of digits is a ValueError
        return Retry().parse_retry_after(header)
    return None
