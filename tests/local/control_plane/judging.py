"""Calls that the control plane answered, and its replies, held against Google's own description of its APIs."""

import json
from typing import Any

from local.http.rest import ApiRequest, ApiResponse
from tests.google_api.discovery import APIS, differences


def differences_of(request: ApiRequest, response: ApiResponse) -> list[str]:
    """How the call and its reply are not as described; nothing for what belongs to no Google API."""
    target = request.headers.get(":target", request.path)
    if target.strip("/").split("/")[0] not in APIS:
        return []
    return differences(
        request.method, target, _document(request.body), response.status, _document(response.body)
    )


def _document(body: bytes) -> Any:
    """JSON, or None: media and empty bodies have no schema."""
    try:
        return json.loads(body)
    except ValueError:
        return None
