"""The report of a run: figures counted in buckets and in BigQuery, as a table and as report.json."""

# ruff: noqa: S608 - a table cannot be a query parameter; all names come from the stack itself
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from feed import parse_object_name
from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.iam_proxy.access import AccessControl
from local.runs.local_run import LocalRun
from local.services.bigquery import BigQuery
from local.workloads.workloads import list_objects

FILE = "report.json"
DIFFERENCES = "differences.txt"  # the differences from Google Cloud, a line each
QUERY_TIMEOUT_MS = 60_000
TICK_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
STATIONS_SHOWN = 5
NO_ROWS = "no row was loaded: see the function's log"
STATION_COLUMNS = ("name", "num_bikes_available", "num_docks_available", "longitude", "latitude")


@dataclass
class Report:
    """The figures of a run; `None` where a stage was not part of it. Seconds are real time."""

    environment: str
    feed: str
    source: str
    started: str
    folder: str
    ticks: int = 0
    ticks_skipped: int = 0  # times at which the job that collects was due but skipped
    messages_published: int = 0
    messages_delivered: int = 0
    delivery_attempts_failed: int = 0
    dead_letters: int = 0
    messages_expired: int = 0
    sweeps: int = 0
    objects_landed: int = 0
    objects_archived: int = 0
    rows_streamed: int = 0
    rows_rebuilt: int | None = None
    quarantined: int = 0
    mismatches: int | None = None
    first_row_seconds: float | None = None
    total_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    batch_runs: list[str] = field(
        default_factory=list
    )  # of each finished one, in order: "", or why it failed
    batch: dict[str, Any] | None = None  # the summary that the Spark job printed
    newest_tick: str | None = None  # of the newest archived response, UTC: 2026-11-24T12:05:00Z
    page: str | None = None  # a copy of the dashboard's page, to open from disk
    stations: list[dict[str, Any]] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)  # requests of workloads that were denied
    differences: list[str] = field(default_factory=list)
    problem: str | None = None

    def write(self, folder: Path) -> Path:
        """Write `report.json` and return its path."""
        file = folder / FILE
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")
        temporary.replace(file)
        (folder / DIFFERENCES).write_text("".join(f"{each}\n" for each in self.differences))
        return file


def query(environment: LocalEnvironment, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query as in BigQuery's REST API: each value a text or None.

    Raises ServiceError, and LocalError where the query takes more than a minute or the result more than a page.
    """
    response = environment.service(BigQuery).call(
        "POST",
        f"/bigquery/v2/projects/{environment.project}/queries",
        {"query": sql, "useLegacySql": False, "timeoutMs": QUERY_TIMEOUT_MS},
    )
    if not response.get("jobComplete") or response.get("pageToken"):
        raise LocalError(f"the query did not finish, or returned too many rows: {sql}")
    names = [each["name"] for each in response.get("schema", {}).get("fields", [])]
    return [
        dict(zip(names, [cell["v"] for cell in row["f"]], strict=True)) for row in response.get("rows", [])
    ]


def count_rows(environment: LocalEnvironment, table: str, where: str = "TRUE") -> int:
    """Return the number of rows of a table (`project.dataset.table`)."""
    return int(query(environment, f"SELECT COUNT(*) AS n FROM `{table}` WHERE {where}")[0]["n"])


def list_ticks(environment: LocalEnvironment, bucket: str, feed: str) -> set[datetime]:
    """Return the ticks of a feed's objects in a bucket, under landing or archive names."""
    ticks = set()
    for each in list_objects(environment, bucket):
        try:
            name, tick = parse_object_name(each["name"])
        except ValueError:
            continue
        if name == feed:
            ticks.add(tick)
    return ticks


class TableSnapshot:
    """A copy of a table, to compare it with later: row by row, on all columns, with duplicates counted."""

    def __init__(self, environment: LocalEnvironment, table: str) -> None:
        self._environment, self._table = environment, table
        project, dataset, name = table.split(".")
        self._dataset = f"{project}.{dataset}_before"
        self._copy = f"{self._dataset}.{name}"
        query(environment, f"DROP SCHEMA IF EXISTS `{self._dataset}` CASCADE")
        query(environment, f"CREATE SCHEMA `{self._dataset}`")
        query(environment, f"CREATE TABLE `{self._copy}` AS SELECT * FROM `{table}`")

    def count_mismatches(self) -> int:
        """Return the number of rows that only one of the two has, and delete the copy."""
        tables = (
            f"SELECT TO_JSON_STRING(t) AS line, {sign} AS n FROM `{table}` AS t"
            for table, sign in ((self._table, 1), (self._copy, -1))
        )
        lines = f"SELECT line, SUM(n) AS n FROM ({' UNION ALL '.join(tables)}) GROUP BY line"
        found = query(self._environment, f"SELECT COALESCE(SUM(ABS(n)), 0) AS n FROM ({lines})")
        query(self._environment, f"DROP SCHEMA `{self._dataset}` CASCADE")
        return int(found[0]["n"])


def query_stations(environment: LocalEnvironment, view: str | None, feed: str) -> list[dict[str, Any]]:
    """Return some rows of the latest response from the availability view; none where the feed has no common columns."""
    if view is None:
        return []
    columns = ", ".join(STATION_COLUMNS)
    newest = f"(SELECT MAX(collected_at) FROM `{view}` WHERE feed = '{feed}')"
    return query(
        environment,
        f"SELECT {columns} FROM `{view}` WHERE feed = '{feed}' AND collected_at = {newest} "
        f"ORDER BY name LIMIT {STATIONS_SHOWN}",
    )


def begin_report(run: LocalRun) -> Report:
    """Return an empty report at the start of a run."""
    options = run.options
    return Report(
        environment=options.environment,
        feed=run.feed.name,
        source=run.source,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        folder=str(options.folder),
    )


def counters(run: LocalRun) -> dict[str, int]:
    """Return the figures that are counted during the run, by their names in the report."""
    names, totals = run.names, run.pubsub.totals
    return {
        "ticks": run.scheduler.fired[names.collect_job],
        "ticks_skipped": run.scheduler.skipped[names.collect_job],
        "sweeps": run.scheduler.fired[names.copy_job],
        "messages_published": totals.by_topic.get(names.topic, 0),
        "messages_delivered": totals.delivered,
        "delivery_attempts_failed": totals.failed,
        "dead_letters": totals.dead_lettered,
        "messages_expired": totals.expired,
    }


def complete_report(report: Report, run: LocalRun, before: Mapping[str, int] | None = None) -> None:
    """Add the figures that are counted at the end of a run; `before` has the counters of earlier runs."""
    environment, names = run.environment, run.names
    for name, number in counters(run).items():
        setattr(report, name, number + (before or {}).get(name, 0))
    archived = list_ticks(environment, names.archive_bucket, report.feed)
    report.objects_archived = len(archived)
    report.newest_tick = max(archived).strftime(TICK_FORMAT) if archived else None
    report.quarantined = count_rows(environment, names.quarantine_table, f"feed = '{report.feed}'")
    view = run.applied.outputs.get("availability_view")
    report.stations = query_stations(environment, view, report.feed)
    report.denied = environment.service(AccessControl).denial_messages()
    environment.service(AccessControl).write(run.options.folder)
    report.differences = list(environment.unsupported)
    ended = [each for each in run.dataproc.workflows if each.finished.is_set()]
    report.batch_runs = [each.error.partition("\n")[0] for each in ended]
    report.seconds = {name: round(each, 2) for name, each in run.terminal.seconds.items()}
    report.total_seconds = round(run.terminal.elapsed, 2)


def explain_missing_rows(run: LocalRun, report: Report) -> str:
    """Return the reason in the quarantine why no row was loaded."""
    sql = f"SELECT message FROM `{run.names.quarantine_table}` WHERE feed = '{report.feed}'"
    first = query(run.environment, f"{sql} ORDER BY collected_at, record_index LIMIT 1")
    if not first:
        return NO_ROWS
    hint = f"; if REPLAY has responses of another feed than {report.feed}, name that feed with FEED="
    return f"no row was loaded: {first[0]['message']}{hint if run.options.replay else ''}"


def find_inconsistency(report: Report) -> str | None:
    """Return a sentence about the first stage whose figure disagrees with that of the previous stage, or None."""
    r = report
    checks = [
        (r.messages_published == r.ticks, f"{r.ticks} ticks, but {r.messages_published} messages published"),
        (r.dead_letters == 0, f"{r.dead_letters} messages were dead-lettered: see the function's log"),
        (r.messages_expired == 0, f"{r.messages_expired} messages expired undelivered"),
        (r.objects_landed == r.ticks, f"{r.ticks} ticks, but {r.objects_landed} objects landed"),
        (
            r.objects_archived == r.objects_landed,
            f"{r.objects_landed} objects landed, but {r.objects_archived} are in the archive",
        ),
        (r.rows_streamed > 0, NO_ROWS),
        (
            r.rows_rebuilt in (None, r.rows_streamed),
            f"{r.rows_streamed} rows were streamed, but {r.rows_rebuilt} rebuilt",
        ),
        (
            r.batch is None or r.batch.get("rows_loaded") == r.rows_rebuilt,
            f"the batch reports {(r.batch or {}).get('rows_loaded')} rows, "
            f"but the table has {r.rows_rebuilt}",
        ),
        (not r.mismatches, f"{r.mismatches} rows differ between what was streamed and what was rebuilt"),
    ]
    return next((sentence for holds, sentence in checks if not holds), None)


def add_first_denial(report: Report, problem: str | None) -> str | None:
    """Return the problem followed by the first denied request, which may have caused it; None where there is no
    problem.
    """
    if problem is None or not report.denied or report.denied[0] in problem:
        return problem
    return f"{problem}\n{report.denied[0]}"


def render_report(report: Report) -> RenderableType:
    """Return the tables that are printed at the end."""
    sections: list[RenderableType] = []
    if report.denied:
        sections += [Text("Requests that IAM denied, as in Google Cloud:", style="bold")]
        sections += [Text(f"  · {sentence}") for sentence in report.denied]
        sections.append(Text())
    if count := len(report.differences):
        file = Path(report.folder, DIFFERENCES)
        sections += [Text(f"Differences from Google Cloud: {count}, listed in {file}", style="dim"), Text()]
    sections.append(_stage_table(report))
    if report.stations:
        sections += [Text(), _station_table(report)]
    return Group(Text(), *sections)


def _format_batches(report: Report) -> str:
    """Describe the batch: the comparison where a run ends with it, else the number of its runs."""
    if report.rows_rebuilt is not None and report.mismatches is not None:
        return f"{report.rows_rebuilt:,} rows rebuilt, {report.mismatches:,} mismatches"
    if not report.batch_runs:
        return "not run"
    if not (failed := [each for each in report.batch_runs if each]):
        return f"runs: {len(report.batch_runs)}, all succeeded"
    return f"runs: {len(report.batch_runs)}, failed: {len(failed)}; the last: {failed[-1]}"


def _stage_table(report: Report) -> Table:
    table = Table(title=f"{report.environment}: {report.feed}, from {report.source}", title_justify="left")
    table.add_column("stage")
    table.add_column("what happened")
    table.add_column("seconds", justify="right")
    failed = report.delivery_attempts_failed
    retried = f", {failed} attempts failed and were retried" if failed else ""
    left_out = f", {report.ticks_skipped:,} skipped" if report.ticks_skipped else ""
    expired = f", {report.messages_expired:,} expired" if report.messages_expired else ""
    rows = [
        ("Scheduler", f"{report.ticks:,} ticks{left_out}", ()),
        (
            "Pub/Sub",
            f"{report.messages_published:,} published, {report.messages_delivered:,} delivered, "
            f"{report.dead_letters:,} dead-lettered{expired}{retried}",
            (),
        ),
        (
            "Function",
            f"{report.objects_landed:,} objects landed, {report.rows_streamed:,} rows streamed, "
            f"{report.quarantined:,} quarantined",
            ("collect",),
        ),
        (
            "Copier",
            f"{report.objects_archived:,} objects archived; sweeps: {report.sweeps:,}",
            ("archive",),
        ),
        ("Spark", _format_batches(report), ("rebuild", "check")),
        ("Start", "synthesis, emulators, resources, processes", ("synth", "emulators", "apply", "start")),
    ]
    for stage, happened, names in rows:
        spent = [report.seconds[name] for name in names if name in report.seconds]
        text = " + ".join(f"{each:.1f}" for each in spent)
        table.add_row(stage, happened, text)
    first = report.first_row_seconds
    text = "no row loaded" if first is None else f"first row after {first:.1f} s"
    table.add_row("Total", text, f"{report.total_seconds:.1f}")
    return table


def _station_table(report: Report) -> Table:
    tick = "" if report.newest_tick is None else f", tick {report.newest_tick}"
    table = Table(title=f"availability, latest response{tick}", title_justify="left")
    table.add_column("name")
    for heading in ("bikes", "docks", "longitude", "latitude"):
        table.add_column(heading, justify="right")
    for row in report.stations:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in STATION_COLUMNS))
    return table
