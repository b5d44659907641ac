from datetime import UTC, datetime, timedelta

import pytest

from local.up import about_time

pytestmark = pytest.mark.unit
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "speed", "expected"),
    [
        (timedelta(), 1, []),
        (timedelta(seconds=30), 60, []),
        (timedelta(days=-3), 200, []),
        (timedelta(hours=20), 1, ["1,200 minutes ahead of this machine's clock"]),
        (timedelta(), 1200, ["SPEED=1200 is more than this machine keeps up with", "above SPEED=200"]),
        (timedelta(hours=1), 300.5, ["60 minutes ahead", "SPEED=300.5 is"]),
    ],
)
def test_the_user_is_told_of_time_that_is_not_the_machines(
    ahead: timedelta, speed: float, expected: list[str]
) -> None:
    told = " ".join(about_time(NOON + ahead, NOON, speed))
    assert bool(told) is bool(expected)
    for each in expected:
        assert each in told
