"""What stands between the services and the workloads: it holds requests back, as Google's front end does.

Google lets through whose identity may invoke a service, keeps a request waiting while an instance starts, and gives
an instance no more requests at a time than it declares: https://cloud.google.com/run/docs/authenticating/overview,
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
from local.iam_proxy.access import AccessControl, AccessError, RequiredPermission

STARTUP_TIMEOUT_S = 30.0  # a workload that was killed is back long before
RETRY_INTERVAL_S = 0.05
BODY_LIMIT = 2**20
GOOGLE_APIS = ".googleapis.com"


@dataclass(frozen=True)
class Response:
    """Status and body of an HTTP answer; a call that got none has the status Google's front end gives."""

    status: int
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the call succeeded (2xx)."""
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.body[:600].decode('utf-8', 'replace').strip()}".strip()


ApiHandler = Callable[[str, str, bytes, str], Response]  # method, path, body, e-mail of the caller → answer


class ServiceRouter:
    """Calls workloads on this machine and Google's APIs that this machine answers; nothing else."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._slots: dict[str, BoundedSemaphore] = {}
        self._apis: dict[str, ApiHandler] = {}
        self._services: dict[str, str] = {}
        self._upstreams: dict[str, str] = {}
        self._lock = Lock()
        self._closed = Event()

    def close(self) -> None:
        """Wait no longer for workloads that do not listen."""
        self._closed.set()

    def limit_concurrency(self, url: str, max_concurrency: int) -> None:
        """Let a workload have at most that many requests at a time."""
        with self._lock:
            self._slots[_origin(url)] = BoundedSemaphore(max_concurrency)

    def require_invoker(self, url: str, service: str) -> None:
        """Let only those call a workload who may invoke the Cloud Run service of that full name."""
        with self._lock:
            self._services[_origin(url)] = service

    def forward_to(self, url: str, upstream: str) -> None:
        """Call a workload where it listens itself: what is called here was judged already."""
        with self._lock:
            self._upstreams[_origin(url)] = upstream

    def register_api(self, host: str, api: ApiHandler) -> None:
        """Answer calls of a Google API's host (`dataproc.googleapis.com`) with a function."""
        with self._lock:
            self._apis[host] = api

    def can_reach(self, url: str) -> bool:
        """Whether a call of that URL stays on this machine and is answered."""
        return is_loopback(url) or self._find_api(url) is not None

    def call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        """Send a request and return the answer; `timeout_s` are real seconds. Raises nothing.

        While nothing listens the request waits up to 30 s. A connection that breaks is answered with
        503, one that takes too long with 504, a URL that leads elsewhere with 403; a caller without a token
        or without the role with 401 or 403.
        """
        authorization = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        if (api := self._find_api(url)) is not None:
            return self._call_api(api, method, url, body, authorization)
        if not is_loopback(url):
            self._environment.report_unsupported(f"{url} is not called: it leads away from this machine")
            return Response(HTTPStatus.FORBIDDEN, b"not called: it leads away from this machine")
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
                return Response(HTTPStatus.GATEWAY_TIMEOUT, f"no answer within {timeout_s:.0f} s".encode())
            except (OSError, http.client.HTTPException) as error:
                return Response(HTTPStatus.SERVICE_UNAVAILABLE, f"the connection broke: {error!r}".encode())

    def _call_api(self, api: ApiHandler, method: str, url: str, body: bytes, authorization: str) -> Response:
        caller = parse_access_token(authorization)
        if caller is None or not self._environment.service(AccessControl).is_known(caller):
            message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            return error_response(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", message)
        return api(method, urlsplit(url).path, body, caller)

    def check_invoker(self, url: str, authorization: str) -> Response | None:
        """Cloud Run's answer to whom it does not let through; its page tells no names, its log does, and so here.

        None for who may invoke the service, and for everybody where `allUsers` may.

        https://cloud.google.com/run/docs/troubleshooting#unauthorized-client
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
        """Wait until a workload has fewer requests than it takes at a time, and count the body as one."""
        slot = self._slots.get(_origin(url))
        if slot is None:
            yield
            return
        with slot:
            yield


def is_loopback(url: str) -> bool:
    """Whether a URL is plain HTTP to this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def json_response(value: object, status: int = HTTPStatus.OK) -> Response:
    """Return a JSON answer, as Google's APIs give it."""
    return Response(status, json.dumps(value).encode())


def error_response(
    status: HTTPStatus, reason: str, message: str, details: Sequence[dict[str, Any]] = ()
) -> Response:
    """Return an error in the form of Google's APIs: https://cloud.google.com/apis/design/errors."""
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
