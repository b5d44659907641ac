"""Compare requests and responses of the control plane emulator with Google's descriptions of its APIs."""

import json
from typing import Any

from local.http.rest import ApiRequest, ApiResponse
from tests.google_api.discovery import APIS, compare_call


def find_differences(request: ApiRequest, response: ApiResponse) -> list[str]:
    """Return how a request and its response differ from the description; nothing for a path of no Google API."""
    target = request.headers.get(":target", request.path)
    if target.strip("/").split("/")[0] not in APIS:
        return []
    return compare_call(
        request.method, target, _document(request.body), response.status, _document(response.body)
    )


def _document(body: bytes) -> Any:
    """Return the JSON, or None: media and empty bodies have no schema."""
    try:
        return json.loads(body)
    except ValueError:
        return None
