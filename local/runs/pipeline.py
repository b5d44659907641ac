"""What a run does to the pipeline after its ticks: archive what landed, rebuild it, compare."""

import json
from collections.abc import Callable
from datetime import datetime

from local.errors import LocalError
from local.runs.report import Comparison, Report, count_rows, no_rows, ticks_in
from local.runs.running_stack import System
from local.services.dataproc import Workflow
from local.services.scheduler import Execution

TOLD_OF_BATCH = (
    "first_day",
    "last_day",
    "objects_read",
    "objects_quarantined",
    "rows_loaded",
    "rows_rejected",
    "values_rejected",
    "values_implausible",
)


class Landed:
    """Remembers which ticks landed, although the copier takes their objects away."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.ticks: set[datetime] = set()

    def look(self) -> int:
        """Add what lies in the landing bucket and in the archive now; return how many ticks there were."""
        for bucket in (self._system.parts.landing, self._system.parts.archive):
            self.ticks |= ticks_in(self._system.environment, bucket, self._system.feed.name)
        return len(self.ticks)


def tell(system: System) -> None:
    """Print a line for each sweep and each batch that ends, and for what fails, is left out or gets lost."""
    terminal, parts = system.terminal, system.parts

    def ran(run: Execution) -> None:
        if not run.response.ok:
            terminal.line(f"{run.job}, fired at {run.fired:%H:%M} UTC, failed: {run.response}")
        elif run.job == parts.copy:
            terminal.line(f"{run.job}, {run.fired:%H:%M} UTC: {_told(run.response.body)}")

    def ended(workflow: Workflow) -> None:
        for summary in workflow.summaries.values():
            told = ", ".join(f"{key}={value}" for key, value in summary.items() if key in TOLD_OF_BATCH)
            terminal.line(f"{parts.batch}: {told}")
        if workflow.error:
            terminal.line(f"{parts.batch} failed: {workflow.error.splitlines()[0]}")

    def skipped(job: str, due: list[datetime], why: str) -> None:
        until = f" to {due[-1]:%H:%M} UTC, {len(due)} times" if len(due) > 1 else " UTC"
        terminal.line(f"{job} did not fire, {due[0]:%Y-%m-%d %H:%M}{until}: {why}")

    def expired(subscription: str, number: int) -> None:
        terminal.line(f"{subscription.rpartition('/')[2]}: {number} messages expired before they were taken")

    system.scheduler.on_finished.append(ran)
    system.scheduler.on_skip.append(skipped)
    system.broker.on_expired.append(expired)
    system.dataproc.on_ended.append(ended)


def drain(system: System) -> None:
    """Let time pass until the push subscription has delivered, or dead-lettered, all it holds."""
    with system.terminal.stage("collect", "waiting for the last deliveries"):
        system.clock.run(lambda: system.broker.count_undelivered(system.parts.push) == 0)


def archive(system: System, sweep: Callable[[], None]) -> None:
    """Let the copier's job run, as `sweep` begins it. Raises LocalError where its last attempt fails."""
    with system.terminal.stage("archive", "archiving what landed"):
        run = _next_run(system, system.parts.copy, sweep)
    if not run.response.ok:
        raise LocalError(f"the sweep failed with {run.response}: see {_log(system, 'service')}")


def rebuild(system: System, report: Report, begin: Callable[[], None]) -> None:
    """Let the batch run, as `begin` begins it, and compare the table with what it was before.

    Raises LocalError where the batch fails, or would have nothing to compare with.
    """
    environment, table = system.environment, system.parts.station_table
    with system.terminal.stage("check", "keeping a copy of the streamed rows"):
        report.rows_streamed = count_rows(environment, table)
        if not report.rows_streamed:
            raise LocalError(no_rows(system, report))
        comparison = Comparison(environment, table)
    with system.terminal.stage("rebuild", "rebuilding the day with Spark"):
        workflow = _next_workflow(system, begin)
    if workflow.state != "DONE":
        raise LocalError(f"the batch failed: {workflow.error}")
    report.batch = next(iter(workflow.summaries.values()))
    with system.terminal.stage("check", "comparing streamed and rebuilt rows"):
        report.rows_rebuilt = count_rows(environment, table)
        report.mismatches = comparison.mismatches()
    system.terminal.line(f"rebuilt {report.rows_rebuilt:,} rows, {report.mismatches:,} mismatches")


def _told(body: bytes) -> str:
    """Return the figures of a JSON answer in a line; any other answer as it is, cut."""
    try:
        figures = {key: value for key, value in json.loads(body).items() if isinstance(value, int | float)}
    except (ValueError, AttributeError):
        return body[:200].decode("utf-8", "replace").strip()
    return ", ".join(f"{key}={value}" for key, value in figures.items() if not isinstance(value, bool))


def _next_run(system: System, job: str, begin: Callable[[], None]) -> Execution:
    ended: list[Execution] = []
    system.scheduler.on_finished.append(ended.append)
    begin()
    system.clock.run(lambda: any(run.job == job for run in ended))
    system.scheduler.on_finished.remove(ended.append)
    return next(run for run in ended if run.job == job)


def _next_workflow(system: System, begin: Callable[[], None]) -> Workflow:
    ended: list[Workflow] = []
    refused: list[Execution] = []
    system.dataproc.on_ended.append(ended.append)
    system.scheduler.on_finished.append(refused.append)
    begin()
    batch = system.parts.batch
    system.clock.run(lambda: bool(ended) or any(r.job == batch and not r.response.ok for r in refused))
    system.dataproc.on_ended.remove(ended.append)
    system.scheduler.on_finished.remove(refused.append)
    if not ended:
        raise LocalError(f"the batch was not begun: {next(r.response for r in refused if not r.response.ok)}")
    return ended[0]


def _log(system: System, kind: str) -> str:
    names = [p.log for p in system.environment.supervisor.processes if p.name.startswith(kind)]
    return ", ".join(str(log) for log in names) or str(system.options.folder / "logs")
