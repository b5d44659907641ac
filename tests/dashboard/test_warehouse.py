"""The billed bytes of queries, and their daily limit."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, InternalServerError

from dashboard.warehouse import PAST, BudgetError, Warehouse
from tests.dashboard.conftest import FakeClock, FakeJob

pytestmark = pytest.mark.unit

MIB = 2**20


class FakeClient:
    """A fake BigQuery client: returns the next job for each query, or raises the next error."""

    def __init__(self, *jobs: FakeJob | Exception) -> None:
        self._jobs = iter(jobs)

    def query(self, _sql: str, **_more: Any) -> FakeJob:
        job = next(self._jobs)
        if isinstance(job, Exception):
            raise job
        return job


@pytest.fixture
def make_warehouse(clock: FakeClock) -> Callable[..., Warehouse]:
    """Make a warehouse with these jobs, with 100 MiB per day and 30 MiB per query."""

    def make(*jobs: FakeJob | Exception) -> Warehouse:
        client = FakeClient(*jobs)
        return Warehouse(lambda: client, clock, max_query_bytes=30 * MIB, daily_bytes=100 * MIB)  # type: ignore[arg-type, return-value]

    return make


@pytest.mark.parametrize(
    ("job", "mebibytes"),
    [
        (FakeJob([{"n": 1}], 10 * MIB), 10),
        (FakeJob([], None), 0),  # from BigQuery's result cache
        (FakeJob([], error=TimeoutError("not done"), billed_when_cancelled=12 * MIB), 12),
        (FakeJob([], error=TimeoutError("not done")), 30),
        (FakeJob([], error=InternalServerError("backend")), 30),  # type: ignore[no-untyped-call]
        (FakeJob([], error=BadRequest("bytes billed limit")), 0),  # type: ignore[no-untyped-call]
        (OSError("BigQuery does not respond"), 0),
    ],
)
def test_each_query_counts_with_the_bytes_that_may_be_billed(
    make_warehouse: Callable[..., Warehouse], job: FakeJob | Exception, mebibytes: int
) -> None:
    warehouse = make_warehouse(job)
    error = job if isinstance(job, Exception) else job.error
    if error is None:
        assert warehouse.query("now", "SELECT 1") == job.rows  # type: ignore[union-attr]
    else:
        with pytest.raises(type(error)):
            warehouse.query("now", "SELECT 1")
    assert (warehouse.get_usage()["bytes_billed"], warehouse.get_usage()["queries"]) == (mebibytes * MIB, 1)


def test_a_query_that_takes_too_long_is_cancelled(make_warehouse: Callable[..., Warehouse]) -> None:
    job = FakeJob([], error=TimeoutError("not done"))
    with pytest.raises(TimeoutError):
        make_warehouse(job).query("now", "SELECT 1")
    assert job.cancelled


def test_past_days_use_no_more_than_their_share_of_the_daily_bytes(
    make_warehouse: Callable[..., Warehouse], clock: FakeClock
) -> None:
    warehouse = make_warehouse(*(FakeJob([], 5 * MIB) for _ in range(20)))
    for _ in range(round(100 * PAST.part / 5)):
        warehouse.query("day", "SELECT 1", share=PAST)
    with pytest.raises(
        BudgetError, match="queries of past days were billed for 10,485,760 bytes on 2026-11-24, 10% of "
    ):
        warehouse.query("day", "SELECT 1", share=PAST)
    assert warehouse.query("now", "SELECT 1") == []
    clock.time += timedelta(days=1)
    assert warehouse.query("day", "SELECT 1", share=PAST) == []


def test_no_query_runs_once_the_daily_bytes_are_used_up(
    make_warehouse: Callable[..., Warehouse], clock: FakeClock
) -> None:
    warehouse = make_warehouse(FakeJob([], 100 * MIB), FakeJob([], 1))
    warehouse.query("now", "SELECT 1")
    with pytest.raises(BudgetError, match="the queries of 2026-11-24 were billed for 104,857,600 bytes"):
        warehouse.query("now", "SELECT 1")
    clock.time += timedelta(days=1)
    assert warehouse.query("now", "SELECT 1") == []
