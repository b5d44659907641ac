"""A client of GitHub's REST API: one repository, one token, limits for responses and retries."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from urllib3.exceptions import HTTPError

from delivery.errors import DeliveryError

VERSION = "2022-11-28"
TIMEOUT_S = (10.0, 30.0)
ATTEMPTS = 5
LONGEST_WAIT_S = 90.0
PAGE = 100
MOST_PAGES = 100
MOST_BYTES = 32 * 1024 * 1024  # of one response: a page of the longest comments is a fifth of it
MOST_MESSAGE = 300
BROKEN = (500, 502, 503, 504)
LIMITED = (403, 429)
REMEDIES = {
    401: "the token is not valid: set GITHUB_TOKEN to the job's `${{ github.token }}`",
    403: "the job's `permissions` do not allow it",
    404: "it does not exist, or the job's `permissions` do not include reading it",
    410: "it was deleted, or issues are disabled in this repository",
}


class GitHubError(DeliveryError):
    """GitHub rejected a call; `status` is the HTTP status.

    What to do: compare the job's `permissions` with the call that the message names; on status 5xx, run the job
    again.
    """

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class NoResponseError(DeliveryError):
    """A call got no response, so that it is unknown whether it was executed.

    What to do: check on GitHub whether the call was executed, then run the job again.
    """


class _RetryableError(Exception):
    """A call that may be retried, after the delay that GitHub requires; `last` is raised after the last attempt."""

    def __init__(self, last: DeliveryError, after_s: float | None = None) -> None:
        super().__init__(str(last))
        self.last, self.after_s = last, after_s


class _Bearer(AuthBase):
    """Adds the token, which .netrc cannot replace and no message contains."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def mask(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


class GitHub:
    """The API of one repository (`owner/name`). `wait` sleeps; `now` is the time of GitHub's newest response."""

    def __init__(
        self, api: str, repository: str, token: str, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.now = datetime.now(UTC)
        self._root = f"{api.rstrip('/')}/repos/{repository}/"
        self._wait = wait
        self._bearer = _Bearer(token)
        self._session = requests.Session()
        self._session.auth = self._bearer
        self._session.headers.update(
            {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION, "User-Agent": "vlille"}
        )

    def get(self, path: str, **query: str) -> Any:
        """GET a path below the repository. Raises DeliveryError."""
        return self._call_with_retries("GET", path, again=True, params=query)[0]

    def list_items(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, page by page. Raises DeliveryError."""
        for number in range(1, MOST_PAGES + 1):
            parameters = {**query, "per_page": str(PAGE), "page": str(number)}
            items, more = self._call_with_retries("GET", path, again=True, params=parameters)
            if not isinstance(items, list):
                raise DeliveryError(f"GitHub's response to GET {path} is not a list")
            yield from items
            # A page may be shorter than `per_page` without being the last one.
            if not more:
                return
        raise DeliveryError(f"GET {path} has more than {MOST_PAGES} pages, the limit of this client")

    def post(self, path: str, body: Any, *, again: bool = False) -> Any:
        """POST to a path; `again` allows retries: a second call must change nothing. Raises NoResponseError."""
        return self._call_with_retries("POST", path, again=again, json=body)[0]

    def patch(self, path: str, body: Any) -> Any:
        """PATCH a path."""
        return self._call_with_retries("PATCH", path, again=True, json=body)[0]

    def delete(self, path: str) -> None:
        """DELETE a path; one that does not exist any more is no error."""
        try:
            self._call_with_retries("DELETE", path, again=True)
        except GitHubError as error:
            if error.status not in (404, 410):
                raise

    def _call_with_retries(
        self, method: str, path: str, *, again: bool, **arguments: Any
    ) -> tuple[Any, bool]:
        """Return the response, and whether there is another page."""
        retrying = Retrying(
            retry=retry_if_exception_type(_RetryableError),
            wait=_compute_wait,
            stop=stop_after_attempt(ATTEMPTS),
            sleep=self._wait,
            reraise=True,
        )
        try:
            found: tuple[Any, bool] = retrying(self._call, method, path, again=again, **arguments)
        except _RetryableError as error:
            raise error.last from None
        return found

    def _call(self, method: str, path: str, *, again: bool, **arguments: Any) -> tuple[Any, bool]:
        what = f"{method} {path}"
        try:
            # A redirect would turn a POST into a GET, and could send the token to another host.
            with self._session.request(
                method, self._root + path, timeout=TIMEOUT_S, allow_redirects=False, stream=True, **arguments
            ) as response:
                content = response.raw.read(MOST_BYTES + 1, decode_content=True)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _make_no_response_error(
                f"GitHub's response to {what} was incomplete ({type(error).__name__})", again=again
            ) from None
        self.now = _read_date(response)
        if response.status_code in BROKEN:
            raise _make_no_response_error(
                f"GitHub responded to {what} with status {response.status_code}", again=again
            )
        if len(content) > MOST_BYTES:
            raise DeliveryError(f"GitHub's response to {what} is larger than {MOST_BYTES} bytes")
        if not 200 <= response.status_code < 300:
            raise self._make_error(what, response, content)
        try:
            return (json.loads(content) if content else None), "next" in response.links
        except ValueError:
            raise _make_no_response_error(f"GitHub's response to {what} is not JSON", again=again) from None

    def _make_error(self, what: str, response: requests.Response, content: bytes) -> Exception:
        status, message = response.status_code, self._read_message(content)
        if status in LIMITED and (after := _read_rate_limit_delay(response, message, self.now)) is not None:
            error = GitHubError(
                f"GitHub's rate limit is reached ({what}: {status} {message}): run the job again in "
                f"{max(1, round(after / 60))} minutes",
                status,
            )
            return error if after > LONGEST_WAIT_S else _RetryableError(error, after)
        remedy = REMEDIES.get(status, "")
        if status in LIMITED and (needed := response.headers.get("X-Accepted-GitHub-Permissions")):
            remedy += f", which must have {needed[:100]}"
        if 300 <= status < 400:
            remedy = "the repository was renamed or moved: GITHUB_REPOSITORY must be its new name"
        return GitHubError(
            f"GitHub refused {what} ({f'{status} {message}'.strip()}){f': {remedy}' if remedy else ''}",
            status,
        )

    def _read_message(self, content: bytes) -> str:
        try:
            message = str(json.loads(content)["message"])
        except (ValueError, KeyError, TypeError):
            message = ""
        # One line: a log's line that begins with :: would be a command to the runner.
        return self._bearer.mask(" ".join(message.split()))[:MOST_MESSAGE]


def _make_no_response_error(sentence: str, *, again: bool) -> Exception:
    error = NoResponseError(f"{sentence}: run the job again")
    return _RetryableError(error) if again else error


def _read_rate_limit_delay(response: requests.Response, message: str, now: datetime) -> float | None:
    """Return the seconds until the rate limit ends; None if the response is not about a rate limit."""
    after = response.headers.get("Retry-After", "")
    if after.isdecimal():
        return float(after)
    if response.headers.get("X-RateLimit-Remaining") == "0":
        reset = response.headers.get("X-RateLimit-Reset", "")
        return max(1.0, float(reset) - now.timestamp()) if reset.isdecimal() else LONGEST_WAIT_S
    if response.status_code == requests.codes.too_many_requests or "rate limit" in message.lower():
        return 60.0  # what GitHub's documentation says to wait if the response has no time
    return None


def _compute_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    after = error.after_s if isinstance(error, _RetryableError) else None
    return after if after is not None else float(2 ** (state.attempt_number - 1))


def _read_date(response: requests.Response) -> datetime:
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)
