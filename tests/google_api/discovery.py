"""Google's own description of its REST APIs, as a judge of calls and replies: google-api-python-client carries it.

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

# The first segment of a path here → the API's description.
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
# Known, and meant: difference → why.
KNOWN_DIFFERENCES = {
    "artifactregistry.projects.locations.repositories.create: query parameter repository_id is unknown": (
        "the provider writes the field's name as protobuf has it; Google's JSON mapping accepts both spellings"
    ),
    "bigquery.datasets.patch request.access[4].datasetId is unknown": (
        "google_bigquery_dataset_access sends the dataset's own ID inside its entry; BigQuery ignores what is unknown"
    ),
}
# Of the BigQuery emulator, whose replies the control plane passes on.
EMULATED = re.compile(
    r"bigquery\.jobs\.list response\.jobs\[\d+\]\.configuration\.query\.location is unknown"
)
_WHOLE = re.compile(r"-?[0-9]+")
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
    """A method of an API: what its path, query and bodies may be."""

    document: Mapping[str, Any]
    described: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Such as `storage.objects.insert`."""
        return str(self.described["id"])

    def differences_of_query(self, query: str) -> Iterator[str]:
        """Parameters that the description lacks, and values that are none of its enum."""
        known = self.document["parameters"] | self.described.get("parameters", {})
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                yield f"{self.name}: query parameter {name} is unknown"
            elif value not in known[name].get("enum", [value]):
                yield f"{self.name}: query parameter {name}={value}, expected one of {known[name]['enum']}"

    def differences_of_body(self, body: Any) -> Iterator[str]:
        """Of a request's body."""
        yield from self._differences("request", body)

    def differences_of_reply(self, body: Any) -> Iterator[str]:
        """Of the body of a reply that is no error."""
        yield from self._differences("response", body)

    def _differences(self, kind: str, body: Any) -> Iterator[str]:
        schema = self.described.get(kind)
        if schema is not None and body is not None:
            yield from _unlike(self.document, schema, body, f"{self.name} {kind}")


def _unlike(document: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = document["schemas"][schema["$ref"]]
    kind = schema.get("type")
    if kind == "any" or kind is None or value is None:
        return
    if not _is_of(kind, schema.get("format", ""), value):
        expected = f"{kind} {schema.get('format', '')}".strip()
        yield f"{where}: found {type(value).__name__} {str(value)[:60]!r}, expected {expected}"
    elif kind == "string" and value not in schema.get("enum", [value]):
        yield f"{where}: found {value!r}, expected one of {schema['enum']}"
    elif kind == "array":
        for index, item in enumerate(value):
            yield from _unlike(document, schema["items"], item, f"{where}[{index}]")
    elif kind == "object":
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, item in value.items():
            if name in known:
                yield from _unlike(document, known[name], item, f"{where}.{name}")
            elif others is not None:
                yield from _unlike(document, others, item, f"{where}.{name}")
            elif known:
                yield f"{where}.{name} is unknown"


def _is_of(kind: str, form: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "string" and form in (
        "int64",
        "uint64",
    ):  # a number is accepted too: https://protobuf.dev/programming-guides/json
        return isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value) is not None)
    if kind == "integer" and isinstance(value, str):
        return _WHOLE.fullmatch(value) is not None
    return isinstance(value, _TYPES[kind])


@cache
def _document(name: str) -> Mapping[str, Any]:
    found = files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
    document: Mapping[str, Any] = json.loads(found.read_bytes())
    return document


@cache
def _methods(name: str) -> list[tuple[str, re.Pattern[str], Method]]:
    """HTTP method, pattern of the path from the API's root, method."""
    document = _document(name)
    found = []
    for each in _all_methods(document):
        path = each.get("flatPath") or each["path"]
        patterns = [document["servicePath"] + path]
        if "mediaUpload" in each:
            patterns += [
                protocol["path"].lstrip("/") for protocol in each["mediaUpload"]["protocols"].values()
            ]
        for pattern in patterns:
            expression = re.sub(r"\\\{\\?\+?[^}]*\\\}", "[^/]+", re.escape(pattern))
            found.append((each["httpMethod"], re.compile(expression), Method(document, each)))
    # `topics/{topic}:setIamPolicy` before `topics/{topic}`, which takes any text without a slash.
    return sorted(found, key=lambda each: ":" not in each[1].pattern.rpartition("/")[2])


def _all_methods(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from resource.get("methods", {}).values()
    for each in resource.get("resources", {}).values():
        yield from _all_methods(each)


def find_method(http_method: str, target: str) -> Method | None:
    """The described method of a call; `target` is path and query below a root such as `/storage`.

    Custom endpoints and the provider's clients put the API's root, or its version a second time, before the path: what
    follows them is looked up.
    """
    segments = urlsplit(target).path.strip("/").split("/")
    name = APIS.get(segments[0])
    if name is None:
        return None
    for start in range(min(4, len(segments))):
        path = "/".join(segments[start:])
        for method, pattern, described in _methods(name):
            if method == http_method and pattern.fullmatch(path):
                return described
    return None


def differences(http_method: str, target: str, body: Any, status: int, reply: Any) -> list[str]:
    """How a call and its reply are not as Google describes them; an error's body has the form of AIP-193."""
    method = find_method(http_method, target)
    if method is None:
        return [f"{http_method} {urlsplit(target).path}: no such method"]
    found = list(method.differences_of_query(urlsplit(target).query))
    found += method.differences_of_body(body)
    if status < 400:
        found += method.differences_of_reply(reply)
    else:
        found += _differences_of_error(method.name, status, reply)
    return found


def _differences_of_error(name: str, status: int, reply: Any) -> Iterator[str]:
    """https://google.aip.dev/193; Cloud Storage, BigQuery and Compute Engine give `errors` with a reason instead."""
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
