"""The review in its pull request: the comment's text and the commit status."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from delivery.__main__ import main
from delivery.github.marker import measure_length, render_marker
from delivery.plan.digest import compute_plan_digest
from tests.delivery.conftest import (
    ADA,
    BEGIN,
    MERGE,
    SHA,
    TOKEN,
    Fault,
    Repository,
    event,
    make_fork_event,
    make_pull_request_event,
    planned,
    update,
    write_review,
)

pytestmark = pytest.mark.unit

LOSS, ACCESS = "acknowledged-data-loss", "acknowledged-access-widened"
PLAN = planned(update("google_bigquery_table.t", {"schema": "a,b"}, {"schema": "a"}))
OTHER = planned(update("google_bigquery_table.t", {"schema": "a,b"}, {"schema": ""}))


class Step:
    """`make publish` on a pull request; each run may have another plan and other labels."""

    def __init__(self, repository: Repository, variables: dict[str, str], folder: Path) -> None:
        self.repository, self.variables, self.folder = repository, variables, folder

    def __call__(
        self, payload: dict[str, Any] | None = None, name: str = "pull_request", **review: Any
    ) -> int:
        plans = self.folder / "plans"
        write_review(plans / "dev", **{"plan": PLAN, **review})
        variables = event(self.variables, self.folder, name, payload or make_pull_request_event())
        return main(["publish", "--env", "dev", "--plans", str(plans)], variables)

    @property
    def body(self) -> str:
        (comment,) = self.repository.comments.values()
        return str(comment["body"])

    @property
    def status(self) -> tuple[str, str]:
        last = self.repository.statuses[-1]
        assert last["context"] == "review/dev"
        return last["state"], last["description"]


@pytest.fixture
def step(repository: Repository, variables: dict[str, str], tmp_path: Path) -> Step:
    repository.pull()
    return Step(repository, variables, tmp_path)


def test_a_review_without_severe_findings_passes(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    assert step() == 0
    digest = compute_plan_digest(json.dumps(PLAN).encode()).digest
    assert step.body == (
        f"<!-- vlille-review:dev plan={digest} shown=2026-11-25T12:00:00Z -->\n"
        "### `dev`: a headline\n\nand more\n\n"
        "<sub>aaaaaaaaaaaa, planned in [the run](https://github.com/bikes-lille/vlille/actions/runs/4711). This "
        "comment is updated in place.</sub>\n"
    )
    (status,) = step.repository.statuses
    (comment,) = step.repository.comments.values()
    assert status == {
        "sha": SHA,
        "state": "success",
        "context": "review/dev",
        "description": "nothing to acknowledge",
        "target_url": comment["html_url"],
    }
    assert capsys.readouterr().out == f"dev: success, nothing to acknowledge; {comment['html_url']}\n"
    assert "a headline" in Path(step.variables["GITHUB_STEP_SUMMARY"]).read_text()


def test_severe_findings_wait_for_their_label(step: Step) -> None:
    """A label acknowledges the plan, and stays valid however often the same plan is made again."""
    kinds = ["data loss", "access widened"]
    step(acknowledge=kinds)
    assert step.status == (
        "failure",
        "data loss and access widened: set the label acknowledged-data-loss and acknowledged-access-widened",
    )
    assert "⛔ **data loss** needs an acknowledgement: read the review above, then set the label" in step.body
    step.repository.label(LOSS, 5)
    step.repository.now += timedelta(minutes=6)
    step(acknowledge=kinds)
    assert step.status == ("failure", "access widened: set the label acknowledged-access-widened")
    assert "✅ **data loss**: acknowledged by `ada`, by the label `acknowledged-data-loss`." in step.body
    step.repository.label(ACCESS, 8)
    step.repository.now += timedelta(hours=3)
    step(acknowledge=kinds)
    assert step.status == ("success", "data loss and access widened: acknowledged")
    assert "shown=2026-11-25T12:00:00Z" in step.body


def test_a_label_does_not_count_for_the_next_plan(step: Step) -> None:
    step(acknowledge=["data loss"])
    step.repository.label(LOSS, 5)
    step.repository.now += timedelta(minutes=10)
    step(acknowledge=["data loss"], plan=OTHER)
    assert step.status == ("failure", "data loss: set again the label acknowledged-data-loss")
    assert "was set while another plan was shown" in step.body
    step.repository.label(LOSS, 11, off=True)
    step.repository.label(LOSS, 12)
    step(acknowledge=["data loss"], plan=OTHER)
    assert step.status == ("success", "data loss: acknowledged")


def test_a_label_set_before_the_plan_does_not_count(step: Step) -> None:
    step.repository.label(LOSS, -1)
    step(acknowledge=["data loss"])
    assert step.status[0] == "failure"


@pytest.mark.parametrize("user", [ADA, None])
def test_nobody_elses_marker_makes_a_label_count(step: Step, user: dict[str, str] | None) -> None:
    """A person's comment with a marker could claim that the plan was shown before the label was set."""
    digest = compute_plan_digest(json.dumps(PLAN).encode()).digest
    step.repository.comment(
        render_marker("review", "dev", plan=digest, shown="2026-01-01T00:00:00Z"), user=user or ADA
    )
    step.repository.label(LOSS, -1)
    step(acknowledge=["data loss"])
    assert step.status[0] == "failure"


def test_a_plan_that_must_not_be_applied_is_an_error(step: Step) -> None:
    step(refused="planning failed, so this is only a part of what would happen", acknowledge=["data loss"])
    assert step.status == (
        "error",
        "the plan must not be applied: planning failed, so this is only a part of what would happen",
    )


def test_without_a_plan_the_comment_says_so(step: Step) -> None:
    """The comment must not keep showing the plan of an older commit."""
    step()
    plans = step.folder / "plans"
    for file in (plans / "dev").iterdir():
        file.unlink()
    variables = event(step.variables, step.folder, "pull_request", make_pull_request_event())
    assert main(["publish", "--env", "dev", "--plans", str(plans)], variables) == 0
    assert step.status == ("error", "there is no plan, because a previous step failed")
    assert step.body.startswith("<!-- vlille-review:dev -->\n### `dev`: no review\n")
    assert "a headline" not in step.body


def test_no_changes_pass(step: Step) -> None:
    assert step(plan=planned(), empty=True) == 0
    assert step.status == ("success", "no changes")


@pytest.mark.parametrize("text", ["🛑" * 40_000, "### a headline\n" + "x" * 70_000, "x" * 65_400])
def test_a_comment_is_never_longer_than_github_takes(step: Step, text: str) -> None:
    """The fake rejects a body that is longer than GitHub accepts."""
    plans = step.folder / "plans"
    write_review(plans / "dev", plan=PLAN, acknowledge=["data loss"])
    (plans / "dev" / "review.md").write_text(text)
    variables = event(step.variables, step.folder, "pull_request", make_pull_request_event())
    assert main(["publish", "--env", "dev", "--plans", str(plans)], variables) == 0
    assert measure_length(step.body) <= 65_536
    assert "needs an acknowledgement" in step.body
    assert "is longer than a comment may be; [the run](" in step.body


def test_an_outdated_run_publishes_nothing(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    step.repository.pulls[7]["head"]["sha"] = "c" * 40
    assert step() == 0
    assert (step.repository.comments, step.repository.statuses) == ({}, [])
    assert capsys.readouterr().out.startswith("the pull request was closed, or pushed to again")
    step.repository.pulls[7]["state"] = "closed"
    assert step() == 0
    assert (step.repository.comments, step.repository.statuses) == ({}, [])


# --- forks: the workflow that runs after a fork's --------------------------------------------------------


def test_a_forks_stacks_are_reviewed_and_gated(step: Step) -> None:
    step.repository.pull(fork=True)
    stacks = {"plan": None, "acknowledge": ["access widened"], "compared": True}
    assert step(make_fork_event(), "workflow_run", **stacks) == 0
    assert step.body.startswith("<!-- vlille-review:dev stacks=")
    assert "synthesized by the fork's own run, compared with main" in step.body
    assert step.status == ("failure", "access widened: set the label acknowledged-access-widened")
    assert step.repository.statuses[-1]["sha"] == SHA
    step.repository.label(ACCESS, 5)
    step(make_fork_event(), "workflow_run", **stacks)
    assert step.status[0] == "success"
    step.repository.now += timedelta(minutes=10)
    step(make_fork_event(), "workflow_run", **{**stacks, "headline": "another"})
    assert step.status[0] == "failure"


@pytest.mark.parametrize(
    "pull",
    [
        {"state": "closed"},
        {"base": {"ref": "other", "repo": {"full_name": "bikes-lille/vlille"}}},
        {
            "head": {
                "sha": SHA,
                "ref": "change",
                "repo": {"full_name": "mallory/vlille"},
                "label": "grace:change",
            }
        },
        {"head": {"sha": SHA, "ref": "change", "repo": None, "label": "grace:change"}},
        {
            "head": {
                "sha": "c" * 40,
                "ref": "change",
                "repo": {"full_name": "grace/vlille"},
                "label": "grace:change",
            }
        },
    ],
    ids=["closed", "another base", "another repository", "repository deleted", "pushed again"],
)
def test_a_run_writes_only_into_its_own_pull_request(step: Step, pull: dict[str, Any]) -> None:
    step.repository.pulls = {}
    step.repository.pull(fork=True, **pull)
    step.repository.pull(8, "d" * 40)
    assert step(make_fork_event(), "workflow_run", plan=None) == 0
    assert (step.repository.comments, step.repository.statuses) == ({}, [])


# --- each failure is one message -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set: this is a step of a workflow"),
        ({"GITHUB_EVENT_PATH": "/nowhere"}, "the event's file /nowhere cannot be read (FileNotFoundError)"),
        ({"GITHUB_EVENT_NAME": "push"}, "found the event 'push', expected pull_request, or workflow_run"),
        ({"GITHUB_EVENT_NAME": "workflow_run"}, "the event workflow_run names no existing pull request"),
    ],
)
def test_a_step_outside_of_a_workflow_is_reported(
    step: Step, capsys: pytest.CaptureFixture[str], change: dict[str, str], sentence: str
) -> None:
    plans = step.folder / "plans"
    write_review(plans / "dev", plan=PLAN)
    variables = event(step.variables, step.folder, "pull_request", make_pull_request_event(), MERGE) | change
    assert main(["publish", "--env", "dev", "--plans", str(plans)], variables) == 1
    assert capsys.readouterr().err.startswith(sentence)


@pytest.mark.parametrize(
    "review",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 3}',
        '{"format": 2, "acknowledge": ["more"], "refused": "", "empty": false}',
        '{"format": 2, "acknowledge": 1, "refused": "", "empty": false}',
    ],
)
def test_a_damaged_review_is_never_published(
    step: Step, capsys: pytest.CaptureFixture[str], review: str
) -> None:
    plans = step.folder / "plans"
    (write_review(plans / "dev", plan=PLAN) / "review.json").write_text(review)
    variables = event(step.variables, step.folder, "pull_request", make_pull_request_event())
    assert main(["publish", "--env", "dev", "--plans", str(plans)], variables) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert step.repository.comments == {}


def test_nothing_that_is_printed_or_written_holds_the_token(
    step: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    for status in (401, 403, 404, 422):
        step.repository.faults["POST issues/7/comments"] = [Fault(status, {"message": f"bad {TOKEN}"})]
        assert step() == 1
    step()
    printed = capsys.readouterr()
    written = "".join(file.read_text() for file in step.folder.rglob("*") if file.is_file())
    assert TOKEN not in printed.out + printed.err + written + json.dumps(step.repository.comments)
    assert step.repository.now == BEGIN
