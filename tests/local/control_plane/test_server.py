"""The server for all APIs without emulators: resources that only the control plane stores."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from local.control_plane.server import ControlPlane, format_call
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.http.rest import ApiRequest, ApiResponse

pytestmark = pytest.mark.local

POLICY = "pubsub/v1/projects/p/topics/t"
ACCOUNT = "serviceAccount:a@p.iam.gserviceaccount.com"
BINDINGS = [{"role": "roles/pubsub.publisher", "members": [ACCOUNT]}]


@pytest.fixture
def watched() -> list[str]:
    return []


@pytest.fixture
def plane(new_environment: Callable[..., LocalEnvironment], watched: list[str]) -> Iterator[ControlPlane]:
    clock = RealClock(1.0, datetime.now(UTC))
    environment = replace(new_environment(), project="p", clock=clock)
    one = ControlPlane(environment, lambda request, response: watched.append(format_call(request, response)))
    yield one
    one.close()
    clock.close()


def send(plane: ControlPlane, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a request over HTTP and return status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{plane.url}/{path}", data, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_resource_is_created_read_updated_and_deleted(plane: ControlPlane) -> None:
    topic = "pubsub/v1/projects/p/topics/t"
    assert send(plane, "GET", topic)[0] == 404
    made = {"name": "projects/p/topics/t", "labels": {"a": "b"}}
    assert send(plane, "PUT", topic, {"labels": {"a": "b"}}) == (200, made)
    assert send(plane, "PUT", topic, {})[0] == 409
    assert send(plane, "GET", topic) == (200, made)
    changed = {"topic": {"labels": {"a": "c"}}, "updateMask": "labels"}
    assert send(plane, "PATCH", topic, changed) == (200, made | {"labels": {"a": "c"}})
    assert send(plane, "GET", "pubsub/v1/projects/p/topics") == (
        200,
        {"topics": [made | {"labels": {"a": "c"}}]},
    )
    assert send(plane, "DELETE", topic) == (200, {})
    assert send(plane, "DELETE", topic)[0] == 404


def test_a_concurrently_changed_policy_is_not_overwritten(plane: ControlPlane) -> None:
    assert send(plane, "GET", f"{POLICY}:getIamPolicy")[0] == 404
    send(plane, "PUT", POLICY, {})
    _, empty = send(plane, "GET", f"{POLICY}:getIamPolicy")
    assert empty["bindings"] == []
    _, first = send(
        plane, "POST", f"{POLICY}:setIamPolicy", {"policy": {"bindings": BINDINGS, "etag": empty["etag"]}}
    )
    assert first["bindings"] == BINDINGS
    late = {"policy": {"bindings": [], "etag": empty["etag"]}}
    status, document = send(plane, "POST", f"{POLICY}:setIamPolicy", late)
    assert (status, document["error"]["status"]) == (409, "ALREADY_EXISTS")
    assert send(plane, "GET", f"{POLICY}:getIamPolicy")[1] == first
    send(plane, "DELETE", POLICY)
    send(plane, "PUT", POLICY, {})
    assert send(plane, "GET", f"{POLICY}:getIamPolicy")[1]["bindings"] == []


@pytest.mark.parametrize(
    ("call", "body", "status", "words"),
    [
        ("GET pubsub/v1/nothing", None, 404, "nothing"),
        ("GET resourcemanager/v1/projects/other", None, 403, "does not have permission"),
        ("PUT pubsub/v1/projects/p/subscriptions/s", {"topic": "projects/p/topics/none"}, 404, "none"),
        (
            "POST cloudscheduler/v1/projects/p/locations/l/jobs",
            {"name": "projects/p/locations/l/jobs/j", "schedule": "each minute", "pubsubTarget": {}},
            400,
            "is invalid",
        ),
        ("POST cloudfunctions2/v2/projects/p/locations/l/functions", {}, 400, "has no name"),
        ("POST run/v2/projects/p/locations/l/builds:submit", {"imageUri": "l/p/r/i:t"}, 404, "Repository"),
    ],
)
def test_requests_that_google_refuses_are_refused(
    plane: ControlPlane, call: str, body: Any, status: int, words: str
) -> None:
    method, _, path = call.partition(" ")
    actual_status, document = send(plane, method, path, body)
    assert (actual_status, document["error"]["code"]) == (status, status)
    assert words in document["error"]["message"]


def test_a_build_by_an_account_without_permission_fails_with_the_reason(plane: ControlPlane) -> None:
    repositories = "artifactregistry/v1/projects/p/locations/l/repositories"
    assert send(plane, "POST", f"{repositories}?repository_id=r", {"format": "DOCKER"})[0] == 200
    build = {
        "imageUri": "l-docker.pkg.dev/p/r/i:t",
        "serviceAccount": "projects/p/serviceAccounts/build@p.iam.gserviceaccount.com",
        "storageSource": {"bucket": "artifacts", "object": "copier.zip"},
    }
    begun = send(plane, "POST", "run/v2/projects/p/locations/l/builds:submit", build)[1]
    ended = send(plane, "GET", f"cloudbuild/v1/{begun['buildOperation']['name']}")[1]
    assert ended["metadata"]["build"]["status"] == "FAILURE"
    assert ended["error"]["message"].startswith(
        "the build failed: 403: build@p.iam.gserviceaccount.com lacks storage.objects.get on "
        "projects/_/buckets/artifacts/objects/copier.zip"
    )


def test_a_network_in_use_cannot_be_deleted(plane: ControlPlane) -> None:
    root = "compute/v1/projects/p/global"
    send(plane, "POST", f"{root}/networks", {"name": "n"})
    send(plane, "POST", f"{root}/firewalls", {"name": "f", "network": "projects/p/global/networks/n"})
    status, document = send(plane, "DELETE", f"{root}/networks/n")
    assert (status, "already being used" in document["error"]["message"]) == (400, True)
    for path in ("firewalls/f", "networks/n"):
        assert send(plane, "DELETE", f"{root}/{path}")[1]["status"] == "DONE"


def test_a_repeated_version_in_a_path_is_removed(plane: ControlPlane) -> None:
    assert send(plane, "GET", "resourcemanager/v1/v1/projects/p")[1]["projectId"] == "p"


def test_a_paused_job_is_returned_as_paused(plane: ControlPlane) -> None:
    root = "cloudscheduler/v1/projects/p/locations/l/jobs"
    job = {
        "name": "projects/p/locations/l/jobs/j",
        "schedule": "* * * * *",
        "pubsubTarget": {"topicName": "t"},
    }
    assert send(plane, "POST", root, job)[1]["state"] == "ENABLED"
    assert send(plane, "POST", f"{root}/j:pause", {})[1]["state"] == "PAUSED"
    assert send(plane, "GET", f"{root}/j")[1]["state"] == "PAUSED"
    assert send(plane, "POST", f"{root}/j:resume", {})[1]["state"] == "ENABLED"


def test_the_variables_send_all_of_terraforms_requests_to_the_emulator(plane: ControlPlane) -> None:
    environment = plane.variables()
    endpoints = {name: url for name, url in environment.items() if name.endswith("_ENDPOINT")}
    assert len(endpoints) == 22
    assert {url.split("/")[2] for url in endpoints.values()} == {plane.url.removeprefix("http://")}
    for name, url in endpoints.items():
        assert url.endswith("/") or name.startswith("VLILLE_"), name
    assert environment["USER_PROJECT_OVERRIDE"] == "false"


def test_requests_are_formatted_with_their_responses(plane: ControlPlane, watched: list[str]) -> None:
    send(plane, "PUT", "pubsub/v1/projects/p/topics/t?alt=json", {"labels": {}})
    [line] = [json.loads(each) for each in watched]
    assert line == {
        "method": "PUT",
        "target": "/pubsub/v1/projects/p/topics/t?alt=json",
        "body": {"labels": {}},
        "status": 200,
        "reply": {"labels": {}, "name": "projects/p/topics/t"},
    }
    assert (
        json.loads(format_call(ApiRequest("POST", "/", body=b"\x1f\x8b\x00"), ApiResponse(204, b"")))["body"]
        == "3 bytes"
    )
