"""Waiting for a batch, beside a batch that the schedule had started before."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.runs import pipeline
from local.runs.terminal import Terminal
from local.services.dataproc_workflows import Workflow

pytestmark = pytest.mark.unit
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def make_workflow(number: int) -> Workflow:
    return Workflow(f"operations/{number}", "template", {}, [], Path(), NOON)


class FakeRun:
    """A run whose clock ends the workflows in the order of `ending`, one per look at the condition."""

    def __init__(self, *running: Workflow) -> None:
        self.dataproc: Any = SimpleNamespace(workflows=list(running), on_ended=[])
        self.scheduler: Any = SimpleNamespace(on_finished=[])
        self.names: Any = SimpleNamespace(batch_job="batch")
        self.terminal = Terminal()
        self.clock: Any = SimpleNamespace(run=self._run_until)
        self.ending: list[Workflow] = list(running)

    def start(self, workflow: Workflow) -> None:
        self.dataproc.workflows.append(workflow)
        self.ending.append(workflow)

    def _run_until(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            ended = self.ending.pop(0)
            ended.state = "DONE"
            for callback in self.dataproc.on_ended:
                callback(ended)


@pytest.mark.parametrize("scheduled", [(), (make_workflow(1),), (make_workflow(1), make_workflow(2))])
def test_the_workflow_that_was_started_is_waited_for(scheduled: tuple[Workflow, ...]) -> None:
    run: Any = FakeRun(*scheduled)
    own = make_workflow(9)
    assert pipeline._wait_for_workflow(run, lambda: run.start(own)) is own
    assert run.dataproc.on_ended == run.scheduler.on_finished == []


def test_a_scheduled_batch_ends_before_another_one_starts(capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = FakeRun(make_workflow(1))
    pipeline.wait_for_scheduled_batch(run)
    assert [each.state for each in run.dataproc.workflows] == ["DONE"]
    printed = capsys.readouterr().out
    pipeline.wait_for_scheduled_batch(run)
    assert "waiting for the scheduled batch" in printed
    assert capsys.readouterr().out == ""
