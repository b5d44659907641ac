"""Query parameters and headers of a request. A secret is given by its name."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SECRET_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,99}")
HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
# Query parameters and headers that are secrets by their names, such as apiKey, app_key and Ocp-Apim-Subscription-Key.
SECRET_PARAMETER = re.compile(
    r"(?:x[-_])?(?:ocp-apim-)?(?:api|app|access|auth|client|service|subscription|user)?[-_]?"
    r"(?:key|token|secret|password|passwd|pwd)|appid|(?:proxy-)?authorization|cookie",
    re.IGNORECASE,
)
# Set by the HTTP client, or useless to a collector.
FORBIDDEN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
)


@dataclass(frozen=True)
class Parameter:
    """One query parameter or header: its value, or the name of the secret with its value."""

    name: str
    value: str = ""
    secret: str = ""


def secret_variable_name(secret: str) -> str:
    """Return the name of a secret's environment variable: `jcdecaux-key` → SECRET_JCDECAUX_KEY."""
    return "SECRET_" + secret.upper().replace("-", "_")


def resolve_parameters(parameters: Iterable[Parameter], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return parameter name → value, with the values of secrets. Raises KeyError for a missing secret."""
    return {each.name: secrets[each.secret] if each.secret else each.value for each in parameters}


def add_query(url: str, parameters: Mapping[str, str]) -> str:
    """Return the URL with these parameters in addition to its own."""
    if not parameters:
        return url
    parts = urlsplit(url)
    own = [
        (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in parameters
    ]
    return urlunsplit(parts._replace(query=urlencode([*own, *parameters.items()])))
