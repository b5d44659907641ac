"""What queries are billed for, and what they may be billed for in a day."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, InternalServerError

from dashboard.warehouse import PAST_SHARE, BudgetError, Warehouse
from tests.dashboard.conftest import Clock, Job

pytestmark = pytest.mark.unit

MIB = 2**20


class Client:
    """Answers each query with the next job, or raises the next error."""

    def __init__(self, *jobs: Job | Exception) -> None:
        self._jobs = iter(jobs)

    def query(self, _sql: str, **_more: Any) -> Job:
        job = next(self._jobs)
        if isinstance(job, Exception):
            raise job
        return job


@pytest.fixture
def warehouse(clock: Clock) -> Callable[..., Warehouse]:
    """Make a warehouse over jobs, with 100 MiB a day and 30 MiB a query."""

    def make(*jobs: Job | Exception) -> Warehouse:
        client = Client(*jobs)
        return Warehouse(lambda: client, clock, max_query_bytes=30 * MIB, daily_bytes=100 * MIB)  # type: ignore[arg-type, return-value]

    return make


@pytest.mark.parametrize(
    ("job", "mebibytes"),
    [
        (Job([{"n": 1}], 10 * MIB), 10),
        (Job([], None), 0),  # from BigQuery's cache of results
        (Job([], error=TimeoutError("not done"), billed_when_cancelled=12 * MIB), 12),
        (Job([], error=TimeoutError("not done")), 30),
        (Job([], error=InternalServerError("backend")), 30),  # type: ignore[no-untyped-call]
        (Job([], error=BadRequest("bytes billed limit")), 0),  # type: ignore[no-untyped-call]
        (OSError("BigQuery does not respond"), 0),
    ],
)
def test_each_query_counts_for_what_it_may_be_billed_for(
    warehouse: Callable[..., Warehouse], job: Job | Exception, mebibytes: int
) -> None:
    one = warehouse(job)
    error = job if isinstance(job, Exception) else job.error
    if error is None:
        assert one.query("now", "SELECT 1") == job.rows  # type: ignore[union-attr]
    else:
        with pytest.raises(type(error)):
            one.query("now", "SELECT 1")
    assert (one.usage()["bytes_billed"], one.usage()["queries"]) == (mebibytes * MIB, 1)


def test_a_query_that_takes_too_long_is_cancelled(warehouse: Callable[..., Warehouse]) -> None:
    job = Job([], error=TimeoutError("not done"))
    with pytest.raises(TimeoutError):
        warehouse(job).query("now", "SELECT 1")
    assert job.cancelled


def test_past_days_use_up_no_more_than_their_share_of_a_day(
    warehouse: Callable[..., Warehouse], clock: Clock
) -> None:
    one = warehouse(*(Job([], 5 * MIB) for _ in range(20)))
    for _ in range(round(100 * PAST_SHARE / 5)):
        one.query("day", "SELECT 1", is_past=True)
    with pytest.raises(
        BudgetError, match="past days were read for 10,485,760 bytes on 2026-11-24, 10% of what"
    ):
        one.query("day", "SELECT 1", is_past=True)
    assert one.query("now", "SELECT 1") == []
    clock.time += timedelta(days=1)
    assert one.query("day", "SELECT 1", is_past=True) == []


def test_a_day_without_bytes_left_begins_no_query(warehouse: Callable[..., Warehouse], clock: Clock) -> None:
    one = warehouse(Job([], 100 * MIB), Job([], 1))
    one.query("now", "SELECT 1")
    with pytest.raises(BudgetError, match="the queries of 2026-11-24 were billed for 104,857,600 bytes"):
        one.query("now", "SELECT 1")
    clock.time += timedelta(days=1)
    assert one.query("now", "SELECT 1") == []
