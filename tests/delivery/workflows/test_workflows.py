"""Rules for all workflows: pinned actions, time limits, and no permissions that a job does not need."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.workflows.documents import GITHUB, ROOT, documents, jobs, lines, run_check, steps

pytestmark = pytest.mark.local

PINNED = re.compile(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
LISTED = "${{ fromJSON(needs.environments.outputs.all) }}"
# The permissions of each job besides reading the code. Add a new permission to this list too.
PERMISSIONS = {
    "checks/test": {},
    "audit/audit": {},
    "checks/opentofu": {},
    "checks/documentation": {},
    "deploy/environments": {},
    "deploy/deploy": {"id-token": "write", "pull-requests": "read"},
    "deploy-environment/plan": {"id-token": "write", "pull-requests": "read"},
    "deploy-environment/apply": {"id-token": "write", "pull-requests": "read"},
    "destroy/environments": {},
    "destroy/destroy": {"id-token": "write"},
    "drift/environments": {},
    "drift/drift": {"id-token": "write", "pull-requests": "read", "issues": "write"},
    "environments/list": {},
    "fork/environments": {},
    "fork/review": {"actions": "read", "pull-requests": "write", "statuses": "write"},
    "review/environments": {},
    "review/plan": {"id-token": "write", "pull-requests": "write", "statuses": "write"},
    "review/stacks": {},
}
SNAPSHOT = ROOT / "tests" / "cdk" / "snapshots" / "vlille-ci-bootstrap.json"
FORKS = "github.event.pull_request.head.repo.full_name {} github.repository"


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("vendor.github-workflows", "workflows/*.yml"),
        ("vendor.github-actions", "actions/*/action.yml"),
        ("vendor.dependabot", "dependabot.yml"),
    ],
)
def test_each_file_matches_githubs_schema(schema: str, pattern: str, tmp_path: Path) -> None:
    files = sorted(GITHUB.glob(pattern))
    assert files
    done = run_check("check-jsonschema", "--builtin-schema", schema, *files)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "broken.yml"
    broken.write_text(
        files[0]
        .read_text()
        .replace("runs-on:", "run-on:")
        .replace("using:", "use:")
        .replace("updates:", "update:")
    )
    assert run_check("check-jsonschema", "--builtin-schema", schema, broken).returncode == 1


def test_zizmor_finds_nothing(tmp_path: Path) -> None:
    done = run_check("zizmor", "--offline", "--no-progress", "--strict-collection", GITHUB)
    assert done.returncode == 0, done.stdout
    # One trigger is dangerous in general; fork.yml explains why it is safe in this workflow.
    ignored = [file.name for file in sorted(GITHUB.rglob("*.yml")) if "zizmor: ignore[" in file.read_text()]
    assert ignored == ["fork.yml"]
    shutil.copytree(GITHUB, tmp_path / ".github")
    review = tmp_path / ".github" / "workflows" / "review.yml"
    review.write_text(review.read_text().replace("run: make synth", "run: echo ${{ github.head_ref }}"))
    fork = tmp_path / ".github" / "workflows" / "fork.yml"
    fork.write_text(fork.read_text().replace("# zizmor: ignore[dangerous-triggers]", "#"))
    done = run_check("zizmor", "--offline", "--no-progress", "--format", "json", tmp_path / ".github")
    assert done.returncode != 0
    assert set(re.findall(r'"ident": "([\w-]+)"', done.stdout)) == {
        "dangerous-triggers",
        "template-injection",
    }


def test_every_action_is_pinned_to_a_commit_with_its_version() -> None:
    used = {
        line.strip().removeprefix("- ")
        for file in sorted(GITHUB.rglob("*.yml"))
        for line in file.read_text().splitlines()
        if re.match(r"\s*-?\s*uses:", line)
    }
    ours, others = ({each for each in used if each.startswith("uses: $/") is own} for own in (True, False))
    assert ours == {
        "uses: $/.github/actions/setup",
        "uses: $/.github/workflows/deploy-environment.yml",
        "uses: $/.github/workflows/environments.yml",
    }
    assert [each for each in others if not PINNED.fullmatch(each)] == []
    # Every use of an action has the same version, so that all of them are updated together.
    names = [each.partition("@")[0] for each in others]
    assert sorted(names) == sorted(set(names))


def test_no_job_has_unlisted_permissions() -> None:
    for name, document in documents().items():
        if "jobs" in document:
            assert document["permissions"] == {}, name
    assert {name: job["permissions"] for name, job in jobs()} == {
        name: {"contents": "read", **rights} for name, rights in PERMISSIONS.items()
    }


def test_every_job_has_a_timeout_and_no_two_run_in_one_environment() -> None:
    for name, job in jobs():
        if "uses" in job:
            continue
        assert 0 < job["timeout-minutes"] <= 60, name
        assert name in ("deploy-environment/plan", "environments/list") or job["concurrency"]["group"], name
    changing = {
        name: job["concurrency"] for name, job in jobs() if {"make apply", "make destroy YES=1"} & _lines(job)
    }
    same = {"group": "environment-${{ inputs.environment }}", "cancel-in-progress": False}
    assert changing == {"deploy-environment/apply": same, "destroy/destroy": same}
    # Each job uses the GitHub environment, which requires the approval.
    for name, job in jobs():
        assert ("environment" in job) is (name in changing), name


def _lines(job: dict[str, Any]) -> set[str]:
    return {step["run"] for step in job.get("steps", []) if "run" in step}


def test_every_step_is_a_make_target_without_expressions() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    # One command runs before `make` can create .venv.
    for line in lines() - {"python -m commands.environments"}:
        match = re.fullmatch(r"make ([a-z]+)((?: [A-Z]+=\w+)*)", line)
        assert match, line
        assert match[1] in targets, line
    assert not [job for job, step in steps() if "${{" in step.get("run", "")]
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_environments_are_listed_in_one_place() -> None:
    found = dict(jobs())
    for name in ("review/plan", "drift/drift", "fork/review", "deploy/deploy"):
        assert found[name]["needs"] == "environments"
        assert found[name]["strategy"]["matrix"] == {"environment": LISTED}
    for name in ("review/plan", "drift/drift", "fork/review"):
        assert found[name]["env"]["ENV"] == "${{ matrix.environment.name }}"
    given = found["deploy/deploy"]["with"]
    assert given["environment"] == "${{ matrix.environment.name }}"
    for key in ("provider", "reader", "deployer"):
        variable = f"format('{{0}}_CI_{key.upper()}', matrix.environment.prefix)"
        assert given[key] == f"${{{{ vars[{variable}] }}}}"
    # Environments are deployed in the order of the list, one at a time, and none after a failed one.
    strategy = found["deploy/deploy"]["strategy"]
    assert (strategy["fail-fast"], strategy["max-parallel"]) == (True, 1)
    for name in ("deploy", "destroy"):
        inputs = documents()[f"workflows/{name}.yml"]["on"]["workflow_dispatch"]["inputs"]
        assert inputs["environment"]["type"] == "environment"
        assert found[f"{name}/environments"]["with"] == {"only": "${{ inputs.environment }}"}
    # No file names an environment.
    files = "".join(file.read_text() for file in sorted(GITHUB.rglob("*.yml")))
    assert re.findall(r"\b(?:dev|prod|DEV|PROD)\b", re.sub(r"#.*", "", files)) == []


def list_accepted_events() -> set[str]:
    """Return the events whose tokens the workload identity pool accepts."""
    (listed,) = re.findall(r"assertion\.event_name in \[([^]]+)\]", SNAPSHOT.read_text())
    return set(re.findall(r"'(\w+)'", listed))


def test_a_forks_code_has_no_credentials_and_no_permissions() -> None:
    text = "".join(file.read_text() for file in sorted(GITHUB.rglob("*.yml")))
    assert "secrets." not in text
    events = {event for each in documents().values() for event in each.get("on", {})}
    # pull_request_target is not among them.
    assert events == {*list_accepted_events(), "workflow_call", "workflow_run"}
    found = dict(jobs())
    assert found["review/plan"]["if"] == FORKS.format("==")
    assert found["review/stacks"]["if"] == FORKS.format("!=")
    assert found["review/stacks"]["permissions"] == {"contents": "read"}
    assert not any("env" in step for step in found["review/stacks"]["steps"])
    # The workflow that runs after a fork's run uses main's code, gives the token only to it, and does not authenticate.
    assert "workflow_run" not in list_accepted_events()
    fork = found["fork/review"]["steps"]
    (checkout,) = [step for step in fork if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"] == {
        "ref": "${{ github.event.repository.default_branch }}",
        "persist-credentials": False,
    }
    assert [step.get("run") for step in fork if "GITHUB_TOKEN" in step.get("env", {})] == ["make publish"]
    assert not any("google" in step.get("uses", "") for step in fork)


def test_no_checkout_persists_a_token() -> None:
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len([job for _, job in jobs() if "steps" in job])
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_only_steps_that_call_github_get_the_token() -> None:
    given = {step["run"] for _, step in steps() if "GITHUB_TOKEN" in step.get("env", {})}
    assert given == {"make publish", "make approve", "make drift"}


def test_jobs_authenticate_as_the_reader_unless_they_change_something() -> None:
    accounts = {
        name: [
            step["with"]["service_account"]
            for step in job["steps"]
            if "google-github-actions/auth" in step.get("uses", "")
        ]
        for name, job in jobs()
        if "steps" in job
    }
    assert {name: found for name, found in accounts.items() if found} == {
        "deploy-environment/plan": ["${{ inputs.reader }}"],
        "deploy-environment/apply": ["${{ inputs.deployer }}"],
        **{name: ["${{ env.CI_ACCOUNT }}"] for name in ("destroy/destroy", "drift/drift", "review/plan")},
    }
    found = dict(jobs())
    signed_in = {
        name: job["env"]["CI_ACCOUNT"] for name, job in found.items() if "CI_ACCOUNT" in job.get("env", {})
    }
    reader = "${{ vars[format('{0}_CI_READER', matrix.environment.prefix)] }}"
    deployer = "${{ vars[format('{0}_CI_DEPLOYER', fromJSON(needs.environments.outputs.all)[0].prefix)] }}"
    assert signed_in == {"destroy/destroy": deployer, "drift/drift": reader, "review/plan": reader}
    for name, job in found.items():
        assert ("id-token" in job["permissions"]) is (bool(accounts.get(name)) or name == "deploy/deploy"), (
            name
        )
