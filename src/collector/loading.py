"""Load rows into BigQuery by load jobs: free, atomic, and idempotent by their job ID."""

import io
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.exceptions import Conflict, Forbidden, GoogleAPICallError, NotFound
from google.cloud import bigquery

from telemetry import log

ATTEMPTS = 5  # load jobs of one tick and table, over all its deliveries
JOB_SECONDS = 60.0
# Reasons for which an immediate further job would fail as well: https://cloud.google.com/bigquery/docs/error-messages
QUOTA_REASONS = frozenset({"quotaExceeded", "rateLimitExceeded"})
QUOTA_PAUSE = timedelta(minutes=5)


class LoadError(RuntimeError):
    """Rows could not be loaded; Pub/Sub redelivers the tick.

    What to do: nothing at first: the message is redelivered, and the nightly rebuild loads stored responses. The
    log names table and reason.
    """


class QuotaError(LoadError):
    """A quota is exceeded: no further job is started for 5 minutes after the last failure.

    What to do: wait: collection of responses continues, and the nightly rebuild loads the rows. `make smoke` counts
    the day's load jobs.
    """


def get_utc_now() -> datetime:
    """Return the current time; tests replace it."""
    return datetime.now(UTC)


def load_rows_once(
    client: bigquery.Client,
    table: str,
    rows: Sequence[dict[str, Any]],
    schema: Sequence[dict[str, Any]],
    job_id: str,
) -> bool:
    """Append rows unless a job with this ID has done so; return whether this call did. See `load_lines_once`."""
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    return load_lines_once(client, table, lines, schema, job_id)


def load_lines_once(
    client: bigquery.Client, table: str, lines: bytes, schema: Sequence[dict[str, Any]], job_id: str
) -> bool:
    """Append newline-delimited JSON unless a job with this ID has done so; return whether this call did.

    A project can use a job ID only once, also if the job failed; so each attempt has an ID of its own, and a tick
    starts at most ATTEMPTS jobs, however often it is delivered. Failed jobs count against an exceeded quota too, so
    the next attempt is left to a delivery that comes at least QUOTA_PAUSE later. Raises LoadError with the last error
    after ATTEMPTS failed jobs, and QuotaError during the pause.
    """
    last: Exception | None = None
    for attempt in range(ATTEMPTS):
        attempt_id = _make_attempt_id(job_id, attempt)
        try:
            is_ours = _run_load_job(client, table, lines, schema, attempt_id)
        except GoogleAPICallError as error:
            # This attempt's job failed, now or in an earlier delivery: its ID cannot be used again.
            job = _get_failed_job(client, attempt_id)
            if job is None:
                raise
            _check_quota_pause(job, table)
            message = f"load job {attempt_id} failed: {error}"
            log(logging.WARNING, message, event="load_job_failed", job=attempt_id, table=table)
            last = error
        else:
            return is_ours
    raise LoadError(
        f"{table}: all {ATTEMPTS} load jobs failed; the last one, {job_id}-{ATTEMPTS - 1}: {last}"
    ) from last


def is_loaded(client: bigquery.Client, job_id: str) -> bool:
    """Return whether a job that `load_lines_once` started for this ID has appended its rows; not while it runs."""
    for attempt in range(ATTEMPTS):
        try:
            job = client.get_job(_make_attempt_id(job_id, attempt), timeout=JOB_SECONDS)
        except (Forbidden, NotFound):  # without permission to see all jobs, a missing job may be a 403
            return False
        if job.state != "DONE" or not job.error_result:
            return bool(job.state == "DONE")
    return False


def has_rows(client: bigquery.Client, table: str, where: Mapping[str, datetime | str]) -> bool:
    """Return whether the table has a row with these values. A condition on `collected_at` reads one partition only."""
    conditions = " AND ".join(f"`{column}` = @{column}" for column in where)
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter(
                column, "TIMESTAMP" if isinstance(value, datetime) else "STRING", value
            )
            for column, value in where.items()
        ]
    )
    sql = f"SELECT 1 FROM `{table}` WHERE {conditions} LIMIT 1"  # noqa: S608 - names come from the stack, values are parameters
    found = client.query(sql, job_config=config, timeout=JOB_SECONDS).result(timeout=JOB_SECONDS)
    return any(True for _ in found)


def _make_attempt_id(job_id: str, attempt: int) -> str:
    return job_id if attempt == 0 else f"{job_id}-{attempt}"


def _run_load_job(
    client: bigquery.Client,
    table: str,
    lines: bytes,
    schema: Sequence[dict[str, Any]],
    job_id: str,
) -> bool:
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        schema=[bigquery.SchemaField.from_api_repr(column) for column in schema],
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    try:
        job = client.load_table_from_file(
            io.BytesIO(lines),
            table,
            size=len(lines),  # one request instead of the three of a resumable upload
            job_id=job_id,
            job_config=config,
            timeout=JOB_SECONDS,
            num_retries=2,
        )
    except Conflict:
        client.get_job(job_id, timeout=JOB_SECONDS).result(timeout=JOB_SECONDS)
        return False
    job.result(timeout=JOB_SECONDS)
    return True


def _get_failed_job(client: bigquery.Client, job_id: str) -> Any:
    """Return the job if it has failed, else None."""
    try:
        job = client.get_job(job_id, timeout=JOB_SECONDS)
    except GoogleAPICallError:
        return None
    return job if job.state == "DONE" and job.error_result else None


def _check_quota_pause(job: Any, table: str) -> None:
    """Raise QuotaError if the job failed because of a quota, less than QUOTA_PAUSE ago."""
    reason = job.error_result.get("reason")
    if reason not in QUOTA_REASONS or job.ended is None or get_utc_now() >= job.ended + QUOTA_PAUSE:
        return
    until = job.ended + QUOTA_PAUSE
    message = (
        f"{table}: load job {job.job_id} failed with {reason}; no further job before {until:%H:%M:%S} UTC"
    )
    log(logging.ERROR, message, event="quota_exceeded", job=job.job_id, table=table, reason=reason)
    raise QuotaError(message)
