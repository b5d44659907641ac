import json
from pathlib import Path
from typing import Any

import pytest

from local.access import Access
from local.clock import SimulatedClock
from local.errors import LocalError
from local.frontend import FrontEnd
from local.machine import Machine
from local.services.dataproc import MACHINES, Dataproc, last_object, substituted, workflow_template
from local.stack import Resource
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


def test_parameters_are_put_into_their_fields() -> None:
    (job,) = substituted(template(), {"FROM": "2023-10-26", "TO": "yesterday"})
    assert job["pysparkJob"]["args"] == ["--from", "2023-10-26", "--to", "yesterday"]


def test_the_template_itself_stays_as_it_is() -> None:
    declared = template()
    substituted(declared, {"FROM": "a", "TO": "b"})
    assert declared == template()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "takes the parameters FROM, TO; missing: FROM, TO"),
        ({"FROM": "a"}, "missing: TO"),
        ({"FROM": "a", "TO": "b", "DAY": "c"}, "unknown: DAY"),
        ({"FROM": 1, "TO": "b"}, "parameter FROM must be a text, found 1"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters: dict[str, Any], expected: str) -> None:
    with pytest.raises(LocalError, match=expected):
        substituted(template(), parameters)


@pytest.mark.parametrize(
    ("validation", "value", "expected"),
    [
        ({"regex": {"regexes": [r"yesterday|\d{4}-\d\d-\d\d"]}}, "today", "must match"),
        ({"values": {"values": ["a", "b"]}}, "c", "must be one of a, b, found 'c'"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(
    validation: dict[str, Any], value: str, expected: str
) -> None:
    parameter = {"name": "FROM", "fields": [], "validation": validation}
    with pytest.raises(LocalError, match=expected):
        substituted(template(parameters=[parameter]), {"FROM": value})


@pytest.mark.parametrize(
    "field", ["jobs['other'].pysparkJob.args[0]", "jobs['rebuild'].pysparkJob.args[9]", "jobs[", "nothing"]
)
def test_a_field_that_leads_nowhere_is_an_error(field: str) -> None:
    with pytest.raises(LocalError, match="parameter field"):
        substituted(template(parameters=[{"name": "X", "fields": [field]}]), {"X": "1"})


def test_jobs_come_after_their_prerequisites() -> None:
    jobs = [{"stepId": "b", "prerequisiteStepIds": ["a"]}, {"stepId": "a"}]
    assert [job["stepId"] for job in substituted({"name": NAME, "jobs": jobs}, {})] == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a", '{"n": 1}', "[1]", "3"], {"n": 1}),
        (['{"n": 1}', '{"n": 2}', ""], {"n": 2}),
        (["nothing"], None),
    ],
)
def test_the_last_json_object_is_the_summary(lines: list[str], expected: dict[str, int] | None) -> None:
    assert last_object(lines) == expected


def declare(machine: Machine) -> None:
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
    workflow_template(Resource(f"{kind}.x", kind, "x", {}), arguments, machine)


def test_a_template_is_kept_as_the_api_has_it(machine: Machine) -> None:
    machine.clock = SimulatedClock(machine.clock.now())
    declare(machine)
    (kept,) = machine.service(Dataproc).templates.list()
    assert kept["name"] == f"projects/{machine.project}/regions/europe-west1/workflowTemplates/rebuild-days"
    assert kept["serviceAccount"] == "b@p.iam"
    (job,) = kept["jobs"]
    assert job["stepId"] == "rebuild"
    assert job["pysparkJob"]["properties"] == {"spark.sql.x_y": "1"}
    assert any("there is no cluster" in sentence for sentence in machine.not_honoured)


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("rebuild-days:instantiate", b"{}", 400, "missing: FROM"),
        ("rebuild-days:instantiate", b"no json", 400, "INVALID_ARGUMENT"),
        ("rebuild-weeks:instantiate", b"{}", 404, "Not found: Workflow Template"),
        ("rebuild-days:delete", b"{}", 404, "not answered here"),
    ],
)
def test_the_api_refuses_as_google_does(
    machine: Machine, path: str, body: bytes, status: int, reason: str
) -> None:
    machine.clock = SimulatedClock(machine.clock.now())
    declare(machine)
    base = f"https://dataproc.googleapis.com/v1/projects/{machine.project}/regions/europe-west1"
    owner = bearer(machine.service(Access).owner)
    answer = machine.service(FrontEnd).call("POST", f"{base}/workflowTemplates/{path}", owner, body, 5)
    assert answer.status == status
    assert reason in json.dumps(json.loads(answer.body))


STARTS = ("projects/{project}", "dataproc.workflowTemplates.instantiate")
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
def test_who_starts_a_cluster_also_acts_as_its_machines(
    machine: Machine, granted: list[tuple[str, str]], missing: str | None
) -> None:
    machine.clock = clock = SimulatedClock(machine.clock.now())
    declare(machine)
    starter = account(machine, "starter")
    for resource, permission in granted:
        allow(machine, starter, resource.format(project=machine.project), permission)
    url = f"https://{machine.region}-dataproc.googleapis.com/v1/{machine.service(Dataproc).templates.names()[0]}:instantiate"
    body = b'{"parameters": {"FROM": "yesterday"}}'
    answer = machine.service(FrontEnd).call("POST", url, bearer(starter), body, 5)
    assert (answer.status, len(machine.service(Dataproc).workflows)) == ((403, 0) if missing else (200, 1))
    if missing:
        error = json.loads(answer.body)["error"]
        assert error["message"].startswith(missing)
        assert error["details"][0]["metadata"]["principal"] == starter
    clock.close()


@pytest.mark.parametrize(
    ("project", "bucket", "expected"),
    [
        (
            (),
            (),
            "Service Account 'b@p.iam' is missing required permissions: 403: b@p.iam lacks dataproc.agents.create",
        ),
        (MACHINES, (), "403: b@p.iam lacks storage.buckets.get on projects/_/buckets/s"),
        (
            MACHINES,
            ("storage.buckets.get",),
            "403: b@p.iam lacks storage.objects.create on projects/_/buckets/s/objects/",
        ),
        (
            MACHINES,
            ("storage.buckets.get", "storage.objects.create"),
            "Permission 'storage.objects.get' denied on resource",
        ),
    ],
)
def test_machines_need_their_roles_before_there_is_a_cluster(
    machine: Machine, project: tuple[str, ...], bucket: tuple[str, ...], expected: str
) -> None:
    machine.clock = clock = SimulatedClock(machine.clock.now())
    declare(machine)
    allow(machine, "b@p.iam", f"projects/{machine.project}", *project)
    allow(machine, "b@p.iam", "b/s", *bucket)
    dataproc = machine.service(Dataproc)
    workflow = dataproc.instantiate(dataproc.templates.names()[0], {"FROM": "yesterday"})
    clock.run(workflow.ended.is_set)
    assert (workflow.state, expected in workflow.error) == ("FAILED", True), workflow.error
    clock.close()


def test_a_run_that_fails_says_why(machine: Machine, tmp_path: Path) -> None:
    machine.clock = clock = SimulatedClock(machine.clock.now())
    declare(machine)
    storage = ("storage.buckets.get", "storage.objects.create", "storage.objects.get")
    allow(machine, "b@p.iam", f"projects/{machine.project}", *MACHINES, *storage)
    dataproc = machine.service(Dataproc)
    workflow = dataproc.instantiate(dataproc.templates.names()[0], {"FROM": "yesterday"})
    clock.run(workflow.ended.is_set)
    assert workflow.state == "FAILED"
    assert "gs://b/main.py cannot be read from the storage emulator" in workflow.error
    clock.close()
