"""Run the batch once, from listing the archive to the row in batch_runs."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from feed import Feed, batch_runs_schema
from spark.archive import ArchiveError
from spark.rebuild.day_batches import FAILED, SUCCEEDED, DayBatches
from spark.rebuild.statistics import (
    ReconciliationError,
    RunStatistics,
    format_days,
)
from spark.rebuild.warehouse import (
    UnknownJobStateError,
    WarehouseError,
    check_tables,
    make_run_id,
    record_run,
)
from spark.settings import Settings
from spark.worker import RunHours, RunHoursError
from telemetry import log

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Run:
    """The result of one run: a row of batch_runs."""

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
    is_recorded: bool = False  # whether batch_runs has it

    @property
    def is_done(self) -> bool:
        """Whether the days were replaced and batch_runs has the run."""
        return self.status == SUCCEEDED and self.is_recorded

    def row(self) -> dict[str, Any]:
        """Return the row with JSON values, in the order of batch_runs_schema()."""
        values = asdict(self)
        values |= values.pop("statistics")
        for name, value in values.items():
            if isinstance(value, date):  # includes datetime
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
    """Replace the days that have objects in the archive, and record the run in batch_runs.

    Days without an object keep their rows. The days are replaced in batches, in order; days that an unfinished earlier
    run has replaced, from the same objects and with the same code, are skipped. Errors are not raised: the returned Run
    has them in `status` and `message`; `is_recorded` is False if its row could not be loaded. `batch_type` is the class
    that rebuilds batches of days; the default one rebuilds them from a feed's responses.
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
    except Exception as error:  # noqa: BLE001 - the run must be recorded whatever the error is
        message = f"{type(error).__name__}: {error}"
        log(logging.ERROR, f"the run failed: {message}", exc_info=True)
    if status == FAILED and work.done:
        message = (
            f"{message}. The other days are already replaced, and the next run skips them: "
            f"{format_days(work.done)}"
        )
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
        work.delete_progress()
    return recorded


def _check_settled(settings: Settings, now: datetime) -> None:
    """Raise WarehouseError while a delivery of one of the days' ticks may still come.

    Such a delivery may have seen no rows of its tick; it would load them in addition to the rebuilt ones.
    """
    if settings.redelivery_window_s is None:
        return
    window = timedelta(seconds=settings.redelivery_window_s)
    settled = datetime.combine(settings.last_day + timedelta(days=1), time(), UTC) + window
    if now < settled:
        last = (now - window).date() - timedelta(days=1)
        raise WarehouseError(
            f"{settings.last_day} cannot be rebuilt before {settled:%Y-%m-%dT%H:%MZ}, because its ticks can still be "
            f"redelivered; no table was changed: run the batch again then, or now for days up to {last}"
        )


def _record_run(bq: bigquery.Client, table: str, run: Run) -> Run:
    try:
        record_run(bq, table, batch_runs_schema(), run.row())
    except Exception as error:  # noqa: BLE001 - the days are replaced in any case
        log(
            logging.ERROR,
            f"the run could not be recorded in {table}: {error}; run the batch again: it repeats no replaced day",
            exc_info=True,
        )
        return run
    return replace(run, is_recorded=True)
