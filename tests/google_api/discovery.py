"""Check calls and responses against Google's discovery documents, which google-api-python-client includes.

https://developers.google.com/discovery/v1/reference/apis
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# First segment of a path → discovery document.
APIS = {
    "artifactregistry": "artifactregistry.v1",
    "bigquery": "bigquery.v2",
    "billingbudgets": "billingbudgets.v1",
    "cloudbilling": "cloudbilling.v1",
    "cloudbuild": "cloudbuild.v1",
    "cloudfunctions2": "cloudfunctions.v2",
    "cloudscheduler": "cloudscheduler.v1",
    "compute": "compute.v1",
    "dataproc": "dataproc.v1",
    "iam": "iam.v1",
    "logging": "logging.v2",
    "monitoring": "monitoring.v3",
    "pubsub": "pubsub.v1",
    "resourcemanager": "cloudresourcemanager.v1",
    "run": "run.v2",
    "serviceusage": "serviceusage.v1",
    "storage": "storage.v1",
}
# Accepted differences, and the reason.
KNOWN_DIFFERENCES = {
    "artifactregistry.projects.locations.repositories.create: query parameter repository_id is unknown": (
        "the provider uses the protobuf name of the field; Google's JSON mapping accepts both spellings"
    ),
    "bigquery.datasets.patch request.access[4].datasetId is unknown": (
        "google_bigquery_dataset_access sends the dataset's ID inside its entry; BigQuery ignores unknown fields"
    ),
}
# Differences of the BigQuery emulator, whose responses the control plane emulator forwards.
EMULATOR_DIFFERENCES = re.compile(
    r"bigquery\.jobs\.list response\.jobs\[\d+\]\.configuration\.query\.location is unknown"
)
_INTEGER = re.compile(r"-?[0-9]+")
_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


@dataclass(frozen=True)
class Method:
    """A method of an API, with its discovery document."""

    document: Mapping[str, Any]
    description: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The ID, such as `storage.objects.insert`."""
        return str(self.description["id"])

    def find_query_differences(self, query: str) -> Iterator[str]:
        """Yield unknown query parameters, and values that are not in their enum."""
        known = self.document["parameters"] | self.description.get("parameters", {})
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                yield f"{self.name}: query parameter {name} is unknown"
            elif value not in known[name].get("enum", [value]):
                yield f"{self.name}: query parameter {name}={value}, expected one of {known[name]['enum']}"

    def find_body_differences(self, body: Any) -> Iterator[str]:
        """Yield the differences of a request body."""
        yield from self._find_body_differences("request", body)

    def find_response_differences(self, body: Any) -> Iterator[str]:
        """Yield the differences of the body of a successful response."""
        yield from self._find_body_differences("response", body)

    def _find_body_differences(self, kind: str, body: Any) -> Iterator[str]:
        schema = self.description.get(kind)
        if schema is not None and body is not None:
            yield from _find_schema_differences(self.document, schema, body, f"{self.name} {kind}")


def _find_schema_differences(
    document: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str
) -> Iterator[str]:
    if "$ref" in schema:
        schema = document["schemas"][schema["$ref"]]
    kind = schema.get("type")
    if kind == "any" or kind is None or value is None:
        return
    if not _has_type(kind, schema.get("format", ""), value):
        expected = f"{kind} {schema.get('format', '')}".strip()
        yield f"{where}: found {type(value).__name__} {str(value)[:60]!r}, expected {expected}"
    elif kind == "string" and value not in schema.get("enum", [value]):
        yield f"{where}: found {value!r}, expected one of {schema['enum']}"
    elif kind == "array":
        for index, item in enumerate(value):
            yield from _find_schema_differences(document, schema["items"], item, f"{where}[{index}]")
    elif kind == "object":
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, item in value.items():
            if name in known:
                yield from _find_schema_differences(document, known[name], item, f"{where}.{name}")
            elif others is not None:
                yield from _find_schema_differences(document, others, item, f"{where}.{name}")
            elif known:
                yield f"{where}.{name} is unknown"


def _has_type(kind: str, form: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "string" and form in (
        "int64",
        "uint64",
    ):  # a number is accepted too: https://protobuf.dev/programming-guides/json
        return isinstance(value, int) or (isinstance(value, str) and _INTEGER.fullmatch(value) is not None)
    if kind == "integer" and isinstance(value, str):
        return _INTEGER.fullmatch(value) is not None
    return isinstance(value, _TYPES[kind])


@cache
def _load_document(name: str) -> Mapping[str, Any]:
    found = files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
    document: Mapping[str, Any] = json.loads(found.read_bytes())
    return document


@cache
def _list_methods(name: str) -> list[tuple[str, re.Pattern[str], Method]]:
    """Return the HTTP method, the path pattern below the API's root, and the description of each method."""
    document = _load_document(name)
    found = []
    for each in _walk_methods(document):
        path = each.get("flatPath") or each["path"]
        patterns = [document["servicePath"] + path]
        if "mediaUpload" in each:
            patterns += [
                protocol["path"].lstrip("/") for protocol in each["mediaUpload"]["protocols"].values()
            ]
        for pattern in patterns:
            expression = re.sub(r"\\\{\\?\+?[^}]*\\\}", "[^/]+", re.escape(pattern))
            found.append((each["httpMethod"], re.compile(expression), Method(document, each)))
    # `topics/{topic}:setIamPolicy` before `topics/{topic}`, which matches any text without a slash.
    return sorted(found, key=lambda each: ":" not in each[1].pattern.rpartition("/")[2])


def _walk_methods(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from resource.get("methods", {}).values()
    for each in resource.get("resources", {}).values():
        yield from _walk_methods(each)


def find_method(http_method: str, target: str) -> Method | None:
    """Return the method of a call; `target` is path and query below a root such as `/storage`.

    Custom endpoints and the provider's clients may prefix the path with the API's root, or with its version twice; such
    prefixes are skipped.
    """
    segments = urlsplit(target).path.strip("/").split("/")
    name = APIS.get(segments[0])
    if name is None:
        return None
    for start in range(min(4, len(segments))):
        path = "/".join(segments[start:])
        for method, pattern, description in _list_methods(name):
            if method == http_method and pattern.fullmatch(path):
                return description
    return None


def compare_call(http_method: str, target: str, body: Any, status: int, reply: Any) -> list[str]:
    """Return the differences of a call and its response from the discovery document; errors are checked by AIP-193."""
    method = find_method(http_method, target)
    if method is None:
        return [f"{http_method} {urlsplit(target).path}: no such method"]
    found = list(method.find_query_differences(urlsplit(target).query))
    found += method.find_body_differences(body)
    if status < 400:
        found += method.find_response_differences(reply)
    else:
        found += _find_error_differences(method.name, status, reply)
    return found


def _find_error_differences(name: str, status: int, reply: Any) -> Iterator[str]:
    """Check an error by https://google.aip.dev/193; Cloud Storage, BigQuery and Compute Engine have `errors`."""
    error = reply.get("error") if isinstance(reply, dict) else None
    if (
        not isinstance(error, dict)
        or error.get("code") != status
        or not isinstance(error.get("message"), str)
    ):
        yield f"{name} error: found {str(reply)[:100]}, expected an object with code {status} and a message"
        return
    if not error.get("status") and not all(each.get("reason") for each in error.get("errors", [{}])):
        yield f"{name} error: neither a status nor errors with a reason"
