"""A day is rebuilt only when no delivery of its ticks can be at work: it would load rows beside the rebuilt ones."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from feed import Feed
from spark.rebuild.day_batches import FAILED
from spark.rebuild.job import Run, rebuild_days
from spark.settings import Settings

pytestmark = pytest.mark.unit


class _Service:
    """Any call is an error: what is refused touches nothing."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        raise RuntimeError("no such service")


def run_at(feed: Feed, now: datetime, service: _Service) -> Run:
    window = 67 * 60
    settings = Settings(
        *("p", "vlille", "europe-west1", "archive", "staging", feed.name),
        *(date(2026, 9, 14), date(2026, 9, 15)),
        redelivery_window_s=window,
    )
    nothing: Any = service
    return rebuild_days(settings, feed, gcs=nothing, bq=nothing, run_hours=nothing, clock=lambda: now)


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 9, 15, 12, tzinfo=UTC),
        datetime(2026, 9, 16, tzinfo=UTC),
        datetime(2026, 9, 16, 1, 6, 59, tzinfo=UTC),
    ],
)
def test_a_day_whose_ticks_may_still_be_delivered_is_refused(feeds: dict[str, Feed], now: datetime) -> None:
    service = _Service()
    run = run_at(feeds["vlille_ods"], now, service)
    assert run.status == FAILED
    assert run.message == (
        "2026-09-15 cannot be rebuilt before 2026-09-16T01:07Z, because its ticks can still be redelivered; "
        "no table was changed: run the batch again then, or now for days up to 2026-09-14"
    )
    assert set(service.calls) <= {"load_table_from_json", "get_job"}  # of the run's own row


def test_a_day_is_rebuilt_from_the_first_moment_on(feeds: dict[str, Feed]) -> None:
    service = _Service()
    run = run_at(feeds["vlille_ods"], datetime(2026, 9, 16, 1, 7, tzinfo=UTC), service)
    assert "get_table" in service.calls  # it went on
    assert run.message == "RuntimeError: no such service"
