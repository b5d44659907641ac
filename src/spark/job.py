"""One run, from the listing of the archive to the row that accounts for it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from feed import Feed, batch_runs_schema, quarantine_schema, station_schema, tick_of
from spark.accounting import Account, AccountingError, HourResult, days_phrase, merged_drifts, reconcile
from spark.archive import ArchiveError, list_day
from spark.planning import Hour, plan_hours
from spark.settings import Settings
from spark.warehouse import (
    LostJobError,
    Replacement,
    WarehouseError,
    check_nothing_lost,
    check_tables,
    new_run,
    record_run,
    replace_days,
)
from spark.worker import Work
from telemetry import log

LIST_THREADS = 8
SUCCEEDED, FAILED, NOTHING_ARCHIVED = "succeeded", "failed", "nothing_archived"

Clock = Callable[[], datetime]
RunHours = Callable[[Work, Sequence[Hour]], Iterable[HourResult]]


class RunHoursError(RuntimeError):
    """The hours could not be read; the message is the first fault's."""


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
    account: Account
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
        values |= values.pop("account")
        for name, value in values.items():
            if isinstance(value, date):  # a datetime is one
                values[name] = value.isoformat()
        return {column["name"]: values[column["name"]] for column in batch_runs_schema()}


def rebuild(
    settings: Settings,
    feed: Feed,
    *,
    gcs: StorageClient,
    bq: bigquery.Client,
    run_hours: RunHours,
    clock: Clock = lambda: datetime.now(UTC),
) -> Run:
    """Replace the days that have objects in the archive, and account for it in batch_runs.

    Days without an object keep the rows they have. Whatever fails is in the run's status and message, or
    leaves it unrecorded; nothing is raised.
    """
    started = clock()
    run_id = new_run(started)
    listed: dict[date, list[Hour]] = {}
    account, status, message = Account(), FAILED, None
    try:
        check_tables(bq, (settings.table(name) for name in (feed.name, "quarantine", "batch_runs")))
        listed = _list_days(gcs, settings, feed)
        empty = [day for day, hours in listed.items() if not hours]
        if len(empty) == len(listed):
            status = NOTHING_ARCHIVED
            message = (
                f"gs://{settings.archive_bucket} has no object of {feed.name} for {days_phrase(empty)}: "
                "no table was changed; let the copier sweep, then run the job again"
            )
        else:
            account = _rebuild_listed(
                settings, feed, bq=bq, run_hours=run_hours, listed=listed, run_id=run_id, now=started
            )
            status = SUCCEEDED
            if empty:
                message = f"nothing is archived for {days_phrase(empty)}: these days were left as they are"
    except (
        AccountingError,
        ArchiveError,
        GoogleAPIError,
        LostJobError,
        RunHoursError,
        WarehouseError,
    ) as error:
        message = str(error)
    except Exception as error:  # noqa: BLE001 - the account must be stored whatever it is
        message = f"{type(error).__name__}: {error}"
        log(logging.ERROR, f"the run ended by {message}", exc_info=True)
    run = Run(
        run_id=run_id,
        feed=feed.name,
        started_at=started,
        finished_at=clock(),
        first_day=settings.first_day,
        last_day=settings.last_day,
        objects_listed=sum(_objects(hours) for hours in listed.values()),
        account=account,
        status=status,
        message=message,
    )
    return _recorded(bq, settings.table("batch_runs"), run)


def _list_days(gcs: StorageClient, settings: Settings, feed: Feed) -> dict[date, list[Hour]]:
    def hours_of(day: date) -> list[Hour]:
        return plan_hours(day, list_day(gcs, settings.archive_bucket, feed.name, day))

    with ThreadPoolExecutor(LIST_THREADS, "list") as pool:
        listed = dict(zip(settings.days, pool.map(hours_of, settings.days), strict=True))
    for day, hours in listed.items():
        severity = logging.INFO if hours else logging.WARNING
        log(severity, f"{day}: {_objects(hours)} objects listed", day=day, objects_listed=_objects(hours))
    return listed


def _rebuild_listed(
    settings: Settings,
    feed: Feed,
    *,
    bq: bigquery.Client,
    run_hours: RunHours,
    listed: dict[date, list[Hour]],
    run_id: str,
    now: datetime,
) -> Account:
    hours = [hour for each in listed.values() for hour in each]
    results = list(run_hours(Work(settings, feed, f"batch/{run_id}"), hours))
    account = reconcile(hours, results)
    log(
        logging.INFO,
        f"{account.objects_read} objects read, {account.rows_loaded} rows written",
        **asdict(account),
    )
    for drift, answers in merged_drifts(results).items():
        log(logging.WARNING, f"{drift} ({answers} answers)", answers=answers)
    days = [day for day, each in listed.items() if each]
    minutes = check_nothing_lost(bq, settings.table(feed.name), days, _ticks(hours))
    replacements = (
        Replacement(
            settings.table(feed.name),
            station_schema(feed),
            [result.rows_uri for result in results if result.rows_uri],
            account.rows_loaded,
            {},
            minutes,
        ),
        Replacement(
            settings.table("quarantine"),
            quarantine_schema(),
            [result.quarantine_uri for result in results if result.quarantine_uri],
            sum(result.quarantine_rows for result in results),
            {"feed": feed.name},
        ),
    )
    replace_days(bq, replacements, days, run_id, now)
    log(logging.INFO, f"{days_phrase(days)} replaced in {settings.table(feed.name)}", days=len(days))
    return account


def _ticks(hours: Iterable[Hour]) -> set[datetime]:
    ticks = set()
    for stored in (stored for hour in hours for stored in hour.objects):
        with suppress(ValueError):  # an ill-formed name, which the quarantine tells
            ticks.add(tick_of(stored.name)[1])
    return ticks


def _recorded(bq: bigquery.Client, table: str, run: Run) -> Run:
    try:
        record_run(bq, table, batch_runs_schema(), run.row())
    except Exception as error:  # noqa: BLE001 - what it is does not matter to the days
        log(logging.ERROR, f"the run is not in {table}: {error}", exc_info=True)
        return run
    return replace(run, is_recorded=True)


def _objects(hours: Iterable[Hour]) -> int:
    return sum(len(hour.objects) for hour in hours)
