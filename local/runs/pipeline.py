"""The steps of a run after its ticks: archive the landed objects, rebuild the table, compare the rows."""

import json
from collections.abc import Callable
from datetime import datetime

from local.errors import LocalError
from local.runs.local_run import LocalRun
from local.runs.report import Report, TableSnapshot, count_rows, explain_missing_rows, list_ticks
from local.services.dataproc_workflows import Workflow
from local.services.scheduler import Execution

BATCH_FIGURES = (
    "first_day",
    "last_day",
    "objects_read",
    "objects_quarantined",
    "rows_loaded",
    "rows_rejected",
    "values_rejected",
    "values_implausible",
)


class LandedTicks:
    """The ticks whose objects have landed, including those that the copier has moved."""

    def __init__(self, run: LocalRun) -> None:
        self._run = run
        self.ticks: set[datetime] = set()

    def update(self) -> int:
        """Add the ticks of the objects that are in the landing and the archive bucket now; return the total."""
        for bucket in (self._run.names.landing_bucket, self._run.names.archive_bucket):
            self.ticks |= list_ticks(self._run.environment, bucket, self._run.feed.name)
        return len(self.ticks)


def print_events(run: LocalRun) -> None:
    """Print a line for each finished sweep and batch, each failure, and skipped times and expired messages."""
    terminal, names = run.terminal, run.names

    def print_execution(execution: Execution) -> None:
        if not execution.response.ok:
            terminal.print_line(
                f"{execution.job}, due at {execution.fired:%H:%M} UTC, failed: {execution.response}"
            )
        elif execution.job == names.copy_job:
            terminal.print_line(
                f"{execution.job}, {execution.fired:%H:%M} UTC: {_format_summary(execution.response.body)}"
            )

    def print_workflow(workflow: Workflow) -> None:
        for summary in workflow.summaries.values():
            figures = ", ".join(f"{key}={value}" for key, value in summary.items() if key in BATCH_FIGURES)
            terminal.print_line(f"{names.batch_job}: {figures}")
        if workflow.error:
            terminal.print_line(f"{names.batch_job} failed: {workflow.error.splitlines()[0]}")

    def print_skips(job: str, due: list[datetime], why: str) -> None:
        until = f" to {due[-1]:%H:%M} UTC, {len(due)} times" if len(due) > 1 else " UTC"
        terminal.print_line(f"{job} did not run, {due[0]:%Y-%m-%d %H:%M}{until}: {why}")

    def print_expired(subscription: str, number: int) -> None:
        terminal.print_line(f"{subscription.rpartition('/')[2]}: {number} messages expired undelivered")

    run.scheduler.on_finished.append(print_execution)
    run.scheduler.on_skip.append(print_skips)
    run.pubsub.on_expired.append(print_expired)
    run.dataproc.on_ended.append(print_workflow)


def wait_for_deliveries(run: LocalRun) -> None:
    """Let time pass until no push subscription has an undelivered message."""
    with run.terminal.stage("collect", "waiting for the last deliveries"):
        subscriptions = (run.names.push_subscription, *run.names.gbfs_subscriptions)
        run.clock.run(lambda: not any(map(run.pubsub.count_undelivered, subscriptions)))


def wait_for_scheduled_batch(run: LocalRun) -> None:
    """Let time pass until no batch runs: a scheduled one may have begun with one of the last ticks."""
    if any(each.state == "RUNNING" for each in run.dataproc.workflows):
        with run.terminal.stage("rebuild", "waiting for the scheduled batch"):
            run.clock.run(lambda: all(each.state != "RUNNING" for each in run.dataproc.workflows))


def archive(run: LocalRun, sweep: Callable[[], None]) -> None:
    """Run the copier's job, as `sweep` starts it. Raises LocalError where its last attempt fails."""
    with run.terminal.stage("archive", "archiving landed objects"):
        execution = _wait_for_execution(run, run.names.copy_job, sweep)
    if not execution.response.ok:
        raise LocalError(f"the sweep failed with {execution.response}: see {_log_files(run, 'service')}")


def rebuild(run: LocalRun, report: Report, start: Callable[[], None]) -> None:
    """Run the batch, as `start` starts it, and compare the table's rows before and after it.

    Raises LocalError where the batch fails, or there are no rows to compare.
    """
    environment, table = run.environment, run.names.station_table
    with run.terminal.stage("check", "copying the streamed rows"):
        report.rows_streamed = count_rows(environment, table)
        if not report.rows_streamed:
            raise LocalError(explain_missing_rows(run, report))
        snapshot = TableSnapshot(environment, table)
    with run.terminal.stage("rebuild", "rebuilding the day with Spark"):
        workflow = _wait_for_workflow(run, start)
    if workflow.state != "DONE":
        raise LocalError(f"the batch failed: {workflow.error}")
    report.batch = next(iter(workflow.summaries.values()))
    with run.terminal.stage("check", "comparing streamed and rebuilt rows"):
        report.rows_rebuilt = count_rows(environment, table)
        report.mismatches = snapshot.count_mismatches()
    run.terminal.print_line(f"rebuilt {report.rows_rebuilt:,} rows, {report.mismatches:,} mismatches")


def _format_summary(body: bytes) -> str:
    """Format the figures of a JSON response as a line; cut any other response."""
    try:
        figures = {key: value for key, value in json.loads(body).items() if isinstance(value, int | float)}
    except (ValueError, AttributeError):
        return body[:200].decode("utf-8", "replace").strip()
    return ", ".join(f"{key}={value}" for key, value in figures.items() if not isinstance(value, bool))


def _wait_for_execution(run: LocalRun, job: str, start: Callable[[], None]) -> Execution:
    ended: list[Execution] = []
    run.scheduler.on_finished.append(ended.append)
    start()
    run.clock.run(lambda: any(execution.job == job for execution in ended))
    run.scheduler.on_finished.remove(ended.append)
    return next(execution for execution in ended if execution.job == job)


def _wait_for_workflow(run: LocalRun, start: Callable[[], None]) -> Workflow:
    """Return the workflow that `start` starts, once it has ended; one that ran before is another one."""
    earlier = {each.operation for each in run.dataproc.workflows}
    ended: list[Workflow] = []
    failed: list[Execution] = []

    def add_ended(workflow: Workflow) -> None:
        if workflow.operation not in earlier:
            ended.append(workflow)

    run.dataproc.on_ended.append(add_ended)
    run.scheduler.on_finished.append(failed.append)
    start()
    batch = run.names.batch_job
    run.clock.run(lambda: bool(ended) or any(r.job == batch and not r.response.ok for r in failed))
    run.dataproc.on_ended.remove(add_ended)
    run.scheduler.on_finished.remove(failed.append)
    if not ended:
        raise LocalError(
            f"the batch was not started: {next(r.response for r in failed if not r.response.ok)}"
        )
    return ended[0]


def _log_files(run: LocalRun, kind: str) -> str:
    names = [p.log for p in run.environment.supervisor.processes if p.name.startswith(kind)]
    return ", ".join(str(log) for log in names) or str(run.options.folder / "logs")
