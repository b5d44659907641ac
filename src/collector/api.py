"""Fetch a response of the API: retries, redirects, and limits of size and time."""

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
from feed import DecompressionError, TooLargeError, decompress_body, is_secure_url

USER_AGENT = "vlille-collector/0.1 (bike-share availability archive)"
CONNECT_SECONDS = 5.0
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5  # doubled after each attempt
MAX_WAIT_SECONDS = 10.0  # a longer Retry-After is left to a later delivery
RETRYABLE_STATUSES = (429, 500, 502, 503, 504)
MAX_REDIRECTS = 3
PERMANENT_REDIRECTS = (301, 308)
CHUNK_SIZE = 64 * 1024
KEPT_LENGTH = 200  # characters of a header; Cloud Storage limits an object's metadata to 8 KiB
KEPT_HEADERS = ("content-type", "etag", "last-modified", "date")


class ApiError(RuntimeError):
    """The API returned no response that could be stored; Pub/Sub redelivers the tick.

    `status` is the HTTP status of its response, if there was one; `retry_after_s` is its Retry-After in seconds.

    What to do: nothing at first: Pub/Sub redelivers the message with backoff. If it continues, request the URL of the
    feed yourself.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


@dataclass(frozen=True)
class Response:
    """A response: its body, the headers that describe it, and more metadata for its object."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


class _TransientError(ApiError):
    """A failure that may be over soon: the request is retried."""


class _Session(requests.Session):
    """Leaves redirects to `fetch`: the base class would read the whole body of a redirect before it follows it."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Generator[requests.Response]:
        yield from ()


def make_session() -> requests.Session:
    """Return a session with our User-Agent, whose connections are closed at the time limit of `fetch`."""
    # When headers are malformed, urllib3 logs the whole URL, including API keys in its query.
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
) -> Response:
    """Return the response of a GET request with status 200; transient failures are retried, ATTEMPTS times in all.

    `timeout_s` limits all attempts together, including waits, redirects and reading; `max_bytes` limits the
    decompressed body. `headers` are sent to the host of `url` only, not to the target of a redirect. `redact` removes
    secrets from headers and metadata before they are truncated. Raises ApiError.
    """
    with Deadline(timeout_s) as deadline:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = _send_request(
                    session, requests.Request("GET", url, headers=headers), deadline, max_bytes
                )
                return Response(
                    response.body,
                    _redact_and_truncate(response.headers, redact),
                    _redact_and_truncate(response.metadata, redact),
                )
            except _TransientError as error:
                own_wait_s = FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
                wait_s = own_wait_s if error.retry_after_s is None else error.retry_after_s
                message = None
                if wait_s > MAX_WAIT_SECONDS:
                    message = f"{error}; Retry-After is {wait_s:.0f} s, so no more attempts ({attempt} made)"
                elif attempt == ATTEMPTS or wait_s >= deadline.left_s:
                    message = f"{error}; gave up after {attempt} attempts within {timeout_s:g} s"
                if message is not None:
                    raise ApiError(message, status=error.status, retry_after_s=error.retry_after_s) from error
                time.sleep(wait_s)
    raise AssertionError("unreachable")


def _redact_and_truncate(texts: Mapping[str, str], redact: Callable[[str], str]) -> dict[str, str]:
    """Return texts without secrets, truncated. Redaction comes first: a truncated secret cannot be found."""
    return {name: redact(text)[:KEPT_LENGTH] for name, text in texts.items()}


def _send_request(
    session: requests.Session, first: requests.Request, deadline: Deadline, max_bytes: int
) -> Response:
    request, url = session.prepare_request(first), first.url
    moved: dict[str, str] = {}  # the target of a permanent redirect, for the object's metadata
    for redirects in range(MAX_REDIRECTS + 1):
        _check_address(url, request.url or "", is_redirected=redirects > 0)
        if not (left_s := deadline.left_s):
            raise ApiError(f"{url}: no response within {deadline.seconds:g} s")
        timeouts = (min(CONNECT_SECONDS, left_s), left_s)
        try:
            with session.send(request, stream=True, timeout=timeouts, allow_redirects=False) as response:
                if (redirected := _prepare_redirect(session, response)) is None:
                    return replace(_read_response(response, deadline, max_bytes), metadata=moved)
                if response.status_code in PERMANENT_REDIRECTS:
                    moved = {"moved_to": (redirected.url or "").partition("?")[0]}
                request = redirected
        except requests.RequestException as error:
            if not deadline.left_s:
                raise ApiError(f"{url}: no response within {deadline.seconds:g} s") from error
            raise _TransientError(f"{url}: {error}") from error
    raise ApiError(f"{url}: redirected more than {MAX_REDIRECTS} times")


def _prepare_redirect(
    session: requests.Session, response: requests.Response
) -> requests.PreparedRequest | None:
    try:
        target = session.get_redirect_target(response)
        if target is None:
            return None
        return session.prepare_request(requests.Request("GET", urljoin(response.url, target)))
    except ValueError as error:
        raise ApiError(f"{response.url}: redirected to an invalid URL: {error}") from error


def _check_address(url: str, address: str, *, is_redirected: bool) -> None:
    if not is_secure_url(address):
        found = (
            f"redirected to {address}, which is not encrypted"
            if is_redirected
            else "the URL is not encrypted"
        )
        raise ApiError(f"{url}: {found}; expected https")


def _read_response(response: requests.Response, deadline: Deadline, max_bytes: int) -> Response:
    if response.status_code != requests.codes.ok:
        message = f"{response.url}: status {response.status_code} {response.reason}; expected 200"
        if response.status_code in RETRYABLE_STATUSES:
            raise _TransientError(
                message, status=response.status_code, retry_after_s=_parse_retry_after(response)
            )
        raise ApiError(message, status=response.status_code)
    body = bytearray()
    try:
        for chunk in response.iter_content(CHUNK_SIZE):
            body += chunk
            if len(body) > max_bytes:
                raise ApiError(f"{response.url}: the response body is larger than {max_bytes} bytes")
    finally:
        # A closed connection may look like a transfer error, or like the end of the headers or of the body.
        if not deadline.left_s:
            raise ApiError(f"{response.url}: the response body is incomplete after {deadline.seconds:g} s")
    try:
        # A gzip body without a Content-Encoding header is limited by its decompressed size too.
        decompress_body(bytes(body), max_bytes)
    except TooLargeError as error:
        raise ApiError(f"{response.url}: the response body is too large: {error}") from error
    except DecompressionError:
        pass  # stored as received
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return Response(bytes(body), kept)


def _parse_retry_after(response: requests.Response) -> float | None:
    if not (header := response.headers.get("Retry-After")):
        return None
    with suppress(InvalidHeader, ValueError):  # a number of thousands of digits is a ValueError
        return Retry().parse_retry_after(header)
    return None
