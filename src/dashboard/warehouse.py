"""Queries of the views, each bounded in bytes, and a counter of what they were billed for today."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from google.api_core.exceptions import ClientError, GoogleAPICallError
from google.cloud import bigquery

PAST_SHARE = 0.1  # of the day's bytes: so much may be read of past days, of which anybody can name a new one
CANCEL_S = 2.0
TIMEOUT_S = 25.0  # of a query; a request ends before Cloud Run ends it
Parameter = str | int | datetime | date
Row = dict[str, Any]
_TYPES: dict[type, str] = {str: "STRING", int: "INT64", datetime: "TIMESTAMP", date: "DATE"}


class BudgetError(RuntimeError):
    """The day's bytes are used up: no query is begun before midnight UTC.

    What to do: wait until midnight UTC, or raise `dashboard.daily_gibibytes`; the last known data are shown until
    then.
    """


class Warehouse:
    """Runs queries; safe to use from any thread. `client` makes the client at the first query."""

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
        self._queries = self._bytes = self._past_bytes = 0
        self._lock = threading.Lock()

    def usage(self) -> dict[str, Any]:
        """What was billed since midnight UTC: `day`, `queries`, `bytes_billed`, `bytes_allowed`."""
        with self._lock:
            self._turn_day()
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
        is_past: bool = False,
    ) -> list[Row]:
        """Return the rows of a query, labelled with its purpose; `is_past` for days that are over.

        Raises BudgetError where the day's bytes are used up, and the client's errors.
        """
        self._check_allowance(is_past=is_past)
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
        except ClientError:  # refused, or failed while it ran: such a query is not billed
            raise
        except Exception:
            billed = 0 if job is None else _give_up(job, self._max_query_bytes)
            raise
        finally:
            self._count(billed, is_past=is_past)
        return rows

    def _check_allowance(self, *, is_past: bool) -> None:
        with self._lock:
            self._turn_day()
            if self._bytes >= self._daily_bytes:
                raise BudgetError(
                    f"the queries of {self._day} were billed for {self._bytes:,} bytes, all that dashboard."
                    "daily_gibibytes allows; the next ones run after midnight UTC"
                )
            if is_past and self._past_bytes >= self._daily_bytes * PAST_SHARE:
                raise BudgetError(
                    f"past days were read for {self._past_bytes:,} bytes on {self._day}, {PAST_SHARE:.0%} of what "
                    "dashboard.daily_gibibytes allows; days that were not read yet can be opened after midnight UTC"
                )

    def _count(self, billed: int, *, is_past: bool) -> None:
        with self._lock:
            self._turn_day()
            self._queries += 1
            self._bytes += billed
            self._past_bytes += billed if is_past else 0

    def _turn_day(self) -> None:
        if (today := self._now().date()) != self._day:
            self._day = today
            self._queries = self._bytes = self._past_bytes = 0


def _give_up(job: Any, most: int) -> int:
    """Cancel a job whose rows nobody waits for, and return the bytes it was billed for: `most` if unknown."""
    with suppress(GoogleAPICallError, OSError, TimeoutError):
        job.cancel(timeout=CANCEL_S)
        job.reload(timeout=CANCEL_S)
    return most if job.total_bytes_billed is None else int(job.total_bytes_billed)
