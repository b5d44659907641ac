"""A request that passes through a proxy, parsed as far as a decision about it needs."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from local.errors import LocalError


class InvalidRequestError(LocalError):
    """A request that cannot be parsed."""


@dataclass(frozen=True)
class Request:
    """A request: method, target as it was sent, headers by lower-case name; `peek` returns the beginning of its
    body.
    """

    method: str
    target: str
    headers: dict[str, str]
    peek: Callable[[], bytes] = bytes

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters; of a repeated one, the last value."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @cached_property
    def resource(self) -> dict[str, Any]:
        """The JSON object in the body; of a multipart body, the one in its first part. Raises InvalidRequestError."""
        body = self.peek()
        kind, _, parameters = self.headers.get("content-type", "").partition(";")
        if kind.strip().lower() == "multipart/related":
            body = _first_part(body, parameters)
        try:
            document = json.loads(body or b"{}")
        except ValueError as error:
            raise InvalidRequestError(f"Invalid JSON payload received: {error}") from error
        if not isinstance(document, dict):
            raise InvalidRequestError(
                f"Invalid JSON payload received: {type(document).__name__}, not an object"
            )
        return document


def _first_part(body: bytes, parameters: str) -> bytes:
    """Return the first part of a multipart/related body (RFC 2387): the metadata, which precede the media."""
    boundary = ""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary":
            boundary = value.strip("\"'")
    parts = body.split(b"--" + boundary.encode(), 2)
    if not boundary or len(parts) < 3:
        raise InvalidRequestError("the first part of a multipart body must end within its first 10 MiB")
    return parts[1].replace(b"\r\n", b"\n").partition(b"\n\n")[2]
