"""Templates by both of their paths, and runs of inline templates, requested as by the commands."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.control_plane.server import ControlPlane
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.services.dataproc import Dataproc
from operate.cloud import ApiError, Cloud, connect

pytestmark = pytest.mark.unit

TEMPLATE: dict[str, Any] = {
    "id": "rebuild-days",
    "placement": {
        "managedCluster": {
            "clusterName": "vlille-batch",
            "config": {"configBucket": "s", "gceClusterConfig": {"serviceAccount": "b@p.iam"}},
        }
    },
    "jobs": [
        {"stepId": "rebuild", "pysparkJob": {"mainPythonFileUri": "gs://b/main.py", "args": ["--feed"]}}
    ],
}


@pytest.fixture
def environment(new_environment: Callable[..., LocalEnvironment], clock: RealClock) -> LocalEnvironment:
    return replace(new_environment(), clock=clock)


@pytest.fixture
def cloud(plane: ControlPlane, environment: LocalEnvironment) -> Cloud:
    return connect(environment.project, plane.variables())


def url(cloud: Cloud, environment: LocalEnvironment, params: str, rest: str) -> str:
    return f"{cloud.endpoints.dataproc}projects/{environment.project}/{params}/{environment.region}/{rest}"


def begin(cloud: Cloud, environment: LocalEnvironment, **query: str) -> dict[str, Any]:
    inline = url(cloud, environment, "regions", "workflowTemplates:instantiateInline")
    return cloud.call("POST", inline, json=TEMPLATE, params=query)


def ended(cloud: Cloud, operation: dict[str, Any]) -> dict[str, Any]:
    end = time.monotonic() + 10
    while not operation["done"]:
        assert time.monotonic() < end, operation
        time.sleep(0.01)
        operation = cloud.call("GET", f"{cloud.endpoints.dataproc}{operation['name']}")
    return operation


@pytest.mark.parametrize(("made", "read"), [("locations", "regions"), ("regions", "locations")])
def test_a_template_is_the_same_by_both_paths(
    cloud: Cloud, environment: LocalEnvironment, made: str, read: str
) -> None:
    """Terraform's provider creates it below `locations`; `gcloud` and the commands read it below `regions`."""
    cloud.call("POST", url(cloud, environment, made, "workflowTemplates"), json=TEMPLATE)
    item = url(cloud, environment, read, "workflowTemplates/rebuild-days")
    assert cloud.call("GET", item)["jobs"] == TEMPLATE["jobs"]
    begun = cloud.call(
        "POST", f"{url(cloud, environment, 'regions', 'workflowTemplates/rebuild-days')}:instantiate"
    )
    assert ended(cloud, begun)["metadata"]["template"].endswith("/workflowTemplates/rebuild-days")
    cloud.call("DELETE", item)
    assert environment.service(Dataproc).templates.names() == []


def test_a_run_that_fails_is_an_operation_with_an_error(cloud: Cloud, environment: LocalEnvironment) -> None:
    operation = ended(cloud, begin(cloud, environment))
    assert operation["error"]["code"] == 13
    assert (
        "'b@p.iam' is missing required permissions: 403: b@p.iam lacks dataproc.agents.create"
        in (operation["error"]["message"])
    )
    assert operation["metadata"]["state"] == "DONE"


def test_a_run_without_a_fault_has_a_response(
    cloud: Cloud, environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataproc, "_check_cluster_permissions", lambda *_: None)
    monkeypatch.setattr(Dataproc, "_submit", lambda *_: {"rows_loaded": 289})
    operation = ended(cloud, begin(cloud, environment))
    assert operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert [node["state"] for node in operation["metadata"]["graph"]["nodes"]] == ["COMPLETED"]


def test_a_request_id_is_read_from_the_query(cloud: Cloud, environment: LocalEnvironment) -> None:
    begin(cloud, environment, requestId="a")
    assert [each.request_id for each in environment.service(Dataproc).workflows] == ["a"]


@pytest.mark.parametrize(
    ("call", "status", "reason"),
    [
        ("GET operations/7", 404, "Not found: Operation projects/"),
        ("POST workflowTemplates:instantiateInline", 400, "no placement.managedCluster"),
        ("POST workflowTemplates/weeks:instantiate", 404, "Not found: Workflow Template projects/"),
    ],
)
def test_an_unknown_or_invalid_request_is_refused(
    cloud: Cloud, environment: LocalEnvironment, call: str, status: int, reason: str
) -> None:
    method, rest = call.split()
    with pytest.raises(ApiError, match=reason) as refused:
        cloud.call(method, url(cloud, environment, "regions", rest))
    assert refused.value.status == status
