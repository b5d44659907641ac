"""The files that the page reads, made of the views' rows, each one query; clients and clock are arguments."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dashboard import days, week
from dashboard.cache import Cache, Document
from dashboard.days import LocalDay
from dashboard.geometry import Place, outlines
from dashboard.queries import Queries
from dashboard.settings import Settings
from dashboard.warehouse import Parameter, Row, Warehouse
from feed import archive_name

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEWEST_LIFETIME = timedelta(seconds=40)
TODAY_LIFETIME = timedelta(minutes=5)  # the page adds the newest response each minute
STATUS_LIFETIME = timedelta(minutes=10)
SETTLED_AFTER = timedelta(hours=30)  # after its end a day is not rebuilt any more by the nightly batch
LISTED_DAYS = 28
FIRST_DAY = date(2010, 1, 1)


class UnknownDayError(ValueError):
    """A day that is not over in the future, or before any history.

    What to do: request a day from the first one of the history to today, in the form 2026-11-24.
    """


@dataclass(frozen=True)
class Documents:
    """Each method returns one file; who asks at the same time shares one query."""

    settings: Settings
    warehouse: Warehouse
    cache: Cache
    now: Callable[[], datetime]

    @property
    def queries(self) -> Queries:
        """The SQL over the settings' views."""
        return Queries(self.settings.views)

    def newest(self) -> Document:
        """now.json: the newest response. It is looked for in the last two hours, then in the last three days."""
        return self.cache.get("now", self._newest, NEWEST_LIFETIME)

    def stations(self) -> Document:
        """stations.json: names and places, outlines of the map, days of the history."""
        return self.cache.get("stations", self._stations, HOUR)

    def day(self, day: date) -> Document:
        """<day>.bin. Raises UnknownDayError."""
        is_possible = (
            FIRST_DAY <= day <= self.now().date() + timedelta(days=1)
        )  # beyond, no local day can be made
        local = LocalDay.of(day, self.settings.time_zone) if is_possible else None
        if local is None or local.start > self.now():
            raise UnknownDayError(f"{day} has no data: a day from {FIRST_DAY} until today is expected")
        lifetime = DAY if self.is_settled(day) else TODAY_LIFETIME
        make = lambda: self._day(local, is_past=self.is_settled(day))  # noqa: E731
        return self.cache.get(f"day {day}", make, lifetime)

    def is_settled(self, day: date) -> bool:
        """Whether a day does not change any more."""
        return LocalDay.of(day, self.settings.time_zone).end + SETTLED_AFTER < self.now()

    def week(self) -> Document:
        """week.bin: each hour of the week over the last four weeks."""
        return self.cache.get("week", self._week, DAY)

    def status(self) -> Document:
        """status.json: what was quarantined, and the newest rebuilds."""
        return self.cache.get("status", self._status, STATUS_LIFETIME)

    def _newest(self) -> bytes:
        rows: list[Row] = []
        for back in (2 * HOUR, 3 * DAY):
            rows = rows or self.warehouse.query("now", self.queries.newest, {"since": self.now() - back})
        tick = max((row["collected_at"] for row in rows), default=None)
        return _json(
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

    def _stations(self) -> bytes:
        rows = self.warehouse.query("stations", self.queries.stations, {"since": self.now() - 3 * DAY})
        rows = sorted((row for row in rows if row["station_id"]), key=lambda row: str(row["station_id"]))
        first = self.now().date() - timedelta(days=LISTED_DAYS)
        present = self.warehouse.query("days", self.queries.days, {"first": first})
        places = [
            Place(row["latitude"], row["longitude"], row["area"])
            for row in rows
            if row["latitude"] is not None and row["longitude"] is not None
        ]
        return _json(
            {
                "feed": self.settings.feed,
                "title": self.settings.title,
                "licence": self.settings.licence,
                "environment": self.settings.environment,
                "time_zone": self.settings.time_zone.key,
                # A public page names no project: its SQL is for whoever knows it.
                "views": self.settings.views.rpartition(".")[2]
                if self.settings.public
                else self.settings.views,
                "stations": [[row[key] for key in STATION] for row in rows],
                "outlines": [[each.area, each.rings] for each in outlines(places)],
                "days": [[row["day"], row["minutes"]] for row in present],
            }
        )

    def _day(self, day: LocalDay, *, is_past: bool) -> bytes:
        period: dict[str, Parameter] = {"start": day.start, "end": day.end}
        rows = self.warehouse.query("day", self.queries.series, period, is_past=is_past)
        return days.encode(day, _series(rows))

    def _week(self) -> bytes:
        return week.encode(_series(self.warehouse.query("week", self.queries.week)))

    def _status(self) -> bytes:
        first = self.now().date() - timedelta(days=7)
        return _json(
            {
                "quarantine": self.warehouse.query("status", self.queries.quarantine, {"first": first}),
                "rebuilds": self.warehouse.query("status", self.queries.rebuilds),
            }
        )


# What stations.json has of each station, in this order.
STATION = ("station_id", "name", "area", "latitude", "longitude", "capacity")


def _series(rows: Iterable[Row]) -> dict[str, str]:
    return {row["station_id"]: row["series"] or "" for row in rows if row["station_id"]}


def _json(value: Any) -> bytes:
    def text(each: Any) -> str:
        if isinstance(each, datetime):
            return each.strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(each)

    return json.dumps(value, default=text, ensure_ascii=False, separators=(",", ":")).encode()
