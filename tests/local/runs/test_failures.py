"""Where a run and then its final count fail, the first failure is reported."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from local.errors import LocalError, ServiceError
from local.runs import demo, up
from local.runs.options import Options
from local.runs.terminal import Terminal

pytestmark = pytest.mark.unit
FIRST = "no object landed, so there is nothing to rebuild: see the function's log"
MODES: list[tuple[str, Any, str]] = [("demo", demo, "_run_pipeline"), ("up", up, "_run_jobs")]


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_arguments: object) -> None:
        raise error

    return fail


@pytest.fixture(params=MODES, ids=[mode for mode, _module, _step in MODES])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], str]:
    """Run a mode whose given step and final count fail; return the report's problem."""
    mode, module, step = request.param
    terminal = Terminal()
    report = SimpleNamespace(problem=None, denied=[], write=lambda _folder: None)

    @contextmanager
    def start_run(*_arguments: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(
            terminal=terminal, environment=SimpleNamespace(report_unsupported=lambda _: None)
        )

    monkeypatch.setattr(module, "start_run", start_run)
    monkeypatch.setattr(module, "begin_report", lambda _system: report)
    monkeypatch.setattr(
        module, "complete_report", failing(ServiceError("POST /queries", 400, "no space left"))
    )
    if module is demo:
        monkeypatch.setattr(demo, "_write_page", lambda *_arguments: None)
    if module is up:
        progress = SimpleNamespace(print_urls=lambda: None, before={}, landed=None, save=lambda: None)
        monkeypatch.setattr(up, "_Progress", lambda *_arguments: progress)
        monkeypatch.setattr(up, "_counters_key", lambda _system: "counters")
        monkeypatch.setattr(up, "_archive_and_rebuild", lambda *_arguments: None)
    monkeypatch.setattr(module, "find_inconsistency", lambda _report: None)

    def start(error: Exception | None) -> str:
        monkeypatch.setattr(module, step, failing(error) if error else lambda *_arguments: None)
        options = Options(mode, "dev", ticks=1)
        return str((demo.run_demo if module is demo else up.run_up)(options, terminal).problem)

    return start


def test_the_first_failure_is_shown(run: Callable[[Exception | None], str]) -> None:
    assert run(LocalError(FIRST)) == FIRST


def test_a_failed_final_count_is_shown(run: Callable[[Exception | None], str]) -> None:
    assert run(None) == "POST /queries failed with status 400: no space left"
