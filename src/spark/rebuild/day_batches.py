"""Rebuild a run's days in batches: while one batch is loaded into BigQuery, the next one is read."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date, datetime

from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from feed import Feed, empty_responses_schema, parse_object_name, quarantine_schema, station_schema
from spark.archive import list_day
from spark.rebuild.planning import ArchiveHour, StoredObject, plan_hours, split_into_batches
from spark.rebuild.progress import FinishedDay, Progress, digest_objects
from spark.rebuild.statistics import (
    HourResult,
    RunStatistics,
    format_days,
    merge_drifts,
    reconcile,
    sum_statistics_by_day,
)
from spark.rebuild.warehouse import Replacement, Schema, check_nothing_lost, replace_days
from spark.settings import Settings
from spark.worker import ReadHours, RunHours
from telemetry import log

LIST_THREADS = 8
# The status of a run, as batch_runs has it.
SUCCEEDED, FAILED, NOTHING_ARCHIVED = "succeeded", "failed", "nothing_archived"


@dataclass
class DayBatches:
    """Rebuilds the days of one run in batches; while one batch is loaded, the next one is read."""

    settings: Settings
    feed: Feed
    gcs: StorageClient
    bq: bigquery.Client
    run_hours: RunHours
    run_id: str
    started: datetime
    objects_listed: int = 0
    done: dict[date, RunStatistics] = field(default_factory=dict)  # finished days, with their statistics
    empty: list[date] = field(default_factory=list)
    skipped: int = 0  # days that an earlier run has finished

    def __post_init__(self) -> None:
        self.progress = Progress(self.gcs, self.settings.staging_bucket, self.feed.name)

    def tables(self) -> Sequence[str]:
        """Return the names of the tables whose days are replaced, in addition to the quarantine."""
        return self.feed.name, "empty_responses"

    def rebuild(self) -> None:
        """Rebuild all days. Raises the first error of a batch; earlier batches are finished."""
        finished = self.progress.read()
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
                    if day in finished and finished[day].digest == digest:
                        self.done[day] = finished[day].statistics
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
        """Return status and message of a run that reached its end."""
        if not self.done:
            return NOTHING_ARCHIVED, (
                f"gs://{self.settings.archive_bucket} has no objects of {self.feed.name} for "
                f"{format_days(self.empty)}; no table was changed: wait for the next sweep, then run the batch again"
            )
        notes = []
        if self.skipped:
            notes.append(f"days rebuilt by an earlier, interrupted run and skipped: {self.skipped}")
        if self.empty:
            notes.append(f"nothing is archived for {format_days(self.empty)}: these days were not changed")
        return SUCCEEDED, "; ".join(notes) or None

    def delete_progress(self) -> None:
        """Delete the progress of this run and of earlier ones, because no run has to continue it."""
        try:
            self.progress.delete(self.settings.days)
        except Exception as error:  # noqa: BLE001 - what the run did stays done
            log(
                logging.WARNING,
                f"the progress of this run could not be deleted; it expires with the staging bucket's objects: {error}",
            )

    def list_day(self, day: date) -> list[StoredObject]:
        """Return the objects that a day is rebuilt from."""
        return list_day(self.gcs, self.settings.archive_bucket, self.feed.name, day)

    def list_days(self, days: Sequence[date]) -> dict[date, list[ArchiveHour]]:
        """Return the hours of each day."""
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
        """Write the Parquet files of the days' hours below a folder of the staging bucket."""
        hours = [hour for each in listed.values() for hour in each]
        return list(self.run_hours(ReadHours(self.settings, self.feed, folder), hours))

    def replacements(self, read: "ReadBatch") -> Sequence[Replacement]:
        """Return the replacements of the days. Raises WarehouseError if rows would be lost."""
        settings, table = self.settings, self.settings.table(self.feed.name)
        days = list(read.listed)
        ticks = list_ticks(hour for hours in read.listed.values() for hour in hours)
        minutes = check_nothing_lost(self.bq, table, days, ticks)
        # A response without rows is in one of these tables only.
        where = f"`feed` = '{self.feed.name}'"
        check_nothing_lost(self.bq, settings.table("empty_responses"), days, ticks, where=where)
        has_tick = f"{where} AND `reason` != 'bad_name'"
        check_nothing_lost(self.bq, settings.table("quarantine"), days, ticks, where=has_tick)
        return (
            Replacement(
                table,
                station_schema(self.feed),
                [result.rows_uri for result in read.results if result.rows_uri],
                read.statistics.rows_loaded,
                {},
                minutes,
            ),
            self._replace_shared(
                "quarantine",
                quarantine_schema(),
                [(result.quarantine_uri, result.quarantine_rows) for result in read.results],
            ),
            self._replace_shared(
                "empty_responses",
                empty_responses_schema(),
                [(result.empty_uri, result.empty_rows) for result in read.results],
            ),
        )

    def _replace_shared(
        self, table: str, schema: Schema, files: Sequence[tuple[str | None, int]]
    ) -> Replacement:
        """Return the replacement of the feed's rows in a table that feeds share; `files` has URIs and row counts."""
        return Replacement(
            self.settings.table(table),
            schema,
            [uri for uri, _ in files if uri],
            sum(rows for _, rows in files),
            {"feed": self.feed.name},
        )

    def read_days(self, listed: dict[date, list[ArchiveHour]]) -> "ReadBatch":
        """Read a batch of days. Raises ReconciliationError if an object was neither read nor quarantined."""
        results = self.read_hours(listed, f"batch/{self.run_id}")
        statistics = reconcile([hour for hours in listed.values() for hour in hours], results)
        log(
            logging.INFO,
            f"{format_days(listed)}: {statistics.objects_read} objects read, {statistics.rows_loaded} rows written",
            **asdict(statistics),
        )
        for drift, responses in merge_drifts(results).items():
            log(logging.WARNING, f"{drift} (in {responses} responses)", responses=responses)
        return ReadBatch(listed, results, statistics)

    def _replace(self, read: "ReadBatch") -> None:
        replacements, days = self.replacements(read), list(read.listed)
        replace_days(self.bq, replacements, days, f"{self.run_id}_{days[0]:%Y%m%d}", self.started)
        log(logging.INFO, f"{format_days(days)} replaced in {replacements[0].table}", days=len(days))
        statistics_by_day = sum_statistics_by_day(read.results)
        self.done |= statistics_by_day
        self.progress.add(
            self.run_id,
            {
                day: FinishedDay(digest_objects(hours, self.settings.code), statistics_by_day[day])
                for day, hours in read.listed.items()
            },
        )


@dataclass(frozen=True)
class ReadBatch:
    """A batch of days whose Parquet files are in the staging bucket, to be loaded."""

    listed: dict[date, list[ArchiveHour]]
    results: Sequence[HourResult]
    statistics: RunStatistics


def list_ticks(hours: Iterable[ArchiveHour]) -> set[datetime]:
    """Return the ticks of the objects of some hours."""
    ticks = set()
    for stored in (stored for hour in hours for stored in hour.objects):
        with suppress(ValueError):  # an invalid name, which is quarantined
            ticks.add(parse_object_name(stored.name)[1])
    return ticks


def _count_objects(hours: Iterable[ArchiveHour]) -> int:
    return sum(len(hour.objects) for hour in hours)
