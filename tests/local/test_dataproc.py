import json
from pathlib import Path
from typing import Any

import pytest

from local.clock import SimulatedClock
from local.errors import LocalError
from local.frontend import FrontEnd
from local.machine import Machine
from local.services.dataproc import Dataproc, last_object, substituted, workflow_template
from local.stack import Resource

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
                "config": {"gce_cluster_config": {"service_account": "b@p.iam"}},
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
    answer = machine.service(FrontEnd).call("POST", f"{base}/workflowTemplates/{path}", {}, body, 5)
    assert answer.status == status
    assert reason in json.dumps(json.loads(answer.body))


def test_a_run_that_fails_says_why(machine: Machine, tmp_path: Path) -> None:
    machine.clock = clock = SimulatedClock(machine.clock.now())
    declare(machine)
    dataproc = machine.service(Dataproc)
    workflow = dataproc.instantiate(dataproc.templates.names()[0], {"FROM": "yesterday"})
    clock.run(workflow.ended.is_set)
    assert workflow.state == "FAILED"
    assert "gs://b/main.py cannot be read from the storage emulator" in workflow.error
    clock.close()
