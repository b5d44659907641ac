"""The API's answer as it came, within bounds of size and time."""

import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

USER_AGENT = "vlille-collector/0.1 (bike-share availability archive)"
CONNECT_SECONDS = 5.0
RETRIES = 3
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


class _BoundedRetry(Retry):
    """Honours Retry-After up to the tick's own time: a longer wait is the next delivery's business."""

    longest_s = 10.0

    def get_retry_after(self, response: object) -> float | None:
        wait = super().get_retry_after(response)  # type: ignore[arg-type]
        return None if wait is None else min(wait, self.longest_s)


def make_session(backoff_s: float = 0.5) -> requests.Session:
    """Return a session that retries what passes (429, 5xx, a dropped connection) and follows few redirects."""
    retry = _BoundedRetry(
        total=RETRIES,
        backoff_factor=backoff_s,
        backoff_max=4.0,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET",),
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.1"})
    session.max_redirects = REDIRECTS
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def fetch(session: requests.Session, url: str, *, timeout_s: float, max_bytes: int) -> Answer:
    """Return the answer of a GET that ended with status 200.

    `timeout_s` bounds the whole call, `max_bytes` the body after decompression. Raises ApiError.
    """
    ends_at = time.monotonic() + timeout_s
    try:
        with session.get(url, timeout=(min(CONNECT_SECONDS, timeout_s), timeout_s), stream=True) as response:
            _check(response)
            body = _read(response, ends_at, timeout_s, max_bytes)
    except requests.RequestException as error:
        raise ApiError(f"{url}: {error}") from error
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return Answer(body, kept)


def _check(response: requests.Response) -> None:
    address = urlsplit(response.url)
    if address.scheme != "https" and address.hostname not in LOOPBACK:
        raise ApiError(f"{response.url}: redirected to a connection that is not encrypted")
    if response.status_code != requests.codes.ok:
        raise ApiError(f"{response.url}: answered {response.status_code} {response.reason}, expected 200")


def _read(response: requests.Response, ends_at: float, timeout_s: float, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise ApiError(f"{response.url}: the answer is larger than {max_bytes} bytes")
        if time.monotonic() > ends_at:
            raise ApiError(f"{response.url}: the answer is not complete after {timeout_s:g} s")
    return bytes(body)
