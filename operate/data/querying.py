"""BigQuery as the database of `make sql` and `make export`, and the file that an export writes."""

import json
import re
from collections.abc import Iterator, Sequence
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
from commands.errors import UsageError, format_suggestion, quote_value
from gbfs.feed_source import make_slug
from gbfs.tables import POLLS_TABLE
from gbfs.views import VIEW as SYSTEMS_VIEW
from operate.cloud import Cloud, find_connection_error
from operate.data.prompt import QueryFailedError, QueryResult
from operate.errors import OperateError

MOST_BYTES = 10 * 2**30  # billed by one query, six cents
DOLLARS_A_TIB = 6.25
FORMATS = ("parquet", "csv")
TIMESTAMP = "%Y-%m-%d %H:%M:%S+00"  # in UTC, as GoogleSQL and the prompt write it
MOST_SYSTEMS = 20  # named by an error
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
        self._systems = sorted(system.system_id for system in settings.gbfs_systems)

    def run_query(self, sql: str) -> QueryResult:
        """Run a query. Raises QueryFailedError, and UnreachableError where BigQuery does not respond."""
        try:
            job = self._client.query(sql, retry=RETRY, job_retry=None)
            rows = job.result(retry=RETRY, job_retry=None)
        except GoogleAPIError as error:
            raise _translate_error(error) from error
        billed = job.total_bytes_billed or 0
        price = f"${billed / 2**40 * DOLLARS_A_TIB:.4f} once the month's free TiB is used up"
        note = f"{billed / 2**20:,.0f} MiB billed: {price}"
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

    def list_systems(self, _dataset: str) -> list[str]:
        """Return the IDs of the GBFS systems that the environment collects, sorted."""
        return self._systems

    def list_tables(self) -> list[str]:
        """Return the names of views and tables."""
        return [
            f"{name}.{each.table_id}" for name in self._datasets for each in self._client.list_tables(name)
        ]


def check_system(system: str, known: Sequence[str], where: str) -> None:
    """Raise UsageError for a system that is not among those that `where`, an environment or its data, has."""
    if system in known:
        return
    found = f"SYSTEM: found {quote_value(system)}"
    if not known:
        raise UsageError(
            f"{found}, and {where} has no GBFS systems: list some in [gbfs] of the environment and deploy it, or "
            "collect some locally with `make up CITY=lille,paris`"
        )
    names = ", ".join(known[:MOST_SYSTEMS])
    more = f" and {len(known) - MOST_SYSTEMS} more" if len(known) > MOST_SYSTEMS else ""
    raise UsageError(
        f"{found}{format_suggestion(system, known)}; accepted: {names}{more} (the GBFS systems of {where})"
    )


def _translate_error(error: GoogleAPIError) -> OperateError | QueryFailedError:
    unreachable = find_connection_error(error, "BigQuery")
    return unreachable or QueryFailedError(getattr(error, "message", str(error)))


def build_day_query(day: date, zone: ZoneInfo, system: str | None = None) -> str:
    """Return the query for all rows of a local day of the feed, or of a GBFS system, in the order of time and station.

    The days and the feed of `gbfs_availability` bound what BigQuery bills: they select partitions and clusters.
    """
    start, end = (
        datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, day + timedelta(days=1))
    )
    source = "* FROM availability WHERE"
    if system is not None:
        last = end - timedelta(microseconds=1)
        source = (
            f"* EXCEPT (day) FROM {SYSTEMS_VIEW} WHERE day BETWEEN DATE '{start:%Y-%m-%d}' AND DATE '{last:%Y-%m-%d}' "
            f"AND feed = {_quote_string(system)} AND"
        )
    return (
        f"SELECT {source} collected_at >= TIMESTAMP '{start:{TIMESTAMP}}' "
        f"AND collected_at < TIMESTAMP '{end:{TIMESTAMP}}' ORDER BY collected_at, station_id"
    )


def build_collected_days_query(dataset: str, system: str) -> str:
    """Return the query for the UTC days on which a GBFS system was requested, for users to run."""
    return (
        f"SELECT DISTINCT DATE(collected_at) AS day FROM {dataset}.{POLLS_TABLE.name} "  # noqa: S608 - for users
        f"WHERE system_id = {_quote_string(system)} ORDER BY day"
    )


def _quote_string(text: str) -> str:
    """Return a text as a string literal of GoogleSQL, which has the escape sequences of JSON but no surrogates."""
    return json.dumps(text, ensure_ascii=False)


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


def name_export_file(environment: str, day: date, kind: str, system: str | None = None) -> Path:
    """Return the path of an exported day, in a folder that no local run empties.

    The ID of a GBFS system with other characters than ASCII letters, digits, `_` and `-` gets a hash as suffix, so that
    `a b` and `a/b` have two files.
    """
    name = "availability" if system is None else f"availability_{_make_file_name(system)}"
    return Path(".local") / "exports" / environment / f"{name}_{day}.{kind}"


def _make_file_name(system: str) -> str:
    return system if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", system) else make_slug(system)


def _format_value(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(TIMESTAMP)
    return str(value).lower() if isinstance(value, bool) else str(value)
