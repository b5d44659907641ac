"""What a request of a feed's response takes: parameters and headers, some of them secrets by name."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SECRET_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,99}")
HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
# Set by the transport, or of no use to a collector.
FORBIDDEN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
)


@dataclass(frozen=True)
class Parameter:
    """One query parameter or header: its value, or the name of the secret that has it."""

    name: str
    value: str = ""
    secret: str = ""


def secret_variable(secret: str) -> str:
    """The environment variable in which the function has a secret: `jcdecaux-key` → SECRET_JCDECAUX_KEY."""
    return "SECRET_" + secret.upper().replace("-", "_")


def values_of(parameters: Iterable[Parameter], secrets: Mapping[str, str]) -> dict[str, str]:
    """Parameter name → value, secrets filled in; KeyError for one that is missing."""
    return {each.name: secrets[each.secret] if each.secret else each.value for each in parameters}


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    """The address with these parameters beside its own; as it is without any."""
    if not parameters:
        return url
    parts = urlsplit(url)
    own = [
        (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in parameters
    ]
    return urlunsplit(parts._replace(query=urlencode([*own, *parameters.items()])))
