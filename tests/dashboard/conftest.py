"""A fake BigQuery client with rows in memory, and a clock that tests set."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import flask
import pytest

from dashboard.app import create_app
from dashboard.settings import Settings

SETTINGS = Settings(
    views="demo.vlille_views",
    feed="vlille_ods",
    title="V'Lille <test>",
    licence="Licence Ouverte 2.0",
    time_zone=ZoneInfo("Europe/Paris"),
    environment="test",
    max_query_bytes=2**30,
    daily_bytes=2**30,
    cache_bytes=2**24,
)
NOON = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)  # 12:00 in Lille


@dataclass
class FakeJob:
    """A fake query job."""

    rows: list[dict[str, Any]]
    total_bytes_billed: int | None = 10 * 2**20
    error: Exception | None = None  # raised by result()
    billed_when_cancelled: int | None = None
    cancelled: bool = False

    def result(self, timeout: float) -> list[dict[str, Any]]:
        assert timeout > 0
        if self.error is not None:
            self.total_bytes_billed = None
            raise self.error
        return self.rows

    def cancel(self, timeout: float) -> None:
        assert timeout > 0
        self.cancelled = True

    def reload(self, timeout: float) -> None:
        assert timeout > 0
        self.total_bytes_billed = self.billed_when_cancelled


@dataclass
class FakeClient:
    """A fake BigQuery client: rows by the purpose in the query's label, or an error."""

    rows: dict[str, list[dict[str, Any]]]
    error: Exception | None = None
    configs: list[Any] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def query(self, sql: str, job_config: Any, timeout: float) -> FakeJob:
        assert "demo.vlille_views." in sql
        assert timeout > 0
        if self.error is not None:
            raise self.error
        self.configs.append(job_config)
        self.statements.append(sql)
        purpose = job_config.labels["purpose"]
        return FakeJob(self.rows.get("rebuilds" if "rebuilds" in sql else purpose, []))

    @property
    def purposes(self) -> list[str]:
        """Return the purposes of the queries so far."""
        return [config.labels["purpose"] for config in self.configs]


@dataclass
class FakeClock:
    """A clock that only a test advances."""

    time: datetime = NOON + timedelta(seconds=20)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def client() -> FakeClient:
    """Three stations at noon: one is empty, one out of service."""
    places = {"1": (50.63, 3.06, "LILLE"), "2": (50.64, 3.07, "LILLE"), "3": (50.65, 3.05, "MARQUETTE")}
    names = {"1": "Gare", "2": "<b>Place</b>", "3": "Parc"}
    bikes = {"1": (3, 7), "2": (0, 12), "3": (None, None)}
    return FakeClient(
        {
            "now": [
                {
                    "collected_at": NOON,
                    "station_id": number,
                    "num_bikes_available": bikes[number][0],
                    "num_docks_available": bikes[number][1],
                    "is_operational": number != "3",
                    "last_reported": NOON,
                }
                for number in names
            ],
            "stations": [
                {
                    "station_id": number,
                    "name": names[number],
                    "area": place[2],
                    "latitude": place[0],
                    "longitude": place[1],
                    "capacity": 12,
                }
                for number, place in places.items()
            ],
            "days": [{"day": NOON.date(), "minutes": 661}],
            "day": [
                {"station_id": "1", "series": "0:5:5,720:3:7"},
                {"station_id": "2", "series": "720:0:12"},
            ],
            "week": [{"station_id": "1", "series": "1:8:4:2.0:25.0:0.0"}],
            "status": [{"day": NOON.date(), "reason": "bad_value", "records": 2}],
            "rebuilds": [{"finished_at": NOON, "first_day": NOON.date(), "agrees": True}],
        }
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(client: FakeClient, clock: FakeClock) -> flask.Flask:
    """The application with the fake client."""
    return create_app(SETTINGS, lambda: client, clock)  # type: ignore[arg-type, return-value]
