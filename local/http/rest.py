"""Calls, replies and routes of Google's REST APIs.

The form of errors: https://google.aip.dev/193
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
    """A call that Google would refuse, with the status that it would have."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class ApiRequest:
    """One request; `path` is without the query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Json:
        """The body. Raises RefusedError where it is not a JSON object."""
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
    """Status, body and headers of an answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @classmethod
    def of_json(cls, value: Json, status: int = 200) -> "ApiResponse":
        """A JSON answer."""
        return cls(status, json.dumps(value, ensure_ascii=False).encode())


RouteHandler = Callable[[ApiRequest, dict[str, str]], "Json | ApiResponse"]


@dataclass(frozen=True)
class Route:
    """A method (or `*`) and a pattern of paths; `{name}` stands for one part, `{name*}` for the rest."""

    method: str
    pattern: str
    handle: RouteHandler

    def match(self, request: ApiRequest) -> dict[str, str] | None:
        """Return what stands in the places of the pattern, None where it does not fit."""
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
    return re.compile(text)  # re keeps compiled patterns


def error_response(status: int, message: str) -> ApiResponse:
    """An error as Google's APIs write it."""
    name, reason = REASONS.get(status, (HTTPStatus(status).name, "backendError"))
    error = {
        "code": status,
        "message": message,
        "status": name,
        "errors": [{"message": message, "reason": reason}],
    }
    return ApiResponse.of_json({"error": error}, status)


def response_to_error(error: LocalError) -> ApiResponse:
    """The reply that an error of this package means."""
    match error:
        case ApiError():
            return error_response(error.status, str(error))
        case NotFoundError():
            return error_response(404, f"Resource not found: {error.name}")
        case AlreadyExistsError():
            return error_response(409, f"Resource already exists: {error.name}")
        case ServiceError():
            return ApiResponse(error.status, error.answer.encode())
        case _:
            return error_response(400, str(error))
