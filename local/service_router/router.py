"""Routes HTTP requests of Google's services to workloads, as Google's front end does.

It admits only callers that may invoke the service, lets a request wait while an instance starts, and limits the
concurrent requests of an instance: https://cloud.google.com/run/docs/authenticating/overview,
https://cloud.google.com/run/docs/about-concurrency
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from threading import BoundedSemaphore, Event, Lock
from typing import Any
from urllib.parse import urlsplit

from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import parse_access_token, parse_identity_token
from local.iam_proxy.access import AccessControl
from local.iam_proxy.denials import AccessError, RequiredPermission

STARTUP_TIMEOUT_S = 30.0  # a killed workload is restarted sooner
RETRY_INTERVAL_S = 0.05
BODY_LIMIT = 2**20
GOOGLE_APIS = ".googleapis.com"


@dataclass(frozen=True)
class Response:
    """Status and body of an HTTP response; a failed request has the status of Google's front end."""

    status: int
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded (2xx)."""
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.body[:600].decode('utf-8', 'replace').strip()}".strip()


ApiHandler = Callable[[str, str, bytes, str], Response]  # method, path, body, e-mail of the caller → response


class ServiceRouter:
    """Calls workloads and emulated Google APIs of the local environment, and nothing else."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._slots: dict[str, BoundedSemaphore] = {}
        self._apis: dict[str, ApiHandler] = {}
        self._services: dict[str, str] = {}
        self._upstreams: dict[str, str] = {}
        self._lock = Lock()
        self._closed = Event()

    def close(self) -> None:
        """Stop waiting for workloads that do not listen."""
        self._closed.set()

    def limit_concurrency(self, url: str, max_concurrency: int) -> None:
        """Limit the concurrent requests of the workload at a URL."""
        with self._lock:
            self._slots[_origin(url)] = BoundedSemaphore(max_concurrency)

    def require_invoker(self, url: str, service: str) -> None:
        """Admit only callers that may invoke the Cloud Run service of that full name."""
        with self._lock:
            self._services[_origin(url)] = service

    def forward_to(self, url: str, upstream: str) -> None:
        """Send requests for a URL straight to the workload, past its listener: the router has checked the caller
        already.
        """
        with self._lock:
            self._upstreams[_origin(url)] = upstream

    def register_api(self, host: str, api: ApiHandler) -> None:
        """Handle the requests to a Google API's host, such as `dataproc.googleapis.com`, with a function."""
        with self._lock:
            self._apis[host] = api

    def can_reach(self, url: str) -> bool:
        """Whether a URL belongs to a workload or an emulated API of the local environment."""
        return is_loopback(url) or self._find_api(url) is not None

    def call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        """Send a request and return the response; `timeout_s` is in real seconds. Raises nothing.

        The request waits up to 30 s for a process that does not listen yet. The status is 503 where the connection
        breaks, 504 after the timeout, 403 for a URL outside the local environment, and 401 or 403 for a caller
        without a token or a role.
        """
        authorization = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        if (api := self._find_api(url)) is not None:
            return self._call_api(api, method, url, body, authorization)
        if not is_loopback(url):
            self._environment.report_unsupported(f"{url} is not called: it is outside the local environment")
            return Response(HTTPStatus.FORBIDDEN, b"not called: it is outside the local environment")
        if (denial := self.check_invoker(url, authorization)) is not None:
            return denial
        upstream = self._upstreams.get(_origin(url))
        target = (
            url if upstream is None else urlsplit(url)._replace(netloc=urlsplit(upstream).netloc).geturl()
        )
        with self.slot(url):
            try:
                return _send_request(method, target, headers, body, timeout_s=timeout_s, closed=self._closed)
            except TimeoutError:
                return Response(HTTPStatus.GATEWAY_TIMEOUT, f"no response within {timeout_s:.0f} s".encode())
            except (OSError, http.client.HTTPException) as error:
                return Response(HTTPStatus.SERVICE_UNAVAILABLE, f"the connection broke: {error!r}".encode())

    def _call_api(self, api: ApiHandler, method: str, url: str, body: bytes, authorization: str) -> Response:
        caller = parse_access_token(authorization)
        if caller is None or not self._environment.service(AccessControl).is_known(caller):
            message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            return error_response(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", message)
        return api(method, urlsplit(url).path, body, caller)

    def check_invoker(self, url: str, authorization: str) -> Response | None:
        """Return Cloud Run's response to a caller that may not invoke the service, or None for one that may.

        Where `allUsers` may invoke it, every caller may. The response has the reason, which Cloud Run writes into its
        log only: https://cloud.google.com/run/docs/troubleshooting#unauthorized-client
        """
        service = self._services.get(_origin(url))
        access = self._environment.service(AccessControl)
        need = RequiredPermission("run.routes.invoke", service or "")
        if service is None or access.is_allowed("", need):
            return None
        if not authorization:
            message = f"The request was not authenticated: it carries no identity token for {service}"
            return Response(HTTPStatus.FORBIDDEN, message.encode())
        claims = parse_identity_token(authorization) or {}
        email, audience = str(claims.get("email", "")), str(claims.get("aud", ""))
        if _origin(audience) != _origin(url) or not access.is_known(email):
            message = f"The access token could not be verified: audience {audience or 'none'}, caller {email or 'none'}"
            return Response(HTTPStatus.UNAUTHORIZED, message.encode())
        try:
            access.check(email, [need])
        except AccessError as error:
            message = f"The request was not authorized to invoke this service. {error.summary}"
            return Response(HTTPStatus.FORBIDDEN, message.encode())
        return None

    def _find_api(self, url: str) -> ApiHandler | None:
        host = urlsplit(url).hostname or ""
        return self._apis.get(host) if host.endswith(GOOGLE_APIS) else None

    @contextmanager
    def slot(self, url: str) -> Iterator[None]:
        """Wait until the workload can take another request, and count the body of the `with` statement as one."""
        slot = self._slots.get(_origin(url))
        if slot is None:
            yield
            return
        with slot:
            yield


def is_loopback(url: str) -> bool:
    """Whether a URL is plain HTTP to this host."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def json_response(value: object, status: int = HTTPStatus.OK) -> Response:
    """Return a JSON response."""
    return Response(status, json.dumps(value).encode())


def error_response(
    status: HTTPStatus, reason: str, message: str, details: Sequence[dict[str, Any]] = ()
) -> Response:
    """Return an error in the format of Google's APIs: https://cloud.google.com/apis/design/errors."""
    error: dict[str, Any] = {"code": int(status), "status": reason, "message": message}
    return json_response(
        {"error": error | ({"details": list(details)} if details else {})}, status=int(status)
    )


def _origin(url: str) -> str:
    return urlsplit(url).netloc


def _send_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, closed: Event
) -> Response:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        _connect(connection, closed)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        return Response(response.status, response.read(BODY_LIMIT))
    finally:
        connection.close()


def _connect(connection: http.client.HTTPConnection, closed: Event) -> None:
    end = time.monotonic() + STARTUP_TIMEOUT_S
    while True:
        try:
            return connection.connect()
        except ConnectionRefusedError:
            if time.monotonic() > end or closed.wait(RETRY_INTERVAL_S):
                raise
