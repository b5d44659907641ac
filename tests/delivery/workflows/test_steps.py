"""Run every line of shell of the workflows: the jobs' steps, in a copy of the checkout.

The tests depend on their order: each continues with the plan that the previous one made.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.data_plane.emulators import Emulators
from tests.delivery.conftest import (
    MERGE,
    SHA,
    Repository,
    event,
    make_fork_event,
    make_pull_request_event,
    planned,
    update,
)
from tests.delivery.workflows.documents import lines
from tests.delivery.workflows.sandbox import PROJECT, Sandbox
from tests.operate.conftest import Google, empty_project

pytestmark = pytest.mark.emulator

TABLE = "google_bigquery_table.warehouse_vlille_gbfs"
COLUMNS = [{"name": name, "type": "STRING", "mode": "NULLABLE"} for name in ("collected_at", "nom")]
DROPS = planned(
    {
        **update(TABLE, {"schema": json.dumps(COLUMNS)}, {"schema": json.dumps(COLUMNS[:1])}),
        "name": "warehouse_vlille_gbfs",
    },
    complete=True,
    errored=False,
)


@pytest.fixture(scope="module")
def google(emulators: Emulators) -> Iterator[Google]:
    """A project with its state bucket, and nothing deployed."""
    google = Google(PROJECT, emulators.gcs_url)
    google.responses |= empty_project(PROJECT, "europe-west1")
    body = {"name": f"{PROJECT}-tfstate", "location": "EUROPE-WEST1"}
    requests.post(f"{google.url}/storage/v1/b", json=body, timeout=30).raise_for_status()
    yield google
    google.close()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, google: Google) -> Sandbox:
    """The copy, synthesized once: no test changes what its synthesis depends on."""
    sandbox = Sandbox.make(tmp_path_factory.mktemp("sandbox"), google.variables)
    done = sandbox.step("make synth", VLILLE_ENV="dev")
    assert done.returncode == 0, done.stderr
    outdir = sandbox.checkout / "cdktf.out"
    shutil.copytree(outdir / "stacks", outdir / "environments" / "dev" / "stacks")
    (sandbox.checkout / "stacks.py").write_text("")
    return sandbox


@pytest.fixture
def job(variables: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The variables of a job of a pull request."""
    return event(variables, tmp_path, "pull_request", make_pull_request_event(), SHA)


@pytest.mark.parametrize("name", ["CI_PROVIDER", "CI_ACCOUNT"])
def test_authentication_without_its_variables_is_reported(sandbox: Sandbox, name: str) -> None:
    given = {"CI_PROVIDER": "projects/1/…", "CI_ACCOUNT": "vlille-ci-reader@…"}
    assert sandbox.step("make signin", **given).returncode == 0
    done = sandbox.step("make signin", **given | {name: ""})
    assert done.returncode != 0
    assert done.stderr.startswith("this repository has no variables for ci_")
    assert "run `make bootstrap ENV=dev` with [ci] in environments/dev.toml" in done.stderr


def test_a_pull_request_is_planned_published_merged_and_applied(
    sandbox: Sandbox, repository: Repository, job: dict[str, str], variables: dict[str, str], tmp_path: Path
) -> None:
    """A change that drops a column: planned, acknowledged by a label, merged, and applied as reviewed."""
    repository.pull()
    sandbox.plan(DROPS)
    assert sandbox.step("make setup").returncode == 0
    done = sandbox.step("make plan")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in sandbox.calls] == ["init", "plan", "show"]
    done = sandbox.step("make publish", **job)
    assert done.returncode == 0, done.stderr
    (comment,) = repository.comments.values()
    assert "data loss" in comment["body"]
    assert "`nom`" in comment["body"]
    assert repository.statuses[-1]["description"] == "data loss: set the label acknowledged-data-loss"
    repository.label("acknowledged-data-loss", 5)
    assert sandbox.step("make publish", **job).returncode == 0
    assert repository.statuses[-1]["state"] == "success"
    assert len(repository.comments) == 1

    repository.pull(merged=True, labels=repository.pulls[7]["labels"])
    main = event(variables, tmp_path, "push", {"after": MERGE})
    done = sandbox.step("make approve", **main)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("that was reviewed in #7\n")
    assert Path(variables["GITHUB_OUTPUT"]).read_text() == "changes=true\n"
    done = sandbox.step("make apply")
    assert done.returncode == 0, done.stderr
    kept = sandbox.checkout / "cdktf.out" / "plans" / "dev" / "plan"
    assert sandbox.calls[-1] == f"terraform apply -input=false -no-color {kept}"
    # An applied plan cannot be applied again.
    done = sandbox.step("make apply")
    assert done.returncode != 0
    assert done.stderr.startswith("there is no plan of vlille-dev: run `make plan ENV=dev` first\n")


def test_an_unreviewed_plan_is_refused(
    sandbox: Sandbox, repository: Repository, variables: dict[str, str], tmp_path: Path
) -> None:
    repository.pull(merged=True)
    main = event(variables, tmp_path, "push", {"after": MERGE})
    done = sandbox.step("make approve", **main)
    assert done.returncode != 0
    assert done.stderr.startswith("in #7 no plan was reviewed for dev: read the review of this run; if it is")
    digest = done.stderr.split("the digest ")[1].split()[0]
    assert sandbox.step("make approve", **main, REVIEWED=digest).returncode == 0
    # User input is never run as a command, and make does not expand it.
    for typed in ("$(touch $SITE/made)", "$(shell touch $(SITE)/made)"):
        assert sandbox.step("make approve", **main, REVIEWED=typed).returncode != 0
    assert not list(sandbox.folder.rglob("made"))


def test_a_drift_check_reports_what_differs(
    sandbox: Sandbox, repository: Repository, variables: dict[str, str], tmp_path: Path
) -> None:
    night = event(variables, tmp_path, "schedule", {})
    for state in ("open", "closed"):
        done = sandbox.step("make drift", **night)
        assert done.returncode == 0, done.stderr
        assert [each["state"] for each in repository.issues.values()] == [state]
        if state == "open":
            sandbox.plan(planned(planned_values={}))
            assert sandbox.step("make plan").returncode == 0


def test_a_plan_that_errored_fails_its_job_and_is_published_as_such(
    sandbox: Sandbox, repository: Repository, job: dict[str, str]
) -> None:
    repository.pull()
    sandbox.plan({**DROPS, "errored": True})
    done = sandbox.step("make plan")
    assert done.returncode != 0
    assert sandbox.step("make publish", **job).returncode == 0
    assert repository.statuses[-1]["state"] == "error"
    assert repository.statuses[-1]["description"].startswith("the plan must not be applied: planning failed")


def test_a_plan_that_never_began_deletes_an_earlier_one(
    sandbox: Sandbox, repository: Repository, job: dict[str, str]
) -> None:
    repository.pull()
    sandbox.plan(DROPS)
    assert sandbox.step("make plan").returncode == 0
    settings = sandbox.checkout / "environments" / "dev.toml"
    text = settings.read_text()
    settings.write_text(text.replace("[schedule]", "[schedules]"))
    assert sandbox.step("make plan").returncode != 0
    settings.write_text(text)
    assert sandbox.step("make publish", **job).returncode == 0
    assert repository.statuses[-1]["description"] == "there is no plan, because a previous step failed"
    assert sandbox.step("make apply").returncode != 0


def test_a_forks_stacks_are_compared_with_mains(
    sandbox: Sandbox, repository: Repository, variables: dict[str, str], tmp_path: Path
) -> None:
    repository.pull(fork=True)
    left = tmp_path / "stacks of a fork"
    shutil.copytree(sandbox.checkout / "cdktf.out" / "stacks" / "vlille-dev", left / "vlille-dev")
    file = left / "vlille-dev" / "cdk.tf.json"
    stack = json.loads(file.read_text())
    kind, name = TABLE.split(".")
    table = stack["resource"][kind][name]
    table["schema"] = json.dumps(json.loads(table["schema"])[:-1])
    file.write_text(json.dumps(stack))
    done = sandbox.step("make compare", AFTER=str(left))
    assert done.returncode == 0, done.stderr
    fork = event(variables, tmp_path, "workflow_run", make_fork_event())
    done = sandbox.step("make publish", **fork)
    assert done.returncode == 0, done.stderr
    (comment,) = repository.comments.values()
    assert comment["body"].startswith("<!-- vlille-review:dev stacks=")
    assert repository.statuses[-1] | {"target_url": ""} == {
        "sha": SHA,
        "state": "failure",
        "context": "review/dev",
        "description": "data loss: set the label acknowledged-data-loss",
        "target_url": "",
    }
    # A fork's artifact may contain anything.
    file.write_text('{"resource": <script>')
    assert sandbox.step("make compare", AFTER=str(left)).returncode != 0
    assert sandbox.step("make publish", **fork).returncode == 0
    assert repository.statuses[-1]["state"] == "error"
    assert "<script>" not in next(iter(repository.comments.values()))["body"]


def test_a_destroy_requires_the_name(sandbox: Sandbox) -> None:
    assert sandbox.step("make confirm", NAME="dev").returncode == 0
    for typed in ("", "$(touch $SITE/made)"):
        done = sandbox.step("make confirm", NAME=typed)
        assert done.returncode != 0
        assert "expected 'dev': nothing was changed" in done.stderr
    assert not list(sandbox.folder.rglob("made"))
    done = sandbox.step("make destroy YES=1")
    assert done.returncode == 0, done.stderr
    assert (
        sandbox.calls[-1]
        == "cdktf destroy vlille-dev --auto-approve --output cdktf.out/environments/dev --skip-synth"
    )


def test_the_environments_are_listed(sandbox: Sandbox, tmp_path: Path) -> None:
    output = tmp_path / "output"
    line = "python -m commands.environments"
    done = sandbox.step(line, GITHUB_OUTPUT=str(output), ENV="prod")
    assert (done.returncode, done.stderr) == (0, "")
    assert output.read_text() == 'all=[{"name": "prod", "prefix": "PROD"}]\n'


def test_every_line_of_the_workflows_was_run(sandbox: Sandbox) -> None:
    """All but three: `make test` runs this test, `make audit` and `make docs` need a public service.

    This is the last test of the file, whose tests run in order.
    """
    assert lines() - sandbox.done == {"make test", "make audit", "make docs"}
