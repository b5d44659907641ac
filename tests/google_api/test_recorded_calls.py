"""Recorded calls of the real provider, checked against Google's discovery documents."""

import json

import pytest

from tests.google_api.discovery import KNOWN_DIFFERENCES, compare_call, find_method
from tests.local.control_plane.recording import FILE

pytestmark = pytest.mark.unit

LINES = [json.loads(line) for line in FILE.read_text().splitlines()]


def test_recorded_calls_and_responses_are_valid() -> None:
    found = []
    for line in LINES:
        found += compare_call(line["method"], line["target"], line["body"], line["status"], line.get("reply"))
        for read in line["reads"]:
            found += compare_call(read["method"], read["target"], None, read["status"], read["reply"])
    assert set(found) == set(KNOWN_DIFFERENCES)


@pytest.mark.parametrize(
    ("http_method", "target", "name"),
    [
        (
            "GET",
            "/storage/v1/b/p-landing/o/bikes%2F20231026T205000Z.json.gz?alt=media",
            "storage.objects.get",
        ),
        ("POST", "/bigquery/v2/projects/p/queries", "bigquery.jobs.query"),
        ("POST", "/pubsub/v1/v1/projects/p/topics/t:setIamPolicy", "pubsub.projects.topics.setIamPolicy"),
        ("GET", "/storage/v1/nothing", None),
        ("PUT", "/bigquery/v2/projects/p/queries", None),
        ("GET", "/elsewhere/v1/projects/p", None),
    ],
)
def test_a_call_is_found_by_method_and_path(http_method: str, target: str, name: str | None) -> None:
    method = find_method(http_method, target)
    assert (method.name if method else None) == name


TOPIC = "/pubsub/v1/projects/p/topics/t"
JOBS = "/cloudscheduler/v1/projects/p/locations/l/jobs"
DATASETS = "/bigquery/v2/projects/p/datasets"


@pytest.mark.parametrize(
    ("call", "difference"),
    [
        (("PUT", TOPIC, {"labels": {"a": "b"}}, 200, {"name": "x"}), None),
        (
            ("PUT", TOPIC, {"lables": {}}, 200, {}),
            "pubsub.projects.topics.create request.lables is unknown",
        ),
        (
            ("PUT", TOPIC + "?wait=1", {}, 200, {}),
            "pubsub.projects.topics.create: query parameter wait is unknown",
        ),
        (("PUT", TOPIC, {"labels": {"a": 1}}, 200, {}), ".labels.a: found int '1', expected string"),
        (("PUT", TOPIC, {}, 200, {"nam": "x"}), "pubsub.projects.topics.create response.nam is unknown"),
        (
            ("POST", JOBS, {"state": "ON"}, 200, {}),
            ".state: found 'ON', expected one of ['STATE_UNSPECIFIED'",
        ),
        (("POST", DATASETS, {"defaultTableExpirationMs": "1 day"}, 200, {}), "expected string int64"),
        (("POST", DATASETS, {"defaultTableExpirationMs": "3600000"}, 200, {}), None),
        (("POST", DATASETS, {"access": {}}, 200, {}), "request.access: found dict '{}', expected array"),
        (("GET", TOPIC, None, 404, {"error": {"code": 404, "message": "m", "status": "NOT_FOUND"}}), None),
        (
            ("GET", TOPIC, None, 404, {"error": {"code": 403, "message": "m"}}),
            "expected an object with code 404",
        ),
        (("GET", TOPIC, None, 404, {"error": {"code": 404, "message": "m"}}), "neither a status nor errors"),
        (("GET", TOPIC, None, 404, {"detail": "gone"}), "expected an object with code 404"),
    ],
)
def test_a_difference_is_named_with_method_and_field(
    call: tuple[str, str, object, int, object], difference: str | None
) -> None:
    found = compare_call(*call)
    if difference is None:
        assert found == []
    else:
        [words] = found
        assert difference in words
