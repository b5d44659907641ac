"""Run queries of the views, with a limit of bytes per query and per day."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from google.api_core.exceptions import ClientError, GoogleAPICallError
from google.cloud import bigquery

CANCEL_S = 2.0
TIMEOUT_S = 25.0  # of a query, shorter than Cloud Run's timeout


@dataclass(frozen=True)
class Share:
    """The fraction of the daily bytes that one kind of query may use; `name` is for messages."""

    name: str
    part: float


PAST = Share("past days", 0.1)
SYSTEMS = Share("GBFS systems", 0.25)  # of all systems together, so that the page of the feed keeps the rest
Parameter = str | int | datetime | date
Row = dict[str, Any]
_TYPES: dict[type, str] = {str: "STRING", int: "INT64", datetime: "TIMESTAMP", date: "DATE"}


class BudgetError(RuntimeError):
    """The daily bytes are used up: no query runs before midnight UTC.

    What to do: wait until midnight UTC, or raise `dashboard.daily_gibibytes`; the last known data is shown until
    then.
    """


class Warehouse:
    """Runs queries; thread-safe. `client` makes the client at the first query."""

    def __init__(
        self,
        client: Callable[[], bigquery.Client],
        now: Callable[[], datetime],
        *,
        max_query_bytes: int,
        daily_bytes: int,
    ) -> None:
        self._client, self._now = client, now
        self._max_query_bytes, self._daily_bytes = max_query_bytes, daily_bytes
        self._day: date | None = None
        self._queries = self._bytes = 0
        self._share_bytes: Counter[Share] = Counter()
        self._lock = threading.Lock()

    def get_usage(self) -> dict[str, Any]:
        """Return the usage since midnight UTC: `day`, `queries`, `bytes_billed`, `bytes_allowed`."""
        with self._lock:
            self._start_new_day()
            return {
                "day": str(self._day),
                "queries": self._queries,
                "bytes_billed": self._bytes,
                "bytes_allowed": self._daily_bytes,
            }

    def query(
        self,
        purpose: str,
        sql: str,
        parameters: Mapping[str, Parameter] | None = None,
        *,
        share: Share | None = None,
    ) -> list[Row]:
        """Run a query and return its rows; `purpose` becomes a label.

        A query with a `share` may use no more than that part of the daily bytes.

        Raises BudgetError if the daily bytes are used up, and the client's errors.
        """
        self._check_allowance(share=share)
        config = bigquery.QueryJobConfig(
            maximum_bytes_billed=self._max_query_bytes,
            labels={"app": "vlille", "workload": "dashboard", "purpose": purpose},
            query_parameters=[
                bigquery.ScalarQueryParameter(name, _TYPES[type(value)], value)
                for name, value in (parameters or {}).items()
            ],
        )
        billed, job = 0, None
        try:
            job = self._client().query(sql, job_config=config, timeout=TIMEOUT_S)
            rows = [dict(row) for row in job.result(timeout=TIMEOUT_S)]
            billed = job.total_bytes_billed or 0
        except ClientError:  # refused or failed queries are not billed
            raise
        except Exception:
            billed = 0 if job is None else _cancel_job(job, self._max_query_bytes)
            raise
        finally:
            self._add_usage(billed, share=share)
        return rows

    def _check_allowance(self, *, share: Share | None) -> None:
        with self._lock:
            self._start_new_day()
            if self._bytes >= self._daily_bytes:
                raise BudgetError(
                    f"the queries of {self._day} were billed for {self._bytes:,} bytes, the limit of "
                    "dashboard.daily_gibibytes; queries resume after midnight UTC"
                )
            if share is not None and self._share_bytes[share] >= self._daily_bytes * share.part:
                raise BudgetError(
                    f"queries of {share.name} were billed for {self._share_bytes[share]:,} bytes on {self._day}, "
                    f"{share.part:.0%} of dashboard.daily_gibibytes; other {share.name} are available after "
                    "midnight UTC"
                )

    def _add_usage(self, billed: int, *, share: Share | None) -> None:
        with self._lock:
            self._start_new_day()
            self._queries += 1
            self._bytes += billed
            if share is not None:
                self._share_bytes[share] += billed

    def _start_new_day(self) -> None:
        if (today := self._now().date()) != self._day:
            self._day = today
            self._queries = self._bytes = 0
            self._share_bytes.clear()


def _cancel_job(job: Any, most: int) -> int:
    """Cancel a job, and return the bytes that it was billed for: `most` if unknown."""
    with suppress(GoogleAPICallError, OSError, TimeoutError):
        job.cancel(timeout=CANCEL_S)
        job.reload(timeout=CANCEL_S)
    return most if job.total_bytes_billed is None else int(job.total_bytes_billed)
