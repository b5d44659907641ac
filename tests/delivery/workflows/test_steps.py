"""Every line of shell that the workflows run, run: the jobs' steps in a copy of the checkout.

These tests are one life in their order: each goes on with the plan that the last one left.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.data_plane.emulators import Emulators
from tests.delivery.conftest import MERGE, SHA, Repository, event, of_fork, opened, planned, update
from tests.delivery.workflows.checkout import PROJECT, Site
from tests.delivery.workflows.documents import lines
from tests.operate.conftest import Google, empty_project

pytestmark = pytest.mark.emulator

TABLE = "google_bigquery_table.warehouse_vlille_ogc"
COLUMNS = [{"name": name, "type": "STRING", "mode": "NULLABLE"} for name in ("collected_at", "nom")]
DROPS = planned(
    {
        **update(TABLE, {"schema": json.dumps(COLUMNS)}, {"schema": json.dumps(COLUMNS[:1])}),
        "name": "warehouse_vlille_ogc",
    },
    complete=True,
    errored=False,
)


@pytest.fixture(scope="module")
def google(emulators: Emulators) -> Iterator[Google]:
    """A project with its state bucket, and nothing deployed."""
    one = Google(PROJECT, emulators.gcs_url)
    one.answers |= empty_project(PROJECT, "europe-west1")
    body = {"name": f"{PROJECT}-tfstate", "location": "EUROPE-WEST1"}
    requests.post(f"{one.url}/storage/v1/b", json=body, timeout=30).raise_for_status()
    yield one
    one.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, google: Google) -> Site:
    """The copy, synthesized once: nothing here changes what it would be synthesized to."""
    one = Site.make(tmp_path_factory.mktemp("site"), google.variables)
    done = one.step("make synth", VLILLE_ENV="dev")
    assert done.returncode == 0, done.stderr
    outdir = one.checkout / "cdktf.out"
    shutil.copytree(outdir / "stacks", outdir / "environments" / "dev" / "stacks")
    (one.checkout / "stacks.py").write_text("")
    return one


@pytest.fixture
def job(variables: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The variables of a job of a pull request."""
    return event(variables, tmp_path, "pull_request", opened(), SHA)


@pytest.mark.parametrize("name", ["CI_PROVIDER", "CI_ACCOUNT"])
def test_authentication_without_its_variables_is_reported(site: Site, name: str) -> None:
    given = {"CI_PROVIDER": "projects/1/…", "CI_ACCOUNT": "vlille-ci-reader@…"}
    assert site.step("make signin", **given).returncode == 0
    done = site.step("make signin", **given | {name: ""})
    assert done.returncode != 0
    assert done.stderr.startswith("this repository does not know ci_")
    assert "run `make bootstrap ENV=dev` with [ci] in environments/dev.toml" in done.stderr


def test_a_pull_request_is_planned_published_merged_and_applied(
    site: Site, repository: Repository, job: dict[str, str], variables: dict[str, str], tmp_path: Path
) -> None:
    """One change on its way: it drops a column, waits for its label, and is applied as it was reviewed."""
    repository.pull()
    site.plan(DROPS)
    assert site.step("make setup").returncode == 0
    done = site.step("make plan")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in site.asked] == ["init", "plan", "show"]
    done = site.step("make publish", **job)
    assert done.returncode == 0, done.stderr
    (comment,) = repository.comments.values()
    assert "data loss" in comment["body"]
    assert "`nom`" in comment["body"]
    assert repository.statuses[-1]["description"] == "data loss: set the label acknowledged-data-loss"
    repository.label("acknowledged-data-loss", 5)
    assert site.step("make publish", **job).returncode == 0
    assert repository.statuses[-1]["state"] == "success"
    assert len(repository.comments) == 1

    repository.pull(merged=True, labels=repository.pulls[7]["labels"])
    main = event(variables, tmp_path, "push", {"after": MERGE})
    done = site.step("make approve", **main)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("that was reviewed in #7\n")
    assert Path(variables["GITHUB_OUTPUT"]).read_text() == "changes=true\n"
    done = site.step("make apply")
    assert done.returncode == 0, done.stderr
    kept = site.checkout / "cdktf.out" / "plans" / "dev" / "plan"
    assert site.asked[-1] == f"terraform apply -input=false -no-color {kept}"
    # What was applied cannot be applied again.
    done = site.step("make apply")
    assert done.returncode != 0
    assert done.stderr.startswith("there is no plan of vlille-dev: run `make plan ENV=dev` first\n")


def test_an_unreviewed_plan_is_refused(
    site: Site, repository: Repository, variables: dict[str, str], tmp_path: Path
) -> None:
    repository.pull(merged=True)
    main = event(variables, tmp_path, "push", {"after": MERGE})
    done = site.step("make approve", **main)
    assert done.returncode != 0
    assert done.stderr.startswith("in #7 no plan was reviewed for dev: read the review of this run; if it is")
    digest = done.stderr.split("the digest ")[1].split()[0]
    assert site.step("make approve", **main, REVIEWED=digest).returncode == 0
    # What a person types is never a command, nor anything that make would expand.
    for typed in ("$(touch $SITE/made)", "$(shell touch $(SITE)/made)"):
        assert site.step("make approve", **main, REVIEWED=typed).returncode != 0
    assert not list(site.folder.rglob("made"))


def test_a_drift_check_reports_what_differs(
    site: Site, repository: Repository, variables: dict[str, str], tmp_path: Path
) -> None:
    night = event(variables, tmp_path, "schedule", {})
    for state in ("open", "closed"):
        done = site.step("make drift", **night)
        assert done.returncode == 0, done.stderr
        assert [each["state"] for each in repository.issues.values()] == [state]
        if state == "open":
            site.plan(planned(planned_values={}))
            assert site.step("make plan").returncode == 0


def test_a_plan_that_errored_fails_its_job_and_is_published_as_such(
    site: Site, repository: Repository, job: dict[str, str]
) -> None:
    repository.pull()
    site.plan({**DROPS, "errored": True})
    done = site.step("make plan")
    assert done.returncode != 0
    assert site.step("make publish", **job).returncode == 0
    assert repository.statuses[-1]["state"] == "error"
    assert repository.statuses[-1]["description"].startswith("the plan must not be applied: planning failed")


def test_a_plan_that_never_began_deletes_an_earlier_one(
    site: Site, repository: Repository, job: dict[str, str]
) -> None:
    repository.pull()
    site.plan(DROPS)
    assert site.step("make plan").returncode == 0
    settings = site.checkout / "environments" / "dev.toml"
    text = settings.read_text()
    settings.write_text(text.replace("[schedule]", "[schedules]"))
    assert site.step("make plan").returncode != 0
    settings.write_text(text)
    assert site.step("make publish", **job).returncode == 0
    assert repository.statuses[-1]["description"] == "there is no plan, as a step before this one failed"
    assert site.step("make apply").returncode != 0


def test_a_forks_stacks_are_compared_with_mains(
    site: Site, repository: Repository, variables: dict[str, str], tmp_path: Path
) -> None:
    repository.pull(fork=True)
    left = tmp_path / "stacks of a fork"
    shutil.copytree(site.checkout / "cdktf.out" / "stacks" / "vlille-dev", left / "vlille-dev")
    file = left / "vlille-dev" / "cdk.tf.json"
    stack = json.loads(file.read_text())
    kind, name = TABLE.split(".")
    table = stack["resource"][kind][name]
    table["schema"] = json.dumps(json.loads(table["schema"])[:-1])
    file.write_text(json.dumps(stack))
    done = site.step("make compare", AFTER=str(left))
    assert done.returncode == 0, done.stderr
    fork = event(variables, tmp_path, "workflow_run", of_fork())
    done = site.step("make publish", **fork)
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
    # A fork may leave anything at all.
    file.write_text('{"resource": <script>')
    assert site.step("make compare", AFTER=str(left)).returncode != 0
    assert site.step("make publish", **fork).returncode == 0
    assert repository.statuses[-1]["state"] == "error"
    assert "<script>" not in next(iter(repository.comments.values()))["body"]


def test_a_destroy_requires_the_name(site: Site) -> None:
    assert site.step("make confirm", NAME="dev").returncode == 0
    for typed in ("", "$(touch $SITE/made)"):
        done = site.step("make confirm", NAME=typed)
        assert done.returncode != 0
        assert "expected 'dev': nothing was touched" in done.stderr
    assert not list(site.folder.rglob("made"))
    done = site.step("make destroy YES=1")
    assert done.returncode == 0, done.stderr
    assert (
        site.asked[-1]
        == "cdktf destroy vlille-dev --auto-approve --output cdktf.out/environments/dev --skip-synth"
    )


def test_the_environments_are_listed(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "output"
    line = "python -m commands.environments"
    done = site.step(line, GITHUB_OUTPUT=str(output), ENV="prod")
    assert (done.returncode, done.stderr) == (0, "")
    assert output.read_text() == 'all=[{"name": "prod", "prefix": "PROD"}]\n'


def test_every_line_of_the_workflows_was_run(site: Site) -> None:
    """But for the line that runs this test itself, and those that need a public service: the audit asks a database of
    vulnerabilities, the site's generator is installed from a registry. The last of this file, whose tests run in order.
    """
    assert lines() - site.done == {"make test", "make audit", "make docs"}
