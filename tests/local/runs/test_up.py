import signal
from datetime import UTC, datetime, timedelta

import pytest

from local.runs.up import (
    describe_time,
    format_row_count,
    format_shutdown_summary,
    initial_lag,
    interrupt_on_first_signal,
    stop_on_signal,
)

pytestmark = pytest.mark.unit
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "speed", "expected"),
    [
        (timedelta(), 1, []),
        (timedelta(seconds=30), 60, []),
        (timedelta(days=-3), 200, []),
        (timedelta(hours=20), 1, ["1,200 minutes ahead of the host's clock"]),
        (timedelta(), 1200, ["SPEED=1200 is more than this host can keep up with", "above SPEED=200"]),
        (timedelta(hours=1), 300.5, ["60 minutes ahead", "SPEED=300.5 is"]),
    ],
)
def test_time_that_differs_from_the_hosts_is_reported(
    ahead: timedelta, speed: float, expected: list[str]
) -> None:
    text = " ".join(describe_time(NOON + ahead, NOON, speed))
    assert bool(text) is bool(expected)
    for each in expected:
        assert each in text


@pytest.mark.parametrize(
    ("mode", "ended", "expected"),
    [
        ("up", [], "dev was not running"),
        ("up", ["owner"], "stopped `make up` of dev"),
        ("cloud", ["owner"], "stopped the local environment of dev"),
        ("demo", ["owner", "storage"], "stopped `make demo` of dev, and with it storage"),
        ("up", ["storage", "BigQuery"], "stopped what a crash had left of dev: storage, BigQuery"),
    ],
)
def test_stopped_processes_are_described(mode: str, ended: list[str], expected: str) -> None:
    assert format_shutdown_summary("dev", mode, ended) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(0, "0 rows"), (12345, "12,345 rows"), (None, "the BigQuery emulator cannot count the rows now")],
)
def test_the_row_count_of_a_tick_is_formatted(rows: int | None, expected: str) -> None:
    assert format_row_count(rows) == expected


def test_only_the_first_signal_interrupts(
    capfd: pytest.CaptureFixture[str],
) -> None:
    interrupt = interrupt_on_first_signal()
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGINT, None)
    interrupt(signal.SIGINT, None)
    interrupt(signal.SIGTERM, None)
    assert capfd.readouterr().err == 2 * "\nstopping the processes, which takes some seconds\n"


def test_the_first_signal_stops_up_and_the_second_interrupts_it() -> None:
    with stop_on_signal() as text:
        signal.raise_signal(signal.SIGINT)
        assert text.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("speed", "ticks", "expected"),
    [
        (1.0, 5, timedelta()),
        (60.0, 0, timedelta(days=7)),
        (60.0, 4320, timedelta(days=7)),
        (60.0, 20 * 1440, timedelta(days=20)),
    ],
)
def test_faster_time_starts_early_enough_to_stay_behind_the_host(
    speed: float, ticks: int, expected: timedelta
) -> None:
    assert initial_lag(speed, ticks) == expected
