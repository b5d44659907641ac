"""One run, from the listing of the archive to the row that accounts for it."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from feed import Feed, batch_runs_schema, parse_object_name, quarantine_schema, station_schema
from spark.archive import ArchiveError, list_day
from spark.rebuild.planning import ArchiveHour, StoredObject, plan_hours, split_into_batches
from spark.rebuild.progress import FinishedDay, Progress, digest_objects
from spark.rebuild.statistics import (
    HourResult,
    ReconciliationError,
    RunStatistics,
    format_days,
    merge_drifts,
    reconcile,
    sum_statistics_by_day,
)
from spark.rebuild.warehouse import (
    Replacement,
    UnknownJobStateError,
    WarehouseError,
    check_nothing_lost,
    check_tables,
    make_run_id,
    record_run,
    replace_days,
)
from spark.settings import Settings
from spark.worker import ReadHours, RunHours, RunHoursError
from telemetry import log

LIST_THREADS = 8
SUCCEEDED, FAILED, NOTHING_ARCHIVED = "succeeded", "failed", "nothing_archived"

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Run:
    """What became of one run: a row of batch_runs."""

    run_id: str
    feed: str
    started_at: datetime
    finished_at: datetime
    first_day: date
    last_day: date
    objects_listed: int
    statistics: RunStatistics
    status: str
    message: str | None
    is_recorded: bool = False  # in batch_runs

    @property
    def is_done(self) -> bool:
        """Whether the days were replaced and batch_runs says so."""
        return self.status == SUCCEEDED and self.is_recorded

    def row(self) -> dict[str, Any]:
        """The row as JSON has it, in the order of batch_runs_schema()."""
        values = asdict(self)
        values |= values.pop("statistics")
        for name, value in values.items():
            if isinstance(value, date):  # a datetime is one
                values[name] = value.isoformat()
        return {column["name"]: values[column["name"]] for column in batch_runs_schema()}


def rebuild_days(
    settings: Settings,
    feed: Feed,
    *,
    gcs: StorageClient,
    bq: bigquery.Client,
    run_hours: RunHours,
    clock: Clock = lambda: datetime.now(UTC),
    batch_type: "type[DayBatches] | None" = None,
) -> Run:
    """Replace the days that have objects in the archive, and account for it in batch_runs.

    Days without an object keep the rows they have. The days are replaced in stretches, in order; what a
    former run that did not end has replaced, from the same objects by the same code, stays as it is. Whatever
    fails is in the run's status and message, or leaves it unrecorded; nothing is raised. `batch_type` says what a
    stretch of days is made from, by default the responses of a feed.
    """
    started = clock()
    work = (batch_type or DayBatches)(settings, feed, gcs, bq, run_hours, make_run_id(started), started)
    status, message = FAILED, None
    try:
        _check_settled(settings, started)
        check_tables(bq, (settings.table(name) for name in (*work.tables(), "quarantine", "batch_runs")))
        work.rebuild()
        status, message = work.outcome()
    except (
        ReconciliationError,
        ArchiveError,
        GoogleAPIError,
        UnknownJobStateError,
        RunHoursError,
        WarehouseError,
    ) as error:
        message = str(error)
    except Exception as error:  # noqa: BLE001 - the account must be stored whatever it is
        message = f"{type(error).__name__}: {error}"
        log(logging.ERROR, f"the run ended by {message}", exc_info=True)
    if status == FAILED and work.done:
        message = f"{message}; done before it: {format_days(work.done)}, and the next run goes on there"
    run = Run(
        run_id=work.run_id,
        feed=feed.name,
        started_at=started,
        finished_at=clock(),
        first_day=settings.first_day,
        last_day=settings.last_day,
        objects_listed=work.objects_listed,
        statistics=sum(work.done.values(), RunStatistics()),
        status=status,
        message=message,
    )
    recorded = _record_run(bq, settings.table("batch_runs"), run)
    if recorded.is_done:
        work.forget()
    return recorded


def _check_settled(settings: Settings, now: datetime) -> None:
    """Raise WarehouseError while a delivery of the days' ticks may be at work.

    It may have found no rows of its tick, and would load them beside those that the run makes from its object.
    """
    if settings.redelivery_window_s is None:
        return
    window = timedelta(seconds=settings.redelivery_window_s)
    settled = datetime.combine(settings.last_day + timedelta(days=1), time(), UTC) + window
    if now < settled:
        last = (now - window).date() - timedelta(days=1)
        raise WarehouseError(
            f"{settings.last_day} can be rebuilt from {settled:%Y-%m-%dT%H:%MZ} on, when none of its ticks can be "
            f"delivered any more: no table was changed; run the job again then, or now for days up to {last}"
        )


@dataclass
class DayBatches:
    """The work of one run, a stretch of days at a time; while one is loaded, the next is read."""

    settings: Settings
    feed: Feed
    gcs: StorageClient
    bq: bigquery.Client
    run_hours: RunHours
    run_id: str
    started: datetime
    objects_listed: int = 0
    done: dict[date, RunStatistics] = field(default_factory=dict)  # days that are as the archive says
    empty: list[date] = field(default_factory=list)
    skipped: int = 0  # days that a former run has done

    def __post_init__(self) -> None:
        self.progress = Progress(self.gcs, self.settings.staging_bucket, self.feed.name)

    def tables(self) -> Sequence[str]:
        """Names of the tables whose days are replaced, beside the quarantine."""
        return (self.feed.name,)

    def rebuild(self) -> None:
        """Rebuild all days. Raises what a stretch raised first; those before it are done."""
        former = self.progress.read()
        with ThreadPoolExecutor(1, "load") as loader:
            loading: Future[None] | None = None
            for days in split_into_batches(self.settings.days, self.settings.days_at_once):
                listed = self.list_days(days)
                self.objects_listed += sum(_count_objects(hours) for hours in listed.values())
                self.empty += [day for day, hours in listed.items() if not hours]
                todo = {}
                for day, hours in listed.items():
                    digest = digest_objects(hours, self.settings.code)
                    if not hours:
                        continue
                    if day in former and former[day].digest == digest:
                        self.done[day] = former[day].statistics
                        self.skipped += 1
                    else:
                        todo[day] = hours
                if not todo:
                    continue
                read = self.read_days(todo)
                if loading is not None:
                    loading.result()
                loading = loader.submit(self._replace, read)
            if loading is not None:
                loading.result()

    def outcome(self) -> tuple[str, str | None]:
        """Status and message of a run that has come to its end."""
        if not self.done:
            return NOTHING_ARCHIVED, (
                f"gs://{self.settings.archive_bucket} has no object of {self.feed.name} for "
                f"{format_days(self.empty)}: no table was changed; let the copier sweep, then run the job again"
            )
        said = []
        if self.skipped:
            said.append(f"{self.skipped} days were as a run that did not end had left them")
        if self.empty:
            said.append(
                f"nothing is archived for {format_days(self.empty)}: these days were left as they are"
            )
        return SUCCEEDED, "; ".join(said) or None

    def forget(self) -> None:
        """There is nothing to go on with after this run."""
        try:
            self.progress.forget(self.settings.days)
        except Exception as error:  # noqa: BLE001 - what the run did stays done
            log(logging.WARNING, f"what the run had left for a next one stays for two days: {error}")

    def list_day(self, day: date) -> list[StoredObject]:
        """List the objects that a day is made from."""
        return list_day(self.gcs, self.settings.archive_bucket, self.feed.name, day)

    def list_days(self, days: Sequence[date]) -> dict[date, list[ArchiveHour]]:
        """List the hours of days."""
        with ThreadPoolExecutor(LIST_THREADS, "list") as pool:
            found = pool.map(lambda day: plan_hours(day, self.list_day(day)), days)
            listed = dict(zip(days, found, strict=True))
        for day, hours in listed.items():
            severity = logging.INFO if hours else logging.WARNING
            log(
                severity,
                f"{day}: {_count_objects(hours)} objects listed",
                day=day,
                objects_listed=_count_objects(hours),
            )
        return listed

    def read_hours(self, listed: Mapping[date, list[ArchiveHour]], folder: str) -> Sequence[HourResult]:
        """Write the Parquet files of the days' hours into a folder of the staging bucket."""
        hours = [hour for each in listed.values() for hour in each]
        return list(self.run_hours(ReadHours(self.settings, self.feed, folder), hours))

    def replacements(self, read: "ReadBatch") -> Sequence[Replacement]:
        """Return what replaces the days. Raises WarehouseError where something would be lost."""
        settings, table = self.settings, self.settings.table(self.feed.name)
        days = list(read.listed)
        ticks = list_ticks(hour for hours in read.listed.values() for hour in hours)
        minutes = check_nothing_lost(self.bq, table, days, ticks)
        # A response that gave no row is in the quarantine alone.
        check_nothing_lost(self.bq, settings.table("quarantine"), days, ticks, quarantine_of=self.feed.name)
        return (
            Replacement(
                table,
                station_schema(self.feed),
                [result.rows_uri for result in read.results if result.rows_uri],
                read.statistics.rows_loaded,
                {},
                minutes,
            ),
            Replacement(
                settings.table("quarantine"),
                quarantine_schema(),
                [result.quarantine_uri for result in read.results if result.quarantine_uri],
                sum(result.quarantine_rows for result in read.results),
                {"feed": self.feed.name},
            ),
        )

    def read_days(self, listed: dict[date, list[ArchiveHour]]) -> "ReadBatch":
        """Read a stretch of days. Raises AccountingError where an object is not accounted for."""
        results = self.read_hours(listed, f"batch/{self.run_id}")
        statistics = reconcile([hour for hours in listed.values() for hour in hours], results)
        log(
            logging.INFO,
            f"{format_days(listed)}: {statistics.objects_read} objects read, {statistics.rows_loaded} rows written",
            **asdict(statistics),
        )
        for drift, answers in merge_drifts(results).items():
            log(logging.WARNING, f"{drift} ({answers} answers)", answers=answers)
        return ReadBatch(listed, results, statistics)

    def _replace(self, read: "ReadBatch") -> None:
        replacements, days = self.replacements(read), list(read.listed)
        replace_days(self.bq, replacements, days, f"{self.run_id}_{days[0]:%Y%m%d}", self.started)
        log(logging.INFO, f"{format_days(days)} replaced in {replacements[0].table}", days=len(days))
        accounts = sum_statistics_by_day(read.results)
        self.done |= accounts
        self.progress.add(
            self.run_id,
            {
                day: FinishedDay(digest_objects(hours, self.settings.code), accounts[day])
                for day, hours in read.listed.items()
            },
        )


@dataclass(frozen=True)
class ReadBatch:
    """A stretch that lies in the staging bucket, and waits for being loaded."""

    listed: dict[date, list[ArchiveHour]]
    results: Sequence[HourResult]
    statistics: RunStatistics


def list_ticks(hours: Iterable[ArchiveHour]) -> set[datetime]:
    ticks = set()
    for stored in (stored for hour in hours for stored in hour.objects):
        with suppress(ValueError):  # an ill-formed name, which the quarantine tells
            ticks.add(parse_object_name(stored.name)[1])
    return ticks


def _record_run(bq: bigquery.Client, table: str, run: Run) -> Run:
    try:
        record_run(bq, table, batch_runs_schema(), run.row())
    except Exception as error:  # noqa: BLE001 - what it is does not matter to the days
        log(logging.ERROR, f"the run is not in {table}: {error}", exc_info=True)
        return run
    return replace(run, is_recorded=True)


def _count_objects(hours: Iterable[ArchiveHour]) -> int:
    return sum(len(hour.objects) for hour in hours)
