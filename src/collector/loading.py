"""Rows into BigQuery by load jobs: free, atomic, and refused the second time."""

import io
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.exceptions import Conflict, Forbidden, GoogleAPICallError, NotFound
from google.cloud import bigquery

from telemetry import log

ATTEMPTS = 5  # jobs of one tick and table, over all its deliveries
JOB_SECONDS = 60.0
# Reasons for which another job at once fails as well: https://cloud.google.com/bigquery/docs/error-messages
QUOTA_REASONS = frozenset({"quotaExceeded", "rateLimitExceeded"})
QUOTA_PAUSE = timedelta(minutes=5)


class LoadError(RuntimeError):
    """Rows could not be loaded; the tick is delivered again.

    What to do: nothing at first: the message is redelivered, and the nightly rebuild loads stored responses. The
    log names table and reason.
    """


class QuotaError(LoadError):
    """A quota is used up: no further job is made for QUOTA_PAUSE after the last one failed.

    What to do: wait: collection of responses continues, and the nightly rebuild loads the rows. `make smoke` counts
    the day's load jobs.
    """


def utc_now() -> datetime:
    """The time that the pause after a job is counted to."""
    return datetime.now(UTC)


def load_once(
    client: bigquery.Client,
    table: str,
    rows: Sequence[dict[str, Any]],
    schema: Sequence[dict[str, Any]],
    job_id: str,
) -> bool:
    """Append rows unless a job of this id has done so; return whether this call did. See `load_lines_once`."""
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    return load_lines_once(client, table, lines, schema, job_id)


def load_lines_once(
    client: bigquery.Client, table: str, lines: bytes, schema: Sequence[dict[str, Any]], job_id: str
) -> bool:
    """Append rows, one JSON object a line, unless a job of this id has done so; return whether this call did.

    A job's id is used once per project, also by a job that failed: then the next attempt has its own. So a tick
    makes at most ATTEMPTS jobs, however often it is delivered. Where a quota is used up, a failed job counts
    against it too: the next one is left to a delivery that comes QUOTA_PAUSE later or after.
    Raises LoadError after ATTEMPTS failed jobs, naming the last one's error, and QuotaError in the pause.
    """
    last: Exception | None = None
    for attempt in range(ATTEMPTS):
        attempt_id = _attempt_id(job_id, attempt)
        try:
            is_ours = _run(client, table, lines, schema, attempt_id)
        except GoogleAPICallError as error:
            # Whether this attempt's job failed just now or in an earlier delivery, its id is spent.
            job = _failed_job(client, attempt_id)
            if job is None:
                raise
            _pause_for_quota(job, table)
            words = f"load job {attempt_id} failed: {error}"
            log(logging.WARNING, words, event="load_job_failed", job=attempt_id, table=table)
            last = error
        else:
            return is_ours
    raise LoadError(
        f"{table}: {ATTEMPTS} load jobs failed, the last one {job_id}-{ATTEMPTS - 1}: {last}"
    ) from last


def is_loaded(client: bigquery.Client, job_id: str) -> bool:
    """Whether a job that `load_lines_once` made for this ID has appended its rows; one that still runs has not."""
    for attempt in range(ATTEMPTS):
        try:
            job = client.get_job(_attempt_id(job_id, attempt), timeout=JOB_SECONDS)
        except (Forbidden, NotFound):  # who may see only their own jobs may be refused where there is none
            return False
        if job.state != "DONE" or not job.error_result:
            return bool(job.state == "DONE")
    return False


def has_rows(client: bigquery.Client, table: str, where: Mapping[str, datetime | str]) -> bool:
    """Whether the table has a row with these values, whoever wrote it; with `collected_at` it reads one partition."""
    conditions = " AND ".join(f"`{column}` = @{column}" for column in where)
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter(
                column, "TIMESTAMP" if isinstance(value, datetime) else "STRING", value
            )
            for column, value in where.items()
        ]
    )
    sql = f"SELECT 1 FROM `{table}` WHERE {conditions} LIMIT 1"  # noqa: S608 - the stack's names, and parameters
    found = client.query(sql, job_config=config, timeout=JOB_SECONDS).result(timeout=JOB_SECONDS)
    return any(True for _ in found)


def _attempt_id(job_id: str, attempt: int) -> str:
    return job_id if attempt == 0 else f"{job_id}-{attempt}"


def _run(
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
            size=len(lines),  # so that it goes in one request, not in a resumable upload's three
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


def _failed_job(client: bigquery.Client, job_id: str) -> Any:
    """The job of this ID if it has failed, else None."""
    try:
        job = client.get_job(job_id, timeout=JOB_SECONDS)
    except GoogleAPICallError:
        return None
    return job if job.state == "DONE" and job.error_result else None


def _pause_for_quota(job: Any, table: str) -> None:
    """Raise QuotaError where the job failed for a quota, and not long ago."""
    reason = job.error_result.get("reason")
    if reason not in QUOTA_REASONS or job.ended is None or utc_now() >= job.ended + QUOTA_PAUSE:
        return
    until = job.ended + QUOTA_PAUSE
    words = f"{table}: load job {job.job_id} failed with {reason}: no further job before {until:%H:%M:%S} UTC"
    log(logging.ERROR, words, event="quota_exceeded", job=job.job_id, table=table, reason=reason)
    raise QuotaError(words)
