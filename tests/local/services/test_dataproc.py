import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.environment.clock import SimulatedClock
from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.iam_proxy.access import AccessControl
from local.service_router.router import Response, ServiceRouter
from local.services.dataproc import CLUSTER_PERMISSIONS, Dataproc, resolve_yesterday, workflow_template
from local.services.dataproc_templates import substitute_parameters
from local.services.dataproc_workflows import Workflow, as_operation, find_error_message, find_summary
from local.stack.loading import Resource
from tests.local.conftest import account, allow, bearer

pytestmark = pytest.mark.unit
NAME = "projects/p/regions/r/workflowTemplates/rebuild-days"


def template(**more: Any) -> dict[str, Any]:
    return {
        "name": NAME,
        "jobs": [{"stepId": "rebuild", "pysparkJob": {"args": ["--from", "?", "--to", "?"]}}],
        "parameters": [
            {"name": "FROM", "fields": ["jobs['rebuild'].pysparkJob.args[1]"]},
            {"name": "TO", "fields": ["jobs['rebuild'].pysparkJob.args[3]"]},
        ],
    } | more


def test_parameters_are_substituted_in_their_fields() -> None:
    (job,) = substitute_parameters(template(), {"FROM": "2023-10-26", "TO": "yesterday"})
    assert job["pysparkJob"]["args"] == ["--from", "2023-10-26", "--to", "yesterday"]


def test_substitution_does_not_change_the_template() -> None:
    declared = template()
    substitute_parameters(declared, {"FROM": "a", "TO": "b"})
    assert declared == template()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "takes the parameters FROM, TO; missing: FROM, TO"),
        ({"FROM": "a"}, "missing: TO"),
        ({"FROM": "a", "TO": "b", "DAY": "c"}, "unknown: DAY"),
        ({"FROM": 1, "TO": "b"}, "parameter FROM must be a string, found 1"),
    ],
)
def test_missing_and_unknown_parameters_are_refused(parameters: dict[str, Any], expected: str) -> None:
    with pytest.raises(LocalError, match=expected):
        substitute_parameters(template(), parameters)


@pytest.mark.parametrize(
    ("validation", "value", "expected"),
    [
        ({"regex": {"regexes": [r"yesterday|\d{4}-\d\d-\d\d"]}}, "today", "must match"),
        ({"values": {"values": ["a", "b"]}}, "c", "must be one of a, b, found 'c'"),
    ],
)
def test_a_disallowed_value_is_refused(validation: dict[str, Any], value: str, expected: str) -> None:
    parameter = {"name": "FROM", "fields": [], "validation": validation}
    with pytest.raises(LocalError, match=expected):
        substitute_parameters(template(parameters=[parameter]), {"FROM": value})


@pytest.mark.parametrize(
    "field", ["jobs['other'].pysparkJob.args[0]", "jobs['rebuild'].pysparkJob.args[9]", "jobs[", "nothing"]
)
def test_a_parameter_for_a_missing_field_is_an_error(field: str) -> None:
    with pytest.raises(LocalError, match="parameter field"):
        substitute_parameters(template(parameters=[{"name": "X", "fields": [field]}]), {"X": "1"})


def test_jobs_come_after_their_prerequisites() -> None:
    jobs = [{"stepId": "b", "prerequisiteStepIds": ["a"]}, {"stepId": "a"}]
    assert [job["stepId"] for job in substitute_parameters({"name": NAME, "jobs": jobs}, {})] == ["a", "b"]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], "jobs: expected at least one, each with a unique stepId, found no job"),
        ([{"stepId": "a"}, {}], "found 'a', None"),
        ([{"stepId": "a"}, {"stepId": "a"}], "found 'a', 'a'"),
        ([{"stepId": "../a"}], "letters, digits, - and _, found '../a'"),
        ([{"stepId": "a/b"}], "letters, digits, - and _, found 'a/b'"),
        (
            [{"stepId": "a", "prerequisiteStepIds": ["b"]}],
            "jobs: the prerequisite b is not a step of the template: a",
        ),
        (
            [
                {"stepId": "a", "prerequisiteStepIds": ["b"]},
                {"stepId": "b", "prerequisiteStepIds": ["a"]},
            ],
            "depend on one another in a cycle",
        ),
    ],
)
def test_jobs_with_invalid_prerequisites_are_refused(jobs: list[dict[str, Any]], expected: str) -> None:
    with pytest.raises(LocalError, match=expected):
        substitute_parameters({"jobs": jobs}, {})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a", '{"n": 1}', "[1]", "3"], {"n": 1}),
        (['{"n": 1}', '{"n": 2}', ""], {"n": 2}),
        (["nothing"], None),
    ],
)
def test_the_last_json_object_is_the_summary(lines: list[str], expected: dict[str, int] | None) -> None:
    assert find_summary(lines) == expected


@pytest.mark.unit
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        (["Traceback", '{"rows": 3}', "[1]"], None),
        (['{"severity": "WARNING", "message": "slow"}'], None),
        (['{"severity": "ERROR", "message": "no days"}', '{"rows": 0}', "at java.Thread"], "no days"),
        (
            ['{"severity": "ERROR", "message": "first"}', '{"severity": "CRITICAL", "message": "last"}'],
            "last",
        ),
        (['{"severity": "ERROR"}'], None),
    ],
)
def test_the_last_logged_error_is_why_a_job_failed(lines: list[str], expected: str | None) -> None:
    assert find_error_message(lines) == expected


def declare(environment: LocalEnvironment) -> None:
    kind = "google_dataproc_workflow_template"
    arguments = {
        "name": "rebuild-days",
        "location": "europe-west1",
        "placement": {
            "managed_cluster": {
                "cluster_name": "x",
                "config": {"gce_cluster_config": {"service_account": "b@p.iam"}, "staging_bucket": "s"},
            }
        },
        "jobs": [
            {
                "step_id": "rebuild",
                "pyspark_job": {
                    "main_python_file_uri": "gs://b/main.py",
                    "args": ["?"],
                    "properties": {"spark.sql.x_y": "1"},
                },
            }
        ],
        "parameters": [{"name": "FROM", "fields": ["jobs['rebuild'].pysparkJob.args[0]"]}],
    }
    workflow_template(Resource(f"{kind}.x", kind, "x", {}), arguments, environment)


def test_a_template_is_stored_as_its_rest_resource(environment: LocalEnvironment) -> None:
    environment.clock = SimulatedClock(environment.clock.now())
    declare(environment)
    (kept,) = environment.service(Dataproc).templates.list()
    assert (
        kept["name"] == f"projects/{environment.project}/regions/europe-west1/workflowTemplates/rebuild-days"
    )
    assert kept["serviceAccount"] == "b@p.iam"
    (job,) = kept["jobs"]
    assert job["stepId"] == "rebuild"
    assert job["pysparkJob"]["properties"] == {"spark.sql.x_y": "1"}
    assert any("there is no cluster" in sentence for sentence in environment.unsupported)


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("rebuild-days:instantiate", b"{}", 400, "missing: FROM"),
        ("rebuild-days:instantiate", b"no json", 400, "INVALID_ARGUMENT"),
        ("rebuild-weeks:instantiate", b"{}", 404, "Not found: Workflow Template"),
        ("rebuild-days:delete", b"{}", 404, "is not supported by the local run"),
    ],
)
def test_the_api_refuses_as_google_does(
    environment: LocalEnvironment, path: str, body: bytes, status: int, reason: str
) -> None:
    environment.clock = SimulatedClock(environment.clock.now())
    declare(environment)
    base = f"https://dataproc.googleapis.com/v1/projects/{environment.project}/regions/europe-west1"
    owner = bearer(environment.service(AccessControl).deployer)
    response = environment.service(ServiceRouter).call(
        "POST", f"{base}/workflowTemplates/{path}", owner, body, 5
    )
    assert response.status == status
    assert reason in json.dumps(json.loads(response.body))


CLUSTER: dict[str, Any] = {
    "managedCluster": {"clusterName": "x", "config": {"gceClusterConfig": {"serviceAccount": "b@p.iam"}}}
}
JOB: dict[str, Any] = {"stepId": "rebuild", "pysparkJob": {"mainPythonFileUri": "gs://b/main.py"}}


def send_request(
    environment: LocalEnvironment, method: str, path: str, document: object = None, caller: str = ""
) -> Response:
    """Call the API below the environment's region, as the deployer or another account."""
    url = f"https://dataproc.googleapis.com/v1/projects/{environment.project}/regions/europe-west1/{path}"
    token = bearer(caller or environment.service(AccessControl).deployer)
    return environment.service(ServiceRouter).call(method, url, token, json.dumps(document).encode(), 5)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "Invalid JSON payload received"),
        ([], "Invalid JSON payload received"),
        ({"jobs": [JOB]}, "the inline template has no placement.managedCluster"),
        ({"placement": CLUSTER}, "jobs: expected at least one"),
        ({"placement": CLUSTER, "jobs": "rebuild"}, "Invalid JSON payload received"),
        ({"placement": CLUSTER, "jobs": [{"stepId": "a", "pysparkJob": {}}]}, "mainPythonFileUri, args"),
        (
            {"placement": CLUSTER, "jobs": [{**JOB, "pysparkJob": JOB["pysparkJob"] | {"args": [1]}}]},
            "step rebuild: mainPythonFileUri, args and pythonFileUris must be texts, found",
        ),
        ({"placement": CLUSTER, "jobs": [JOB], "dagTimeout": "1h"}, "expected a duration in seconds"),
        (
            {"placement": CLUSTER, "jobs": [JOB], "parameters": [{"name": "FROM", "fields": []}]},
            "the inline template takes the parameters FROM; missing: FROM",
        ),
    ],
)
def test_an_invalid_inline_template_is_refused(
    environment: LocalEnvironment, document: object, expected: str
) -> None:
    environment.clock = SimulatedClock(environment.clock.now())
    dataproc = environment.service(Dataproc)
    response = send_request(environment, "POST", "workflowTemplates:instantiateInline", document)
    error = json.loads(response.body)["error"]
    assert (response.status, error["status"], dataproc.workflows) == (400, "INVALID_ARGUMENT", [])
    assert expected in error["message"]


def test_an_inline_template_is_run_and_not_stored(environment: LocalEnvironment) -> None:
    environment.clock = clock = SimulatedClock(environment.clock.now())
    dataproc = environment.service(Dataproc)
    request = {"placement": CLUSTER, "jobs": [JOB]}
    begun = json.loads(send_request(environment, "POST", "workflowTemplates:instantiateInline", request).body)
    assert re.fullmatch(
        rf"projects/{environment.project}/regions/europe-west1/operations/[^/]+", begun["name"]
    )
    clock.run(dataproc.workflows[0].finished.is_set)
    ended = json.loads(send_request(environment, "GET", begun["name"].partition("europe-west1/")[2]).body)
    assert ended["done"]
    assert ended["error"]["message"].startswith("Service Account 'b@p.iam' is missing required permissions")
    assert dataproc.templates.names() == []
    assert "template" not in ended["metadata"]
    clock.close()


def test_concurrent_runs_have_their_own_folders(
    environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.clock = clock = SimulatedClock(environment.clock.now())
    monkeypatch.setattr(Dataproc, "_check_cluster_permissions", lambda *_: None)
    monkeypatch.setattr(Dataproc, "_submit", lambda _self, workflow, *_: {"folder": str(workflow.folder)})
    dataproc = environment.service(Dataproc)
    request = {"placement": CLUSTER, "jobs": [JOB]}
    begun = [
        json.loads(send_request(environment, "POST", "workflowTemplates:instantiateInline", request).body)
        for _ in "ab"
    ]
    first, second = dataproc.workflows
    clock.run(lambda: first.finished.is_set() and second.finished.is_set())
    assert [each["name"] for each in begun] == [first.operation, second.operation]
    assert first.operation != second.operation
    assert first.summaries["rebuild"] != second.summaries["rebuild"]
    clock.close()


def test_a_repeated_request_id_returns_the_running_workflow(
    environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.clock = clock = SimulatedClock(environment.clock.now())
    goes_on = threading.Event()
    monkeypatch.setattr(Dataproc, "_check_cluster_permissions", lambda *_: None)
    monkeypatch.setattr(Dataproc, "_submit", lambda *_: {"waited": goes_on.wait()})
    declare(environment)

    def begin() -> str:
        request = {"requestId": "a", "parameters": {"FROM": "yesterday"}}
        response = send_request(environment, "POST", "workflowTemplates/rebuild-days:instantiate", request)
        return str(json.loads(response.body)["name"])

    first, again = begin(), begin()
    goes_on.set()
    clock.run(environment.service(Dataproc).workflows[0].finished.is_set)
    later = begin()
    assert first == again != later
    clock.close()


BEGAN, OVER = datetime(2026, 11, 24, 2, 30, tzinfo=UTC), datetime(2026, 11, 24, 2, 34, tzinfo=UTC)
STEPS: list[dict[str, Any]] = [{"stepId": "a"}, {"stepId": "b", "prerequisiteStepIds": ["a"]}]


def workflow(**more: Any) -> Workflow:
    return Workflow("projects/p/regions/r/operations/7", "", {}, STEPS, Path("7"), BEGAN, **more)


@pytest.mark.parametrize(
    ("run", "nodes", "outcome"),
    [
        (workflow(), ["BLOCKED", "BLOCKED"], {"done": False}),
        (workflow(step="a"), ["RUNNING", "BLOCKED"], {"done": False}),
        (workflow(step="b", summaries={"a": {}}), ["COMPLETED", "RUNNING"], {"done": False}),
        (
            workflow(step="b", summaries={"a": {}, "b": {}}, state="DONE", ended_at=OVER),
            ["COMPLETED", "COMPLETED"],
            {"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}},
        ),
        (
            workflow(step="a", state="FAILED", error="no room", ended_at=OVER),
            ["FAILED", "BLOCKED"],
            {"done": True, "error": {"code": 13, "message": "no room"}},
        ),
    ],
)
def test_a_run_is_returned_as_an_operation(run: Workflow, nodes: list[str], outcome: dict[str, Any]) -> None:
    operation = as_operation(run)
    metadata = operation.pop("metadata")
    assert operation == {"name": "projects/p/regions/r/operations/7"} | outcome
    assert [node["state"] for node in metadata["graph"]["nodes"]] == nodes
    assert [node.get("error") for node in metadata["graph"]["nodes"] if "error" in node] == (
        ["no room"] if "FAILED" in nodes else []
    )
    assert metadata["startTime"] == "2026-11-24T02:30:00Z"
    assert metadata.get("endTime") == ("2026-11-24T02:34:00Z" if operation["done"] else None)
    assert metadata["state"] == ("DONE" if operation["done"] else "RUNNING")


STARTS = ("projects/{project}", "dataproc.workflowTemplates.instantiate")
STARTS_INLINE = ("projects/{project}", "dataproc.workflowTemplates.instantiateInline")
LOOKS = ("projects/{project}", "dataproc.operations.get")
ACTS = ("projects/{project}/serviceAccounts/b@p.iam", "iam.serviceAccounts.actAs")


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        (
            [],
            "Permission 'dataproc.workflowTemplates.instantiate' denied on resource '//dataproc.googleapis.com/",
        ),
        ([ACTS], "Permission 'dataproc.workflowTemplates.instantiate' denied on resource"),
        (
            [STARTS],
            "Permission 'iam.serviceAccounts.actAs' denied on resource '//iam.googleapis.com/projects/",
        ),
        ([STARTS, ACTS], None),
    ],
)
def test_starting_a_cluster_needs_act_as_on_its_service_account(
    environment: LocalEnvironment, granted: list[tuple[str, str]], missing: str | None
) -> None:
    environment.clock = clock = SimulatedClock(environment.clock.now())
    declare(environment)
    starter = account(environment, "starter")
    for resource, permission in granted:
        allow(environment, starter, resource.format(project=environment.project), permission)
    url = f"https://{environment.region}-dataproc.googleapis.com/v1/{environment.service(Dataproc).templates.names()[0]}:instantiate"
    body = b'{"parameters": {"FROM": "yesterday"}}'
    response = environment.service(ServiceRouter).call("POST", url, bearer(starter), body, 5)
    assert (response.status, len(environment.service(Dataproc).workflows)) == (
        (403, 0) if missing else (200, 1)
    )
    if missing:
        error = json.loads(response.body)["error"]
        assert error["message"].startswith(missing)
        assert error["details"][0]["metadata"]["principal"] == starter
    clock.close()


@pytest.mark.parametrize(
    ("method", "path", "granted", "status"),
    [
        ("POST", "workflowTemplates:instantiateInline", [STARTS, ACTS], 403),
        ("POST", "workflowTemplates:instantiateInline", [STARTS_INLINE], 403),
        ("POST", "workflowTemplates:instantiateInline", [STARTS_INLINE, ACTS], 200),
        ("GET", "operations/7", [], 403),
        ("GET", "operations/7", [LOOKS], 404),
        ("DELETE", "operations/7", [LOOKS], 404),
    ],
)
def test_inline_templates_and_operations_have_their_own_permissions(
    environment: LocalEnvironment, method: str, path: str, granted: list[tuple[str, str]], status: int
) -> None:
    environment.clock = clock = SimulatedClock(environment.clock.now())
    dataproc = environment.service(Dataproc)
    starter = account(environment, "starter")
    for resource, permission in granted:
        allow(environment, starter, resource.format(project=environment.project), permission)
    response = send_request(environment, method, path, {"placement": CLUSTER, "jobs": [JOB]}, starter)
    assert (response.status, len(dataproc.workflows)) == (status, int(status == 200))
    clock.close()


@pytest.mark.parametrize(
    ("project", "bucket", "expected"),
    [
        (
            (),
            (),
            "Service Account 'b@p.iam' is missing required permissions: 403: b@p.iam lacks dataproc.agents.create",
        ),
        (CLUSTER_PERMISSIONS, (), "403: b@p.iam lacks storage.buckets.get on projects/_/buckets/s"),
        (
            CLUSTER_PERMISSIONS,
            ("storage.buckets.get",),
            "403: b@p.iam lacks storage.objects.create on projects/_/buckets/s/objects/",
        ),
        (
            CLUSTER_PERMISSIONS,
            ("storage.buckets.get", "storage.objects.create"),
            "Permission 'storage.objects.get' denied on resource",
        ),
    ],
)
def test_a_cluster_needs_a_service_account_with_its_permissions(
    environment: LocalEnvironment, project: tuple[str, ...], bucket: tuple[str, ...], expected: str
) -> None:
    environment.clock = clock = SimulatedClock(environment.clock.now())
    declare(environment)
    allow(environment, "b@p.iam", f"projects/{environment.project}", *project)
    allow(environment, "b@p.iam", "b/s", *bucket)
    dataproc = environment.service(Dataproc)
    workflow = dataproc.instantiate(dataproc.templates.names()[0], {"FROM": "yesterday"})
    clock.run(workflow.finished.is_set)
    assert (workflow.state, expected in workflow.error) == ("FAILED", True), workflow.error
    clock.close()


def test_a_failed_run_has_its_reason(environment: LocalEnvironment, tmp_path: Path) -> None:
    environment.clock = clock = SimulatedClock(environment.clock.now())
    declare(environment)
    storage = ("storage.buckets.get", "storage.objects.create", "storage.objects.get")
    allow(environment, "b@p.iam", f"projects/{environment.project}", *CLUSTER_PERMISSIONS, *storage)
    dataproc = environment.service(Dataproc)
    workflow = dataproc.instantiate(dataproc.templates.names()[0], {"FROM": "yesterday"})
    clock.run(workflow.finished.is_set)
    assert workflow.state == "FAILED"
    assert "gs://b/main.py cannot be read from the Cloud Storage emulator" in workflow.error
    clock.close()


REAL = datetime(2026, 11, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("simulated", "expected"),
    [
        (REAL, "yesterday"),
        (REAL - timedelta(hours=9), "yesterday"),  # the same day
        (REAL - timedelta(hours=11), "2026-11-27"),
        (REAL - timedelta(days=7), "2026-11-21"),
        (REAL + timedelta(days=2), "yesterday"),  # a day that has not begun would be refused
    ],
)
def test_a_jobs_yesterday_is_the_simulated_one(simulated: datetime, expected: str) -> None:
    arguments = ["--from", "yesterday", "--to", "yesterday", "--feed", "vlille_ods"]
    resolved = ["--from", expected, "--to", expected, "--feed", "vlille_ods"]
    assert resolve_yesterday(arguments, simulated, REAL) == resolved
