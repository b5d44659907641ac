"""Calls that the control plane answered, and its replies, held against Google's own description of its APIs."""

import json
from typing import Any

from local.http.rest import Call, Reply
from tests.google_api.discovery import APIS, differences


def differences_of(call: Call, reply: Reply) -> list[str]:
    """How the call and its reply are not as described; nothing for what belongs to no Google API."""
    target = call.headers.get(":target", call.path)
    if target.strip("/").split("/")[0] not in APIS:
        return []
    return differences(call.method, target, _document(call.body), reply.status, _document(reply.body))


def _document(body: bytes) -> Any:
    """JSON, or None: media and empty bodies have no schema."""
    try:
        return json.loads(body)
    except ValueError:
        return None
