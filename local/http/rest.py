"""Requests, responses and routes of Google's REST APIs.

The format of errors: https://google.aip.dev/193
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from local.environment.resources import Json
from local.errors import AlreadyExistsError, LocalError, NotFoundError, ServiceError

REASONS = {
    400: ("INVALID_ARGUMENT", "invalid"),
    401: ("UNAUTHENTICATED", "authError"),
    403: ("PERMISSION_DENIED", "forbidden"),
    404: ("NOT_FOUND", "notFound"),
    409: ("ALREADY_EXISTS", "conflict"),
    412: ("FAILED_PRECONDITION", "conditionNotMet"),
    429: ("RESOURCE_EXHAUSTED", "rateLimitExceeded"),
    500: ("INTERNAL", "backendError"),
    503: ("UNAVAILABLE", "backendError"),
}


class ApiError(LocalError):
    """An error response of a Google API, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class ApiRequest:
    """A request to a Google API; `path` is without the query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Json:
        """The JSON object in the body. Raises ApiError where it is none."""
        try:
            document = json.loads(self.body or b"{}")
        except ValueError as error:
            raise ApiError(400, f"Invalid JSON payload received: {error}") from error
        if not isinstance(document, dict):
            raise ApiError(400, f"Invalid JSON payload received: {type(document).__name__}, not an object")
        return document

    @property
    def target(self) -> str:
        """Path and query as they were sent."""
        return self.headers.get(":target", self.path)


@dataclass(frozen=True)
class ApiResponse:
    """A response: status, body and headers."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @classmethod
    def of_json(cls, value: Json, status: int = 200) -> "ApiResponse":
        """Return a JSON response."""
        return cls(status, json.dumps(value, ensure_ascii=False).encode())


RouteHandler = Callable[[ApiRequest, dict[str, str]], "Json | ApiResponse"]


@dataclass(frozen=True)
class Route:
    """A method (or `*`) and a path pattern; `{name}` matches one segment, `{name*}` the rest of the path."""

    method: str
    pattern: str
    handle: RouteHandler

    def match(self, request: ApiRequest) -> dict[str, str] | None:
        """Return the path parameters, or None where the route does not match."""
        if self.method not in ("*", request.method):
            return None
        found = _expression(self.pattern).fullmatch(request.path)
        return found and found.groupdict()


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+\*?)\}", pattern)
    groups = {True: r"(?P<{}>.+)", False: r"(?P<{}>[^/:]+)"}
    text = "".join(
        re.escape(part) if index % 2 == 0 else groups[part.endswith("*")].format(part.rstrip("*"))
        for index, part in enumerate(parts)
    )
    return re.compile(text)  # re caches compiled patterns


def error_response(status: int, message: str) -> ApiResponse:
    """Return an error response in the format of Google's APIs."""
    name, reason = REASONS.get(status, (HTTPStatus(status).name, "backendError"))
    error = {
        "code": status,
        "message": message,
        "status": name,
        "errors": [{"message": message, "reason": reason}],
    }
    return ApiResponse.of_json({"error": error}, status)


def response_to_error(error: LocalError) -> ApiResponse:
    """Return the response that reports an error of this package to the client."""
    match error:
        case ApiError():
            return error_response(error.status, str(error))
        case NotFoundError():
            return error_response(404, f"Resource not found: {error.name}")
        case AlreadyExistsError():
            return error_response(409, f"Resource already exists: {error.name}")
        case ServiceError():
            return ApiResponse(error.status, error.response.encode())
        case _:
            return error_response(400, str(error))
