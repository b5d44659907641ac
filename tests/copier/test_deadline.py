"""The share of the remaining time that a call may take."""

from typing import NoReturn

import pytest
from google.api_core.exceptions import RetryError, ServiceUnavailable

from copier.deadline import FINISH_SECONDS, Deadline, OutOfTimeError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("now", "timeout", "retry"),
    [
        (0.0, 10.0, 10.0),
        (30.0, 10.0, 10.0),
        (33.0, 10.0, 7.0),
        (40.0, 10.0, 0.0),
        (45.0, 5.0, 0.0),
        (49.5, 0.5, 0.0),
    ],
)
def test_a_call_may_take_what_is_left(now: float, timeout: float, retry: float) -> None:
    limits = Deadline(lambda: now, ends_at=30.0).limits()
    assert (limits["timeout"], limits["retry"].timeout) == (timeout, retry)


@pytest.mark.parametrize("now", [30.0 + FINISH_SECONDS, 3600.0])
def test_no_call_is_begun_after_the_time_to_finish(now: float) -> None:
    with pytest.raises(OutOfTimeError):
        Deadline(lambda: now, ends_at=30.0).limits()


@pytest.mark.parametrize(("now", "is_over"), [(29.9, False), (30.0, True), (31.0, True)])
def test_the_deadline(now: float, *, is_over: bool) -> None:
    assert Deadline(lambda: now, ends_at=30.0).is_over() is is_over


@pytest.mark.parametrize(("now", "is_over"), [(14.9, False), (15.0, True)])
def test_half_of_the_time_left(now: float, *, is_over: bool) -> None:
    times = iter([0.0, now])
    assert Deadline(lambda: next(times), ends_at=30.0).halfway().is_over() is is_over


def test_without_time_for_a_retry_there_is_one_attempt() -> None:
    attempts = []

    def fail() -> NoReturn:
        attempts.append(1)
        raise ServiceUnavailable("try again")  # type: ignore[no-untyped-call]

    with pytest.raises(RetryError, match="try again"):
        Deadline(lambda: 40.0, ends_at=30.0).limits()["retry"](fail)()
    assert len(attempts) == 1
