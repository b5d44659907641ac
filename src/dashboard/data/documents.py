"""Build the data files of the page from queries of the views; clients and clock are arguments."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dashboard.data import day_file, week_file
from dashboard.data.cache import Cache, Document
from dashboard.data.day_file import LocalDay
from dashboard.data.outlines import StationLocation, compute_outlines
from dashboard.queries import Queries
from dashboard.settings import Settings
from dashboard.warehouse import Parameter, Row, Warehouse
from feed import archive_name

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEWEST_LIFETIME = timedelta(seconds=40)
TODAY_LIFETIME = timedelta(minutes=5)  # the page adds the newest response each minute
STATUS_LIFETIME = timedelta(minutes=10)
SETTLED_AFTER = timedelta(hours=30)  # after its end; the nightly batch does not rebuild the day later
LISTED_DAYS = 28
FIRST_DAY = date(2010, 1, 1)


class UnknownDayError(ValueError):
    """The requested day is in the future, or before FIRST_DAY.

    What to do: request a day from the first one of the history to today, in the form 2026-11-24.
    """


@dataclass(frozen=True)
class Documents:
    """The files, one method each; concurrent calls share one query."""

    settings: Settings
    warehouse: Warehouse
    cache: Cache
    now: Callable[[], datetime]

    @property
    def queries(self) -> Queries:
        """The queries of the configured views."""
        return Queries(self.settings.views)

    def get_newest(self) -> Document:
        """Return now.json: the newest response of the last two hours, or else of the last three days."""
        return self.cache.get("now", self._build_newest, NEWEST_LIFETIME)

    def get_stations(self) -> Document:
        """Return stations.json: names and coordinates, outlines of the map, days with data."""
        return self.cache.get("stations", self._build_stations, HOUR)

    def get_day(self, day: date) -> Document:
        """Return <day>.bin. Raises UnknownDayError."""
        is_possible = (
            FIRST_DAY <= day <= self.now().date() + timedelta(days=1)
        )  # dates far outside cannot be converted to UTC
        local = LocalDay.from_date(day, self.settings.time_zone) if is_possible else None
        if local is None or local.start > self.now():
            raise UnknownDayError(f"{day} has no data; expected a day from {FIRST_DAY} until today")
        lifetime = DAY if self.is_settled(day) else TODAY_LIFETIME
        make = lambda: self._build_day(local, is_past=self.is_settled(day))  # noqa: E731
        return self.cache.get(f"day {day}", make, lifetime)

    def is_settled(self, day: date) -> bool:
        """Return whether the nightly batch will no longer change a day."""
        return LocalDay.from_date(day, self.settings.time_zone).end + SETTLED_AFTER < self.now()

    def get_week(self) -> Document:
        """Return week.bin: each hour of the week over the last four weeks."""
        return self.cache.get("week", self._build_week, DAY)

    def get_status(self) -> Document:
        """Return status.json: the quarantine counts and the newest rebuilds."""
        return self.cache.get("status", self._build_status, STATUS_LIFETIME)

    def _build_newest(self) -> bytes:
        rows: list[Row] = []
        for back in (2 * HOUR, 3 * DAY):
            rows = rows or self.warehouse.query("now", self.queries.newest, {"since": self.now() - back})
        tick = max((row["collected_at"] for row in rows), default=None)
        return _encode_json(
            {
                "feed": self.settings.feed,
                "collected_at": tick,
                "object": archive_name(self.settings.feed, tick) if tick else None,
                "stations": {
                    row["station_id"]: [
                        row["num_bikes_available"],
                        row["num_docks_available"],
                        row["is_operational"],
                        row["last_reported"],
                    ]
                    for row in sorted(rows, key=lambda row: str(row["station_id"]))
                },
            }
        )

    def _build_stations(self) -> bytes:
        rows = self.warehouse.query("stations", self.queries.stations, {"since": self.now() - 3 * DAY})
        rows = sorted((row for row in rows if row["station_id"]), key=lambda row: str(row["station_id"]))
        first = self.now().date() - timedelta(days=LISTED_DAYS)
        present = self.warehouse.query("days", self.queries.days, {"first": first})
        located = [
            StationLocation(row["latitude"], row["longitude"], row["area"])
            for row in rows
            if row["latitude"] is not None and row["longitude"] is not None
        ]
        return _encode_json(
            {
                "feed": self.settings.feed,
                "title": self.settings.title,
                "licence": self.settings.licence,
                "environment": self.settings.environment,
                "time_zone": self.settings.time_zone.key,
                # A public page does not disclose the project: its SQL omits it.
                "views": self.settings.views.rpartition(".")[2]
                if self.settings.public
                else self.settings.views,
                "stations": [[row[key] for key in STATION] for row in rows],
                "outlines": [[each.area, each.rings] for each in compute_outlines(located)],
                "days": [[row["day"], row["minutes"]] for row in present],
            }
        )

    def _build_day(self, day: LocalDay, *, is_past: bool) -> bytes:
        period: dict[str, Parameter] = {"start": day.start, "end": day.end}
        rows = self.warehouse.query("day", self.queries.series, period, is_past=is_past)
        return day_file.encode_day(day, _group_series(rows))

    def _build_week(self) -> bytes:
        return week_file.encode_week(_group_series(self.warehouse.query("week", self.queries.week)))

    def _build_status(self) -> bytes:
        first = self.now().date() - timedelta(days=7)
        return _encode_json(
            {
                "quarantine": self.warehouse.query("status", self.queries.quarantine, {"first": first}),
                "rebuilds": self.warehouse.query("status", self.queries.rebuilds),
            }
        )


# The values of each station in stations.json, in order.
STATION = ("station_id", "name", "area", "latitude", "longitude", "capacity")


def _group_series(rows: Iterable[Row]) -> dict[str, str]:
    return {row["station_id"]: row["series"] or "" for row in rows if row["station_id"]}


def _encode_json(value: Any) -> bytes:
    def text(each: Any) -> str:
        if isinstance(each, datetime):
            return each.strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(each)

    return json.dumps(value, default=text, ensure_ascii=False, separators=(",", ":")).encode()
