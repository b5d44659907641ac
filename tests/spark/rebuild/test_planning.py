"""Days → hours → parts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import archive_name
from spark.rebuild.planning import ArchiveHour, StoredObject, partition_hours, plan_hours, split_into_batches

pytestmark = pytest.mark.unit

DAY = date(2023, 10, 26)
PREFIX = "feed=vlille_ods/date=2023-10-26/"


def test_objects_by_hour_and_name() -> None:
    names = ["hour=20/b", "hour=03/c", "hour=20/a"]
    hours = plan_hours(DAY, [StoredObject(PREFIX + name, 1) for name in names])
    assert [(hour.label, [each.name.removeprefix(PREFIX) for each in hour.objects]) for hour in hours] == [
        ("2023-10-26T03", ["hour=03/c"]),
        ("2023-10-26T20", ["hour=20/a", "hour=20/b"]),
    ]


@pytest.mark.parametrize("name", ["README", "hour=24/x", "hour=1/x", "hour=ab/x", "hour=05", ""])
def test_a_name_without_an_hour_goes_to_the_first(name: str) -> None:
    assert [hour.hour for hour in plan_hours(DAY, [StoredObject(PREFIX + name, 1)])] == [0]


def test_nothing_listed_is_no_hour() -> None:
    assert plan_hours(DAY, []) == []


@given(st.sets(st.integers(0, 1439) | st.text(max_size=12), max_size=40))
def test_each_object_in_exactly_one_hour(what: set[int | str]) -> None:
    midnight = datetime(2023, 10, 26, tzinfo=UTC)
    names = {
        archive_name("vlille_ods", midnight + timedelta(minutes=each))
        if isinstance(each, int)
        else PREFIX + each
        for each in what
    }
    hours = plan_hours(DAY, [StoredObject(name, 1) for name in names])
    assert sorted(each.name for hour in hours for each in hour.objects) == sorted(names)
    assert len({hour.label for hour in hours}) == len(hours)


@pytest.mark.parametrize(
    ("sizes", "parts", "dealt"),
    [
        ([1, 1, 1, 100], 4, [[1], [1], [1], [100]]),
        ([1, 1, 1, 100], 9, [[1], [1], [1], [100]]),
        ([100, 1, 1, 1], 4, [[100], [1], [1], [1]]),
        ([1, 1, 1, 100], 2, [[1, 1, 1], [100]]),
        ([60, 60, 60, 60], 2, [[60, 60], [60, 60]]),
        ([], 3, []),
    ],
)
def test_as_many_parts_as_may_be(sizes: list[int], parts: int, dealt: list[list[int]]) -> None:
    hours = [
        ArchiveHour(DAY, number, tuple(StoredObject(str(each), 1) for each in range(size)))
        for number, size in enumerate(sizes)
    ]
    assert [[len(hour.objects) for hour in part] for part in partition_hours(hours, parts)] == dealt


@given(st.lists(st.integers(1, 90), max_size=60), st.integers(1, 20))
def test_partitions_are_ordered_and_similar_in_size(sizes: list[int], parts: int) -> None:
    hours = [
        ArchiveHour(DAY, number, tuple(StoredObject(str(each), 1) for each in range(size)))
        for number, size in enumerate(sizes)
    ]
    dealt = partition_hours(hours, parts)
    assert [hour for part in dealt for hour in part] == hours
    assert len(dealt) == min(parts, len(hours))
    assert all(dealt)
    heaviest = max((sum(len(hour.objects) for hour in part) for part in dealt), default=0)
    assert heaviest <= sum(sizes) / parts + max(sizes, default=0)


@given(st.integers(0, 40), st.integers(1, 50))
def test_stretches_are_all_days_in_order(count: int, length: int) -> None:
    days = [DAY + timedelta(number) for number in range(count)]
    cut = split_into_batches(days, length)
    assert [day for each in cut for day in each] == days
    assert all(len(each) == length for each in cut[:-1])
