"""One issue for each environment that differs from main."""

import json
from pathlib import Path
from typing import Any

import pytest

from delivery.__main__ import main
from delivery.github.marker import render_marker
from delivery.plan.digest import compute_plan_digest
from tests.delivery.conftest import ADA, Repository, event, planned, update, write_review

pytestmark = pytest.mark.unit

PLAN = planned(update("google_storage_bucket.b", {"labels": {"a": "by hand"}}, {"labels": {}}))
OTHER = planned(update("google_storage_bucket.b", {"labels": {"a": "again"}}, {"labels": {}}))
DIGEST = compute_plan_digest(json.dumps(PLAN).encode()).digest
MARKER = render_marker("drift", "dev", plan=DIGEST)


class Step:
    """`make drift`, each night."""

    def __init__(self, repository: Repository, variables: dict[str, str], folder: Path) -> None:
        self.repository, self.variables, self.folder = repository, variables, folder

    def __call__(self, **review: Any) -> int:
        plans = self.folder / "plans"
        write_review(plans / "dev", **{"plan": PLAN, **review})
        variables = event(self.variables, self.folder, "schedule", {})
        return main(["drift", "--env", "dev", "--plans", str(plans)], variables)

    @property
    def open(self) -> list[int]:
        return [number for number, each in self.repository.issues.items() if each["state"] == "open"]


@pytest.fixture
def step(repository: Repository, variables: dict[str, str], tmp_path: Path) -> Step:
    return Step(repository, variables, tmp_path)


def test_repeated_drift_is_one_issue_and_its_end_closes_it(
    step: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        assert step() == 0
    (number,) = step.open
    issue = step.repository.issues[number]
    assert issue["title"] == "dev differs from main"
    assert issue["body"].startswith(f"{MARKER}\nThe plan of main would change `dev`")
    assert DIGEST in issue["body"]
    assert "a headline" in issue["body"]
    assert not [
        call for call in step.repository.calls if call.startswith("PATCH")
    ]  # an unchanged issue is not written again
    assert step(plan=OTHER) == 0
    assert step.open == [number]
    assert DIGEST not in issue["body"]
    assert step(plan=planned()) == 0
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    (comment,) = step.repository.comments.values()
    assert comment["body"].startswith(
        "Resolved: [a run](https://github.com/bikes-lille/vlille/actions/runs/4711)"
    )
    assert step(plan=planned()) == 0
    assert len(step.repository.issues) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"dev: drift; #{number} is opened",
        *[f"dev: drift; #{number} reports it"] * 3,
        f"dev: no drift; #{number} is closed",
        "dev: no drift",
    ]


def test_recurring_drift_is_a_new_issue(step: Step) -> None:
    step()
    step(plan=planned())
    step()
    assert (len(step.repository.issues), len(step.open)) == (2, 1)


def test_of_two_issues_the_older_is_kept(step: Step) -> None:
    older, newer = step.repository.issue(MARKER), step.repository.issue(MARKER)
    step()
    assert step.open == [older]
    assert [each["body"] for each in step.repository.comments.values() if each["issue"] == newer] == [
        f"Duplicate of #{older}."
    ]


def test_issues_of_others_are_not_changed(step: Step) -> None:
    others = [
        step.repository.issue(MARKER, user=ADA),
        step.repository.issue(render_marker("drift", "prod")),
        step.repository.issue(MARKER, pull_request={"url": "u"}),
        step.repository.issue(f"see {MARKER}"),
    ]
    step(plan=planned())
    assert step.open == others
    step()
    assert len(step.open) == len(others) + 1


def test_an_outstanding_deploy_is_no_drift(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    step.repository.pull(merged=True)
    step.repository.comment(render_marker("review", "dev", plan=DIGEST, shown="2026-11-25T12:00:00Z"))
    assert step() == 0
    assert step.open == []
    assert capsys.readouterr().out == "dev: no drift; what #7 changes is not deployed yet\n"
    assert step(plan=OTHER) == 0
    assert len(step.open) == 1


@pytest.mark.parametrize("review", [{"refused": "planning failed"}, {"plan": None, "refused": "no"}])
def test_a_failed_plan_does_not_report_drift(
    step: Step, capsys: pytest.CaptureFixture[str], review: dict[str, Any]
) -> None:
    """A failed plan neither opens nor closes an issue: the run itself fails."""
    number = step.repository.issue(MARKER)
    assert step(**review) == 1
    assert capsys.readouterr().err.startswith("it is unknown whether dev has drifted")
    assert step.open == [number]


def test_a_review_that_is_too_long_is_linked(step: Step) -> None:
    plans = step.folder / "plans"
    write_review(plans / "dev", plan=PLAN)
    (plans / "dev" / "review.md").write_text("🛑" * 40_000)
    variables = event(step.variables, step.folder, "schedule", {})
    assert main(["drift", "--env", "dev", "--plans", str(plans)], variables) == 0
    (number,) = step.open
    assert "The review is longer than an issue may be" in step.repository.issues[number]["body"]
