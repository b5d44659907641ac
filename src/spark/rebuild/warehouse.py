"""BigQuery: Parquet files → staging tables → the days, replaced in one transaction."""

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

# A load job takes 10,000 URIs; fewer keep its request small.
MAX_URIS = 5_000
STAGING_EXPIRATION = timedelta(days=1)
POLL_SECONDS = 2.0
# A job may be there (409) and not yet be found (404): https://github.com/googleapis/python-bigquery/issues/2134
RETRY_NOT_FOUND = Retry(predicate=if_exception_type(NotFound), timeout=60)

Schema = Sequence[Mapping[str, Any]]


class WarehouseError(RuntimeError):
    """BigQuery refused something, or holds other rows than were written; no day was changed.

    What to do: read BigQuery's reason in the message and run the batch again: no day was changed.
    """


class UnknownJobStateError(RuntimeError):
    """A job may have begun, and BigQuery does not say how it ended.

    What to do: look at the job of the message in BigQuery, then run the batch again: it replaces whole days.
    """


@dataclass(frozen=True)
class Replacement:
    """One table's new rows for some days: from where, to where, and how many."""

    table: str  # project.dataset.table
    schema: Schema
    uris: Sequence[str]
    rows: int
    only: Mapping[str, str]  # column = text that rows to be replaced have as well
    minutes: int | None = None  # how many the table may have in these days by then; None: any number
    time: str = "collected_at"  # the TIMESTAMP column that tells a row's day
    prefixes: Mapping[str, str] = field(default_factory=dict)  # as `only`, of how a column's text begins


def check_tables(client: bigquery.Client, tables: Iterable[str]) -> None:
    """Raise WarehouseError where one of the tables does not exist."""
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
    quarantine_of: str | None = None,
) -> int:
    """How many minutes of these days the table has, all of them among the archive's `ticks`.

    Of the quarantine only the rows of a feed count, `quarantine_of`; an object whose name is wrong has no tick there.
    Raises WarehouseError where others are there, which replacing the days would lose: the copier has not
    archived their objects yet.
    """
    only = "" if quarantine_of is None else f" AND `feed` = '{quarantine_of}' AND `reason` != 'bad_name'"
    query = f"SELECT DISTINCT collected_at FROM `{table}` WHERE {_make_day_condition(days)}{only} ORDER BY collected_at"  # noqa: S608
    minutes = [row.collected_at for row in client.query(query).result()]
    beyond = [minute for minute in minutes if minute not in ticks]
    if beyond:
        raise WarehouseError(
            f"{len(beyond)} minutes in {table} have no object in the archive, the first is "
            f"{beyond[0]:%Y-%m-%dT%H:%MZ}: no table was changed; let the copier sweep and run the job again, "
            "or delete these minutes from the table where their objects are gone for good"
        )
    return len(minutes)


def replace_days(
    client: bigquery.Client,
    replacements: Sequence[Replacement],
    days: Sequence[date],
    run: str,
    now: datetime,
) -> None:
    """Replace the days in all tables at once: a reader sees all the old rows or all the new ones.

    Raises WarehouseError, then nothing was changed; or LostJobError, then that is not known.
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
            otherwise="the days were not replaced, and nothing was changed",
        )


@contextmanager
def _stage_rows(
    client: bigquery.Client, replacements: Sequence[Replacement], run: str, now: datetime
) -> Iterator[dict[str, str]]:
    """Staging tables of those that get rows: table → staging table.

    They are deleted in the end, but not under a job that may still read or fill them.
    """
    staged: dict[str, str] = {}
    try:
        for replacement in replacements:
            if not replacement.rows and not replacement.uris:
                continue
            staging = f"{replacement.table}_staging_{run}"
            table = bigquery.Table(staging, schema=replacement.schema)
            table.expires = now + STAGING_EXPIRATION  # where this process is killed before it deletes
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
    except Exception as error:  # noqa: BLE001 - whatever it is, what the run did stays done
        log(logging.WARNING, f"{staging} stays until it expires: {error}")


def _load_staging_table(client: bigquery.Client, replacement: Replacement, staging: str, run: str) -> None:
    options = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]  # the client leaves it so
    options.enable_list_inference = True  # a list is a REPEATED column, not a RECORD with `list` in it
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=[bigquery.SchemaField.from_api_repr(dict(column)) for column in replacement.schema],
        parquet_options=options,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
    )
    name = staging.rpartition(".")[2]
    loaded = 0
    for start in range(0, len(replacement.uris), MAX_URIS):
        uris = list(replacement.uris[start : start + MAX_URIS])
        job_id = f"vlille-batch-{name}-{start}"
        begin = partial(client.load_table_from_uri, uris, staging, job_id=job_id, job_config=config)
        job = _wait_for_job(
            client,
            job_id,
            begin,
            otherwise=f"{len(uris)} Parquet files were not loaded, no table was changed",
        )
        loaded += job.output_rows or 0
    if loaded != replacement.rows:
        raise WarehouseError(
            f"{replacement.rows} rows were written for {replacement.table} and {loaded} loaded: "
            f"no table was changed; run the job again"
        )


def _wait_for_job(
    client: bigquery.Client, job_id: str, begin: Callable[[], LoadJob | QueryJob], *, otherwise: str
) -> Any:
    """The job of this id, which belongs to this run alone, once it has ended well.

    An error of the call that begins it or waits for it says little: the client sends a request again whose
    answer was lost, and gets a 409 for an id of our own; and a wait that is given up ends no job. Raises
    WarehouseError with `otherwise` for a job that failed or never began, LostJobError where nobody can say.
    """
    try:
        job = begin()
        job.result()
    except Exception as error:  # noqa: BLE001 - the transport's and the credentials' too
        fault = error
    else:
        return job
    is_refusal = isinstance(fault, ClientError) and not isinstance(fault, Conflict)
    look = client.get_job if is_refusal else RETRY_NOT_FOUND(client.get_job)
    try:
        while (seen := look(job_id)).state != "DONE":
            time.sleep(POLL_SECONDS)
    except NotFound:
        raise WarehouseError(f"{otherwise} ({_describe_error(fault)}): run the job again") from fault
    except Exception as error:
        raise UnknownJobStateError(
            f"the state of BigQuery job {job_id} is unknown ({_describe_error(fault)}; {_describe_error(error)}): "
            "look it up in BigQuery's job history, then run the batch again"
        ) from error
    if seen.error_result:
        raise WarehouseError(f"{otherwise} ({seen.error_result['message']}): run the job again") from fault
    return seen


def _describe_error(error: Exception) -> str:
    return getattr(error, "message", None) or str(error)


def _make_replace_statements(
    replacement: Replacement, staging: str | None, days: Sequence[date]
) -> list[str]:
    """What changes one table; other columns that it has beside the schema's stay null."""
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
    """What ends the transaction where the collector has loaded a minute since the table was looked at.

    ASSERT is not among the statements that BigQuery's documentation has in transactions; SELECT is.
    """
    table = replacement.table
    return (
        "SELECT IF((SELECT COUNT(DISTINCT collected_at) "  # noqa: S608
        f"FROM `{table}` WHERE {_make_day_condition(days)}) = {replacement.minutes}, NULL, "
        f"ERROR('{table} has got other minutes during the run'))"
    )


def _make_day_condition(days: Iterable[date], time: str = "collected_at") -> str:
    """The condition that BigQuery prunes partitions by."""
    dates = ", ".join(f"DATE '{day.isoformat()}'" for day in days)
    return f"DATE({time}) IN ({dates})"


def record_run(client: bigquery.Client, table: str, schema: Schema, row: Mapping[str, Any]) -> None:
    """Append the run's row by a load job whose id is the run's: a second attempt adds nothing.

    Raises WarehouseError or LostJobError.
    """
    config = bigquery.LoadJobConfig(
        schema=[bigquery.SchemaField.from_api_repr(dict(column)) for column in schema],
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
    )
    job_id = f"vlille-batch-{row['run_id']}-run"
    begin = partial(client.load_table_from_json, [dict(row)], table, job_id=job_id, job_config=config)
    _wait_for_job(client, job_id, begin, otherwise="its row was not loaded")


def make_run_id(now: datetime) -> str:
    """A run's id, such as `20231026T031500_1f0c9a2e`: time of its start and eight random digits."""
    return f"{now:%Y%m%dT%H%M%S}_{uuid.uuid4().hex[:8]}"
