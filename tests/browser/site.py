"""Serve the dashboard with generated data on the loopback interface, for browser tests and screenshots."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.serving import make_server

from dashboard.app import create_app
from dashboard.data.day_file import LocalDay
from dashboard.data.source import COLUMNS
from dashboard.settings import Settings
from local.feeds.generated_day import Station, make_stations
from tests.dashboard.conftest import FakeJob

ZONE = ZoneInfo("Europe/Paris")
MISSING_MINUTES = {125, 126, 540, 541, 542, 543, 871}  # minutes of each day without a response
BIKE_STEP_S = 300  # bikes change every five minutes; generating every minute would take too long
# Days before yesterday have a response every five minutes, for the same reason.
MINUTES_BETWEEN_PAST_RESPONSES = 5
SILENCE = timedelta(minutes=61)
NEWEST_TIME = timedelta(hours=18, minutes=31)  # local time of the newest response
SETTINGS = Settings(
    views="demo.vlille_views",
    feed="vlille_ods",
    title="V'Lille",
    licence="Licence Ouverte 2.0",
    time_zone=ZONE,
    environment="demo",
    max_query_bytes=2**30,
    daily_bytes=2**40,
    cache_bytes=2**26,
)


@dataclass
class FakeBigQuery:
    """A fake BigQuery client with rows of generated stations until `now`; raises an error while `down`."""

    now: datetime
    stations: list[Station] = field(default_factory=make_stations)
    down: bool = False
    silent: Station | None = None  # a station that stopped reporting
    frozen_since: datetime | None = None  # since when all stations have the same values
    purposes: list[str] = field(default_factory=list)
    systems: dict[str, "FakeBigQuery"] = field(default_factory=dict)  # GBFS systems by ID
    about: dict[str, Any] = field(default_factory=dict)  # values of a system's row in gbfs_systems
    interval: int = 1  # minutes between responses of a system

    def values(self, station: Station, minute: datetime) -> tuple[int, int] | None:
        """Return the bikes and docks of a station; None in a minute without a response."""
        bikes = self._bikes(station, minute) if self._is_present(minute) else None
        return None if bikes is None else (bikes, station.capacity - bikes if station.is_connected else 0)

    def _is_present(self, minute: datetime) -> bool:
        local = minute.astimezone(ZONE)
        is_past = (self.now.astimezone(ZONE).date() - local.date()).days > 1
        return (
            not local.minute % self.interval
            and local.hour * 60 + local.minute not in MISSING_MINUTES
            and minute <= self.now
            and not (is_past and local.minute % MINUTES_BETWEEN_PAST_RESPONSES)
        )

    def _bikes(self, station: Station, minute: datetime) -> int:
        return generate_bikes(station, self._find_step(minute))

    def _find_step(self, minute: datetime) -> int:
        return int(min(minute, self.frozen_since or minute).timestamp()) // BIKE_STEP_S

    def query(self, sql: str, job_config: Any, timeout: float) -> FakeJob:
        assert timeout > 0
        if self.down:
            raise OSError("BigQuery does not respond")
        purpose = "rebuilds" if "rebuilds" in sql else job_config.labels["purpose"]
        self.purposes.append(purpose)
        values = {each.name: each.value for each in job_config.query_parameters}
        source = self
        if "feed" in values:
            source = self.systems[values.pop("feed")]
            assert "gbfs_" in sql
            expected = {
                "now": {"since"},
                "stations": {"since"},
                "days": {"first"},
                "day": {"start", "end"},
                "week": set(),
            }[purpose]
            values = {name: value for name, value in values.items() if name in expected}
        return FakeJob(getattr(source, f"_{purpose}")(**values))

    def _systems(self) -> list[dict[str, Any]]:
        return [dict.fromkeys(COLUMNS) | {"feed": feed} | each.about for feed, each in self.systems.items()]

    def _now(self, since: datetime) -> list[dict[str, Any]]:
        newest = self.now.replace(second=0, microsecond=0)
        newest -= timedelta(minutes=newest.minute % self.interval)
        assert newest >= since
        rows = []
        for each in self.stations:
            bikes, docks = self.values(each, newest) or (None, None)
            rows.append(
                {
                    "collected_at": newest,
                    "station_id": str(each.number),
                    "num_bikes_available": bikes,
                    "num_docks_available": docks,
                    "is_operational": each.is_connected,
                    "last_reported": newest - SILENCE if each == self.silent else newest,
                }
            )
        return rows

    def _stations(self, since: datetime) -> list[dict[str, Any]]:
        assert since < self.now
        return [
            {
                "station_id": str(each.number),
                "name": each.name,
                "area": each.commune,
                "latitude": each.latitude,
                "longitude": each.longitude,
                "capacity": each.capacity,
            }
            for each in self.stations
        ]

    def _days(self, first: Any) -> list[dict[str, Any]]:
        days = (self.now.date() - first).days + 1
        return [{"day": first + timedelta(days=n), "minutes": 1433} for n in range(days)]

    def _day(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        minutes = [(n, start + timedelta(minutes=n)) for n in range(int((end - start).total_seconds()) // 60)]
        present = [(n, self._find_step(minute)) for n, minute in minutes if self._is_present(minute)]
        rows = []
        for each in self.stations:
            known = {step: generate_bikes(each, step) for step in {step for _, step in present}}
            values = {
                step: f":{bikes}:{each.capacity - bikes if each.is_connected else 0}"
                for step, bikes in known.items()
            }
            series = ",".join(f"{n}{values[step]}" for n, step in present)
            rows.append({"station_id": str(each.number), "series": series})
        return rows

    def _week(self) -> list[dict[str, Any]]:
        monday = LocalDay.from_date((self.now - timedelta(days=self.now.weekday() + 7)).date(), ZONE).start
        return [
            {"station_id": str(each.number), "series": generate_week(each, monday)} for each in self.stations
        ]

    def _status(self, first: Any) -> list[dict[str, Any]]:
        return [{"day": first, "reason": "bad_value", "records": 2}]

    def _rebuilds(self) -> list[dict[str, Any]]:
        yesterday = self.now.date() - timedelta(days=1)
        return [{"first_day": yesterday, "last_day": yesterday, "status": "succeeded", "agrees": True}]


@cache
def generate_bikes(station: Station, step: int) -> int:
    """Return a station's bikes in a step of BIKE_STEP_S."""
    return station.bikes(datetime.fromtimestamp(step * BIKE_STEP_S, UTC))


@cache
def generate_week(station: Station, monday: datetime) -> str:
    """Return a station's usual week as the view's entries: one per hour of the week that begins then."""
    entries = []
    for hour in range(7 * 24):
        seen = [station.bikes(monday + timedelta(hours=hour, minutes=m)) for m in range(0, 60, 6)]
        empty = round(100 * sum(bikes == 0 for bikes in seen) / len(seen))
        full = round(100 * sum(bikes == station.capacity for bikes in seen) / len(seen))
        mean = round(sum(seen) / len(seen))
        entries.append(f"{hour // 24 + 1}:{hour % 24}:4:{mean}:{empty}:{full}")
    return ",".join(entries)


def find_last_evening() -> datetime:
    """Return 18:31:20 in Lille, today or else yesterday."""
    now = datetime.now(UTC)
    get_today = (
        LocalDay.from_date(now.astimezone(ZONE).date(), ZONE).start + NEWEST_TIME + timedelta(seconds=20)
    )
    return get_today if get_today <= now else get_today - timedelta(days=1)


@contextmanager
def serve_dashboard(warehouse: FakeBigQuery) -> Iterator[str]:
    """Serve the dashboard over a warehouse and yield its address."""
    settings = replace(SETTINGS, has_systems=bool(warehouse.systems))
    app = create_app(settings, lambda: warehouse, lambda: warehouse.now)  # type: ignore[arg-type, return-value]
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
