"""Reconciliation, and the error when it fails."""

from dataclasses import fields
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import batch_runs_schema
from spark.rebuild.job import Run
from spark.rebuild.planning import ArchiveHour, StoredObject
from spark.rebuild.statistics import (
    HourResult,
    ReconciliationError,
    RunStatistics,
    format_days,
    merge_drifts,
    reconcile,
    sum_statistics_by_day,
)

pytestmark = pytest.mark.unit

DAY = date(2023, 10, 26)
COUNTS = st.integers(0, 10**6)


def hour(number: int, objects: int) -> ArchiveHour:
    return ArchiveHour(DAY, number, tuple(StoredObject(f"{number}/{each}", 1) for each in range(objects)))


def result(label: str, *counts: int, drifts: dict[str, int] | None = None) -> HourResult:
    return HourResult(label, RunStatistics(*counts), None, None, 0, drifts or {})


def test_sum_of_hours() -> None:
    results = [result("2023-10-26T04", 1, 1, 289, 288, 1), result("2023-10-26T03", 2, 0, 10, 10, 0)]
    assert reconcile([hour(3, 2), hour(4, 2)], results) == RunStatistics(3, 1, 299, 298, 1)


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([], "2 of 2 hours have no result, the first is 2023-10-26T03"),
        ([result("2023-10-26T03", 2)], "1 of 2 hours have no result, the first is 2023-10-26T04"),
        ([result("2023-10-26T03", 1)], "2 objects listed, but 1 read and 0 quarantined"),
        ([result("2023-10-26T03", 2, 1)], "2 objects listed, but 2 read and 1 quarantined"),
        ([result("2023-10-26T03", 2, 0, 5, 4, 0)], "5 records, but 4 rows and 0 rejected"),
        ([result("2023-10-26T03", 2)] * 2, "2023-10-26T03: reported twice"),
        ([result("2023-10-26T05", 0)], "2023-10-26T05: reported twice, or not among the hours of this run"),
    ],
)
def test_counts_that_differ_are_refused(results: list[HourResult], says: str) -> None:
    with pytest.raises(ReconciliationError, match=says):
        reconcile([hour(3, 2), hour(4, 2)], results)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS), min_size=2, max_size=5))
def test_statistics_are_added_field_by_field(counts: list[tuple[int, int, int, int, int]]) -> None:
    total = RunStatistics()
    for each in counts:
        total += RunStatistics(*each)
    assert total == RunStatistics(*(sum(column) for column in zip(*counts, strict=True)))


def test_statistics_of_days() -> None:
    results = [result("2023-10-26T04", 1), result("2023-10-26T05", 2, 1), result("2023-10-27T00", 4)]
    assert sum_statistics_by_day(results) == {DAY: RunStatistics(3, 1), date(2023, 10, 27): RunStatistics(4)}


def test_drifts_add_up_by_message() -> None:
    results = [result("a", drifts={"x": 2, "y": 1}), result("b", drifts={"x": 3})]
    assert merge_drifts(results) == {"x": 5, "y": 1}


@pytest.mark.parametrize(
    ("numbers", "phrase"),
    [
        ([1], "2023-10-01"),
        ([1, 2], "2023-10-01, 2023-10-02"),
        ([1, 2, 3, 4], "2023-10-01, 2023-10-02 and 2 more"),
    ],
)
def test_days_in_words(numbers: list[int], phrase: str) -> None:
    assert format_days([date(2023, 10, number) for number in numbers]) == phrase


def test_a_run_has_a_value_for_each_column_of_batch_runs() -> None:
    written = {each.name for each in (*fields(Run), *fields(RunStatistics))}
    assert [column["name"] for column in batch_runs_schema() if column["name"] not in written] == [], (
        "a new column of batch_runs: add the field to Run in src/spark/rebuild/job.py, or to RunStatistics"
    )
