"""Which plan of a commit on main may be applied."""

import json
from pathlib import Path
from typing import Any

import pytest

from delivery.__main__ import main
from delivery.github.marker import render_marker
from delivery.plan.digest import compute_plan_digest
from tests.delivery.conftest import ADA, BOT, MERGE, Repository, event, planned, update, write_review

pytestmark = pytest.mark.unit

PLAN = planned(update("google_bigquery_table.t", {"schema": "a,b"}, {"schema": "a"}))
OTHER = planned(update("google_bigquery_table.t", {"schema": "a,b"}, {"schema": ""}))
DIGEST = compute_plan_digest(json.dumps(PLAN).encode()).digest
SHOWN = {"shown": "2026-11-25T12:00:00Z"}
BY_HAND = (
    "read the review of this run; if it is what you want, run the workflow Deploy manually with dev and the digest "
    f"{DIGEST}"
)


class Step:
    """`make approve` on main."""

    def __init__(self, repository: Repository, variables: dict[str, str], folder: Path) -> None:
        self.repository, self.variables, self.folder = repository, variables, folder

    def __call__(self, named: str | None = None, **review: Any) -> int:
        plans = self.folder / "plans"
        write_review(plans / "dev", **{"plan": PLAN, **review})
        variables = event(self.variables, self.folder, "push", {"after": MERGE})
        if named is not None:
            variables["REVIEWED"] = named
        return main(["approve", "--env", "dev", "--plans", str(plans)], variables)

    @property
    def outputs(self) -> str:
        return Path(self.variables["GITHUB_OUTPUT"]).read_text()

    @property
    def summary(self) -> str:
        return Path(self.variables["GITHUB_STEP_SUMMARY"]).read_text()


@pytest.fixture
def step(repository: Repository, variables: dict[str, str], tmp_path: Path) -> Step:
    repository.pull(merged=True)
    return Step(repository, variables, tmp_path)


def test_the_reviewed_plan_may_be_applied(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    step.repository.comment(render_marker("review", "dev", plan=DIGEST, **SHOWN))
    assert step() == 0
    assert step.outputs == "changes=true\n"
    assert capsys.readouterr().out == f"dev: this is the plan {DIGEST[:12]}… that was reviewed in #7\n"
    assert step.repository.statuses == []
    assert {call.split()[0] for call in step.repository.calls} == {"GET"}  # read permissions are enough


def test_an_empty_plan_needs_no_review(step: Step) -> None:
    step.repository.pulls = {}
    # A review also lists differences that the plan does not apply.
    assert step(plan=planned(), empty=False) == 0
    assert step.outputs == "changes=false\n"


@pytest.mark.parametrize(
    ("comment", "user", "sentence"),
    [
        (None, None, "in #7 no plan was reviewed for dev"),
        (render_marker("review", "prod", plan=DIGEST, **SHOWN), None, "in #7 no plan was reviewed for dev"),
        (render_marker("review", "dev"), None, "in #7 no plan was reviewed for dev"),
        (
            render_marker("review", "dev", stacks=DIGEST, **SHOWN),
            None,
            "in #7 only synthesized stacks were compared for dev",
        ),
        (render_marker("review", "dev", plan=DIGEST, **SHOWN), ADA, "in #7 no plan was reviewed for dev"),
        (
            render_marker("review", "dev", plan="ab" * 32, **SHOWN),
            None,
            f"the plan of dev has changed since it was reviewed in #7 (found {DIGEST[:12]}…, reviewed abababababab…): "
            "main or the deployed resources have changed",
        ),
    ],
    ids=["none", "another environment", "failed", "stacks", "somebody's", "changed"],
)
def test_any_other_plan_is_refused_with_what_to_do(
    step: Step,
    capsys: pytest.CaptureFixture[str],
    comment: str | None,
    user: dict[str, str] | None,
    sentence: str,
) -> None:
    if comment:
        step.repository.comment(comment, user=user or BOT)
    assert step() == 1
    assert capsys.readouterr().err == f"{sentence}: {BY_HAND}\n".replace("have changed: ", "have changed; ")
    assert step.outputs == ""
    assert DIGEST in step.summary
    assert "a headline" in step.summary


@pytest.mark.parametrize(
    "pull",
    [{"merged_at": None}, {"merge_commit_sha": "c" * 40}],
    ids=["not merged", "another commit's"],
)
def test_a_commit_without_a_pull_request_is_refused(
    step: Step, capsys: pytest.CaptureFixture[str], pull: dict[str, Any]
) -> None:
    step.repository.comment(render_marker("review", "dev", plan=DIGEST, **SHOWN))
    step.repository.pulls[7].update(pull, head={**step.repository.pulls[7]["head"], "sha": MERGE})
    assert step() == 1
    assert capsys.readouterr().err.startswith(f"{MERGE[:12]} came to main without a pull request")


def test_severe_findings_must_be_acknowledged(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    """Even if the repository's settings did not require the commit status before the merge."""
    step.repository.comment(render_marker("review", "dev", plan=DIGEST, **SHOWN))
    assert step(acknowledge=["data loss"]) == 1
    assert capsys.readouterr().err == f"nobody acknowledged data loss of dev in #7: {BY_HAND}\n"
    step.repository.label("acknowledged-data-loss", -5)
    assert step(acknowledge=["data loss"]) == 1
    step.repository.label("acknowledged-data-loss", 5)
    assert step(acknowledge=["data loss"]) == 0


def test_a_person_may_name_the_digest_of_a_plan(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    step.repository.pulls = {}
    assert step(f" {DIGEST.upper()}\n", acknowledge=["data loss"]) == 0
    assert capsys.readouterr().out == f"dev: this is the plan {DIGEST[:12]}… that was named\n"
    assert step(DIGEST, plan=OTHER) == 1
    assert capsys.readouterr().err.startswith("the plan of dev is not the named one: found ")
    assert step("$(id)") == 1
    assert step.outputs == "changes=true\n"


@pytest.mark.parametrize("review", [{"refused": "the plan is incomplete"}, {"plan": None}])
def test_a_refused_plan_is_not_applied_even_if_named(step: Step, review: dict[str, Any]) -> None:
    step.repository.comment(render_marker("review", "dev", plan=DIGEST, **SHOWN))
    assert step(**review) == 1
    assert step(DIGEST, **review) == 1
    assert step.outputs == ""
