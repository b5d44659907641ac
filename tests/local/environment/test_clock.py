import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.environment.clock import NoEventLeftError, RealClock, SimulatedClock, parse_duration
from local.errors import LocalError

pytestmark = pytest.mark.unit
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def test_simulated_time_jumps_from_event_to_event() -> None:
    clock = SimulatedClock(NOON)
    seen: list[datetime] = []
    clock.schedule_at(minutes(10), lambda: seen.append(clock.now()))
    assert clock.now() == NOON
    clock.run(lambda: bool(seen))
    assert seen == [minutes(10)]
    assert clock.now() == minutes(10)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_events_run_in_the_order_of_time_then_of_scheduling(offsets: list[int]) -> None:
    clock = SimulatedClock(NOON)
    happened: list[tuple[int, int]] = []
    for number, offset in enumerate(offsets):
        clock.schedule_at(minutes(offset), lambda n=number, o=offset: happened.append((o, n)))  # type: ignore[misc]
    clock.run(lambda: len(happened) == len(offsets))
    assert happened == sorted(happened)


def test_simulated_time_does_not_pass_while_work_is_in_flight() -> None:
    clock = SimulatedClock(NOON)
    events: list[str] = []

    def work() -> None:
        time.sleep(0.05)
        events.append(f"work at {clock.now():%H:%M}")

    clock.schedule_at(minutes(1), lambda: clock.start(work))
    clock.schedule_at(minutes(2), lambda: events.append("next"))
    clock.run(lambda: "next" in events)
    assert events == ["work at 12:01", "next"]
    clock.close()


def test_work_that_starts_work_keeps_time_still() -> None:
    clock = SimulatedClock(NOON)
    events: list[str] = []

    def inner() -> None:
        time.sleep(0.03)
        events.append("inner")

    clock.schedule_at(minutes(1), lambda: clock.start(lambda: clock.start(inner)))
    clock.schedule_at(minutes(2), lambda: events.append("next"))
    clock.run(lambda: "next" in events)
    assert events == ["inner", "next"]
    clock.close()


def test_a_cancelled_event_does_not_run() -> None:
    clock = SimulatedClock(NOON)
    events: list[str] = []
    clock.schedule_at(minutes(1), lambda: events.append("cancelled")).cancel()
    clock.schedule_at(minutes(2), lambda: events.append("kept"))
    clock.run(lambda: bool(events))
    assert events == ["kept"]


def test_an_event_in_the_past_runs_at_once() -> None:
    clock = SimulatedClock(NOON)
    seen: list[datetime] = []
    clock.schedule_at(minutes(-5), lambda: seen.append(clock.now()))
    clock.run(lambda: bool(seen))
    assert seen == [NOON]


def test_simulated_time_without_events_is_an_error() -> None:
    with pytest.raises(NoEventLeftError, match="2023-10-26 12:00"):
        SimulatedClock(NOON).run(lambda: False)


@pytest.mark.parametrize("clock", [SimulatedClock(NOON), RealClock()], ids=["simulated", "real"])
def test_an_exception_of_work_is_raised_by_run(clock: SimulatedClock | RealClock) -> None:
    def fail() -> None:
        raise LocalError("broken")

    clock.schedule_after(0, lambda: clock.start(fail))
    clock.schedule_after(3600, lambda: None)
    with pytest.raises(LocalError, match="broken"):
        clock.run(lambda: False)
    clock.close()


def test_real_time_passes_at_the_requested_speed() -> None:
    clock = RealClock(speed=600, start=NOON)
    happened = threading.Event()
    clock.schedule_after(30, happened.set)  # 0.05 s of real time
    began = time.monotonic()
    clock.run(happened.is_set)
    took = time.monotonic() - began
    assert minutes(0.5) <= clock.now()
    assert took >= 0.04
    clock.close()


def test_a_closed_clock_runs_no_event() -> None:
    clock = RealClock()
    events: list[str] = []
    clock.schedule_after(0, lambda: events.append("event"))
    clock.close()
    clock.start(lambda: events.append("work"))
    assert clock.in_flight == 0
    assert events == []


@pytest.mark.parametrize(("duration", "expected"), [("600s", 600.0), ("0.5s", 0.5), ("10", 10.0)])
def test_seconds(duration: str, expected: float) -> None:
    assert parse_duration(duration) == expected


def test_seconds_refuses_other_units() -> None:
    with pytest.raises(LocalError, match="found '10m'"):
        parse_duration("10m")
