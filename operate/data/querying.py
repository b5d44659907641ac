"""BigQuery as the database of `make sql` and `make export`, and the file that an export writes."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from cdk.settings import Settings
from operate.cloud import Cloud, find_connection_error
from operate.data.prompt import QueryFailedError, QueryResult
from operate.errors import OperateError

MOST_BYTES = 10 * 2**30  # billed by one query, six cents
DOLLARS_A_TIB = 6.25
FORMATS = ("parquet", "csv")
RETRY = DEFAULT_RETRY.with_timeout(30)  # somebody waits for it


class BigQueryDatabase:
    """BigQuery with the user's credentials; a query bills at most 10 GiB."""

    def __init__(self, cloud: Cloud, settings: Settings) -> None:
        config = bigquery.QueryJobConfig(
            default_dataset=f"{settings.project}.{settings.views_dataset_id}",
            maximum_bytes_billed=MOST_BYTES,
            labels={"app": "vlille", "workload": "sql"},
        )
        self._client = bigquery.Client(
            project=settings.project,
            credentials=cloud.session.credentials,  # type: ignore[attr-defined]
            location=settings.region,
            default_query_job_config=config,
            client_options={"api_endpoint": cloud.endpoints.big_query.removesuffix("/bigquery/v2/")},
        )
        self._datasets = (settings.views_dataset_id, settings.dataset)

    def run_query(self, sql: str) -> QueryResult:
        """Run a query. Raises QueryFailedError, and UnreachableError where BigQuery does not respond."""
        try:
            job = self._client.query(sql, retry=RETRY, job_retry=None)
            rows = job.result(retry=RETRY, job_retry=None)
        except GoogleAPIError as error:
            raise _translate_error(error) from error
        billed = job.total_bytes_billed or 0
        note = f"{billed / 2**20:,.0f} MiB billed, ${billed / 2**40 * DOLLARS_A_TIB:.4f} beyond the free TiB a month"
        return QueryResult(
            [each.name for each in rows.schema], (tuple(map(_format_value, row)) for row in rows), note
        )

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query. Raises QueryFailedError, and UnreachableError where BigQuery does not respond."""
        try:
            yield from (
                self._client.query(sql, retry=RETRY, job_retry=None)
                .result(retry=RETRY, job_retry=None)
                .to_arrow_iterable()
            )
        except GoogleAPIError as error:
            raise _translate_error(error) from error

    def list_tables(self) -> list[str]:
        """Return the names of views and tables."""
        return [
            f"{name}.{each.table_id}" for name in self._datasets for each in self._client.list_tables(name)
        ]


def _translate_error(error: GoogleAPIError) -> OperateError | QueryFailedError:
    unreachable = find_connection_error(error, "BigQuery")
    return unreachable or QueryFailedError(getattr(error, "message", str(error)))


def build_day_query(day: date, zone: ZoneInfo) -> str:
    """Return the query for all rows of a local day of the feed, in the order of time and station."""
    start, end = (
        datetime.combine(each, time(), zone).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S+00")
        for each in (day, day + timedelta(days=1))
    )
    return (
        f"SELECT * FROM availability WHERE collected_at >= TIMESTAMP '{start}' "  # noqa: S608 - a date's digits
        f"AND collected_at < TIMESTAMP '{end}' ORDER BY collected_at, station_id"
    )


def write_rows(batches: Iterator[pa.RecordBatch], file: Path, kind: str) -> int:
    """Write rows into a file, which is there only once it is complete, and return how many there are.

    Without rows, no file is written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.part")
    writer: Any = None
    rows = 0
    try:
        for batch in batches:
            if writer is None:
                writer = (
                    pa.parquet.ParquetWriter(temporary, batch.schema, compression="zstd")
                    if kind == "parquet"
                    else pa.csv.CSVWriter(temporary, batch.schema)
                )
            writer.write_batch(batch)
            rows += batch.num_rows
        if writer is not None:
            writer.close()
            temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def name_export_file(environment: str, day: date, kind: str) -> Path:
    """Return the path of an exported day, in a folder that no local run empties."""
    return Path(".local") / "exports" / environment / f"availability_{day}.{kind}"


def _format_value(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S+00")
    return str(value).lower() if isinstance(value, bool) else str(value)
