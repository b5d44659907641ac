"""Queries of the views, each bounded in bytes, and a counter of what they were billed for today."""

import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from google.cloud import bigquery

TIMEOUT_S = 25.0  # of a query; a request ends before Cloud Run ends it
Parameter = str | int | datetime | date
Row = dict[str, Any]
_TYPES: dict[type, str] = {str: "STRING", int: "INT64", datetime: "TIMESTAMP", date: "DATE"}


class BudgetError(RuntimeError):
    """The day's bytes are used up: no query is begun before midnight UTC."""


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
        self._queries = self._bytes = 0
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

    def query(self, purpose: str, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        """Return the rows of a query, labelled with its purpose.

        Raises BudgetError where the day's bytes are used up, and the client's errors.
        """
        with self._lock:
            self._turn_day()
            if self._bytes >= self._daily_bytes:
                raise BudgetError(
                    f"the queries of {self._day} were billed for {self._bytes:,} bytes, all that dashboard."
                    "daily_gibibytes allows; the next ones run after midnight UTC"
                )
        config = bigquery.QueryJobConfig(
            maximum_bytes_billed=self._max_query_bytes,
            labels={"app": "vlille", "workload": "dashboard", "purpose": purpose},
            query_parameters=[
                bigquery.ScalarQueryParameter(name, _TYPES[type(value)], value)
                for name, value in (parameters or {}).items()
            ],
        )
        job = self._client().query(sql, job_config=config, timeout=TIMEOUT_S)
        rows = [dict(row) for row in job.result(timeout=TIMEOUT_S)]
        with self._lock:
            self._turn_day()
            self._queries += 1
            self._bytes += job.total_bytes_billed or 0
        return rows

    def _turn_day(self) -> None:
        if (today := self._now().date()) != self._day:
            self._day, self._queries, self._bytes = today, 0, 0
