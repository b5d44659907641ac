"""Load Parquet files into staging tables, and replace days in one BigQuery transaction."""

import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from google.api_core.exceptions import ClientError, Conflict, NotFound
from google.api_core.retry import Retry, if_exception_type
from google.cloud import bigquery
from google.cloud.bigquery.job import LoadJob, QueryJob

from telemetry import log

# A load job accepts 10,000 URIs; fewer keep the request small.
MAX_URIS = 5_000
STAGING_EXPIRATION = timedelta(days=1)
POLL_SECONDS = 2.0
# A job may exist (409) and not be found yet (404): https://github.com/googleapis/python-bigquery/issues/2134
RETRY_NOT_FOUND = Retry(predicate=if_exception_type(NotFound), timeout=60)

Schema = Sequence[Mapping[str, Any]]


class WarehouseError(RuntimeError):
    """A run was refused, or BigQuery did not do what was requested; the message has the reason.

    What to do: read the reason in the message, then run the batch again: a day is replaced as a whole or not at all.
    """


class UnknownJobStateError(RuntimeError):
    """A BigQuery job may have started, and its result is unknown.

    What to do: look up the job that the message names in BigQuery's job history, then run the batch again: it replaces
    whole days.
    """


@dataclass(frozen=True)
class Replacement:
    """The new rows of one table for some days: their files, their table and their number."""

    table: str  # project.dataset.table
    schema: Schema
    uris: Sequence[str]
    rows: int
    only: Mapping[str, str]  # column → value: only rows with these values are replaced
    minutes: int | None = (
        None  # the number of minutes that the table must still have in these days; None: any
    )
    time: str = "collected_at"  # the TIMESTAMP column that determines a row's day
    prefixes: Mapping[str, str] = field(default_factory=dict)  # as `only`, by the prefix of a column's text


def check_tables(client: bigquery.Client, tables: Iterable[str]) -> None:
    """Raise WarehouseError if one of the tables does not exist."""
    for table in tables:
        try:
            client.get_table(table)
        except NotFound:
            raise WarehouseError(f"table {table} does not exist: deploy the stack that declares it") from None


def check_nothing_lost(
    client: bigquery.Client,
    table: str,
    days: Sequence[date],
    ticks: Collection[datetime],
    *,
    where: str = "TRUE",
) -> int:
    """Return how many minutes of these days the table has; all of them must be among the archive's `ticks`.

    Only rows that meet the SQL condition `where` count. Raises WarehouseError for any other minute, because replacing
    the days would delete it: the copier has not archived its object yet.
    """
    conditions = f"{_make_day_condition(days)} AND {where}"
    query = f"SELECT DISTINCT collected_at FROM `{table}` WHERE {conditions} ORDER BY collected_at"  # noqa: S608
    minutes = [row.collected_at for row in client.query(query).result()]
    unarchived = [minute for minute in minutes if minute not in ticks]
    if unarchived:
        raise WarehouseError(
            f"{len(unarchived)} minutes in {table} have no object in the archive, the first is "
            f"{unarchived[0]:%Y-%m-%dT%H:%MZ}; no table was changed: wait for the next sweep and run the batch again, "
            "or delete these minutes from the table if their objects are lost"
        )
    return len(minutes)


def replace_days(
    client: bigquery.Client,
    replacements: Sequence[Replacement],
    days: Sequence[date],
    run: str,
    now: datetime,
) -> None:
    """Replace the days in all tables in one transaction: readers see either all old rows or all new ones.

    Raises WarehouseError if nothing was changed, UnknownJobStateError if that is not known.
    """
    with _stage_rows(client, replacements, run, now) as staged:
        statements = [
            statement
            for replacement in replacements
            for statement in _make_replace_statements(replacement, staged.get(replacement.table), days)
        ]
        script = ";\n".join(["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION;"])
        job_id = f"vlille-batch-{run}-replace"
        _wait_for_job(
            client,
            job_id,
            lambda: client.query(script, job_id=job_id, job_retry=None),
            failure="the days were not replaced; no table was changed",
        )


@contextmanager
def _stage_rows(
    client: bigquery.Client, replacements: Sequence[Replacement], run: str, now: datetime
) -> Iterator[dict[str, str]]:
    """Load the rows of each table into a staging table; yields table → staging table.

    The staging tables are deleted at the end, unless a job may still use them.
    """
    staged: dict[str, str] = {}
    try:
        for replacement in replacements:
            if not replacement.rows and not replacement.uris:
                continue
            staging = f"{replacement.table}_staging_{run}"
            table = bigquery.Table(staging, schema=replacement.schema)
            table.expires = (
                now + STAGING_EXPIRATION
            )  # in case this process is killed before it deletes the table
            client.create_table(table, exists_ok=True)
            staged[replacement.table] = staging
            _load_staging_table(client, replacement, staging, run)
        yield staged
    except UnknownJobStateError:
        staged.clear()
        raise
    finally:
        for staging in staged.values():
            _drop_staging_table(client, staging)


def _drop_staging_table(client: bigquery.Client, staging: str) -> None:
    try:
        client.delete_table(staging, not_found_ok=True)
    except Exception as error:  # noqa: BLE001 - the days are replaced in any case
        log(logging.WARNING, f"staging table {staging} could not be deleted; it expires by itself: {error}")


def _load_staging_table(client: bigquery.Client, replacement: Replacement, staging: str, run: str) -> None:
    options = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]  # the client has no types here
    options.enable_list_inference = True  # a list becomes a REPEATED column, not a RECORD with a field `list`
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=[bigquery.SchemaField.from_api_repr(dict(column)) for column in replacement.schema],
        parquet_options=options,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
    )
    name = staging.rpartition(".")[2]
    loaded = 0
    for first in range(0, len(replacement.uris), MAX_URIS):
        uris = list(replacement.uris[first : first + MAX_URIS])
        job_id = f"vlille-batch-{name}-{first}"
        start = partial(client.load_table_from_uri, uris, staging, job_id=job_id, job_config=config)
        job = _wait_for_job(
            client,
            job_id,
            start,
            failure=f"{len(uris)} Parquet files were not loaded; no table was changed",
        )
        loaded += job.output_rows or 0
    if loaded != replacement.rows:
        raise WarehouseError(
            f"{replacement.rows} rows were written for {replacement.table}, but {loaded} were loaded; "
            "no table was changed: run the batch again"
        )


def _wait_for_job(
    client: bigquery.Client, job_id: str, start: Callable[[], LoadJob | QueryJob], *, failure: str
) -> Any:
    """Start the job with this ID, which only this run uses, and return it after it has succeeded.

    An error of the call that starts the job or waits for it does not show its state: the client retries a request
    whose response was lost and gets a 409 for our own ID, and a wait that times out does not end the job. So the job
    is looked up. Raises WarehouseError with `failure` for a job that failed or never started, UnknownJobStateError if
    its state cannot be found out.
    """
    try:
        job = start()
        job.result()
    except Exception as error:  # noqa: BLE001 - also errors of transport and credentials
        fault = error
    else:
        return job
    is_refusal = isinstance(fault, ClientError) and not isinstance(fault, Conflict)
    look = client.get_job if is_refusal else RETRY_NOT_FOUND(client.get_job)
    try:
        while (seen := look(job_id)).state != "DONE":
            time.sleep(POLL_SECONDS)
    except NotFound:
        raise WarehouseError(f"{failure} ({_describe_error(fault)}): run the batch again") from fault
    except Exception as error:
        raise UnknownJobStateError(
            f"the state of BigQuery job {job_id} is unknown ({_describe_error(fault)}; {_describe_error(error)}): "
            "look it up in BigQuery's job history, then run the batch again"
        ) from error
    if seen.error_result:
        raise WarehouseError(f"{failure} ({seen.error_result['message']}): run the batch again") from fault
    return seen


def _describe_error(error: Exception) -> str:
    return getattr(error, "message", None) or str(error)


def _make_replace_statements(
    replacement: Replacement, staging: str | None, days: Sequence[date]
) -> list[str]:
    """Return the statements that replace one table's days; columns that are not in the schema stay null."""
    only = "".join(f" AND `{column}` = '{text}'" for column, text in replacement.only.items())
    only += "".join(
        f" AND STARTS_WITH(`{column}`, '{text}')" for column, text in replacement.prefixes.items()
    )
    delete = f"DELETE FROM `{replacement.table}` WHERE {_make_day_condition(days, replacement.time)}{only}"  # noqa: S608
    statements = [delete] if replacement.minutes is None else [_make_minutes_check(replacement, days), delete]
    if staging is None:
        return statements
    columns = ", ".join(f"`{column['name']}`" for column in replacement.schema)
    return [
        *statements,
        f"INSERT INTO `{replacement.table}` ({columns}) SELECT {columns} FROM `{staging}`",  # noqa: S608
    ]


def _make_minutes_check(replacement: Replacement, days: Sequence[date]) -> str:
    """Return a statement that fails the transaction if the collector has loaded a minute since the table was checked.

    BigQuery's documentation does not list ASSERT among the statements of transactions; it lists SELECT.
    """
    table = replacement.table
    return (
        "SELECT IF((SELECT COUNT(DISTINCT collected_at) "  # noqa: S608
        f"FROM `{table}` WHERE {_make_day_condition(days)}) = {replacement.minutes}, NULL, "
        f"ERROR('the minutes of {table} changed during the run'))"
    )


def _make_day_condition(days: Iterable[date], time: str = "collected_at") -> str:
    """Return a condition by which BigQuery prunes partitions."""
    dates = ", ".join(f"DATE '{day.isoformat()}'" for day in days)
    return f"DATE({time}) IN ({dates})"


def record_run(client: bigquery.Client, table: str, schema: Schema, row: Mapping[str, Any]) -> None:
    """Append the run's row by a load job with the run's ID, so that a second attempt adds nothing.

    Raises WarehouseError or UnknownJobStateError.
    """
    config = bigquery.LoadJobConfig(
        schema=[bigquery.SchemaField.from_api_repr(dict(column)) for column in schema],
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
    )
    job_id = f"vlille-batch-{row['run_id']}-run"
    start = partial(client.load_table_from_json, [dict(row)], table, job_id=job_id, job_config=config)
    _wait_for_job(client, job_id, start, failure="its row was not loaded")


def make_run_id(now: datetime) -> str:
    """Return a run ID such as `20231026T031500_1f0c9a2e`: start time and eight random hexadecimal digits."""
    return f"{now:%Y%m%dT%H%M%S}_{uuid.uuid4().hex[:8]}"
