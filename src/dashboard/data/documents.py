"""Build the data files of the page from queries of the views; clients and clock are arguments."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from dashboard.data import day_file, week_file
from dashboard.data.cache import Cache, Document
from dashboard.data.day_file import LocalDay
from dashboard.data.outlines import StationLocation, compute_outlines
from dashboard.data.source import Source, decode_systems, list_systems
from dashboard.queries import Queries
from dashboard.settings import Settings
from dashboard.warehouse import PAST, SYSTEMS, Parameter, Row, Share, Warehouse
from feed import archive_name

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STATUS_LIFETIME = timedelta(minutes=10)
FINAL_AFTER = timedelta(hours=30)  # after its end; the nightly batch does not rebuild the day later
# Of a list of systems or of their stations: the first discovery and the first response come minutes after a deploy.
EMPTY_LIFETIME = timedelta(minutes=1)
LISTED_DAYS = 28
FIRST_DAY = date(2010, 1, 1)


class UnknownDayError(ValueError):
    """The requested day is in the future, or before 2010.

    What to do: request a day from the first one of the history to today, in the form 2026-11-24.
    """


class UnknownSystemError(ValueError):
    """The environment has never collected a GBFS system with this ID.

    What to do: take the ID of a system from /data/systems.json, and encode it for a URL.
    """


@dataclass(frozen=True)
class Lifetimes:
    """How long a source's files are served without another query; final days and the week are kept for 24 hours."""

    newest: timedelta
    stations: timedelta
    today: timedelta  # the page adds the newest response each minute


# A query of a system reads four tables, each of which is billed for at least 10 MB.
LIFETIMES = Lifetimes(timedelta(seconds=40), HOUR, timedelta(minutes=5))
SYSTEM_LIFETIMES = Lifetimes(timedelta(minutes=5), 6 * HOUR, timedelta(minutes=15))


@dataclass(frozen=True)
class Documents:
    """The files of a feed or of a GBFS system, one method each; concurrent calls share one query."""

    settings: Settings
    source: Source
    warehouse: Warehouse
    cache: Cache
    now: Callable[[], datetime]

    @property
    def queries(self) -> Queries:
        """The queries of the configured views."""
        return Queries(self.settings.views, self.source.time_zone if self.source.is_system else None)

    @property
    def lifetimes(self) -> Lifetimes:
        """How long the files are served without another query."""
        return SYSTEM_LIFETIMES if self.source.is_system else LIFETIMES

    def get_systems(self) -> Document:
        """Return systems.json: the GBFS systems that the environment collects or has collected."""
        return self.cache.get("systems", self._build_systems, _shorten_if_empty("systems", HOUR))

    def of_system(self, system: str) -> "Documents":
        """Return the files of a GBFS system. Raises UnknownSystemError."""
        known = decode_systems(self.get_systems().body)
        if system not in known:
            raise UnknownSystemError(
                f"found system {system!r}, expected one of the {len(known)} systems of /data/systems.json"
            )
        return replace(self, source=known[system])

    def get_newest(self) -> Document:
        """Return now.json: the newest response of the last two hours, or else of the last three days."""
        return self._get("now", self._build_newest, self.lifetimes.newest)

    def get_stations(self) -> Document:
        """Return stations.json: names and coordinates, outlines of the map, days with data."""
        lifetime = self.lifetimes.stations
        is_system = self.source.is_system
        return self._get(
            "stations",
            self._build_stations,
            _shorten_if_empty("stations", lifetime) if is_system else lifetime,
        )

    def get_day(self, day: date) -> Document:
        """Return <day>.bin. Raises UnknownDayError."""
        is_possible = (
            FIRST_DAY <= day <= self.now().date() + timedelta(days=1)
        )  # dates far outside cannot be converted to UTC
        local = LocalDay.from_date(day, self.source.time_zone) if is_possible else None
        if local is None or local.start > self.now():
            raise UnknownDayError(f"{day} has no data; expected a day from {FIRST_DAY} until today")
        lifetime = DAY if self.is_final(day) else self.lifetimes.today
        make = lambda: self._build_day(local, is_past=self.is_final(day))  # noqa: E731
        return self._get(f"day {day}", make, lifetime)

    def is_final(self, day: date) -> bool:
        """Return whether the nightly batch will no longer change a day."""
        return LocalDay.from_date(day, self.source.time_zone).end + FINAL_AFTER < self.now()

    def get_week(self) -> Document:
        """Return week.bin: each hour of the week over the last four weeks."""
        return self._get("week", self._build_week, DAY)

    def get_status(self) -> Document:
        """Return status.json: the quarantine counts and the newest rebuilds."""
        return self._get("status", self._build_status, STATUS_LIFETIME)

    def _get(
        self, name: str, make: Callable[[], bytes], lifetime: timedelta | Callable[[bytes], timedelta]
    ) -> Document:
        return self.cache.get(f"{self.source.prefix}{name}", make, lifetime)

    def _query(
        self, purpose: str, sql: str, parameters: Mapping[str, Parameter], share: Share | None = None
    ) -> list[Row]:
        return self.warehouse.query(
            purpose, sql, parameters, share=SYSTEMS if self.source.is_system else share
        )

    def _since(self, back: timedelta) -> dict[str, Parameter]:
        """Return the query parameters for the rows of the last `back`, counted from now or from the system's end."""
        last = self.source.limit_time(self.now())
        since: dict[str, Parameter] = {"since": last - back}
        if self.source.is_system:
            since["until"] = last
            since |= self.source.select_feed((last - back).date(), last.date())
        return since

    def _build_systems(self) -> bytes:
        rows = self.warehouse.query("systems", self.queries.systems, share=SYSTEMS)
        return _encode_json({"systems": list_systems(rows, self.settings.time_zone)})

    def _build_newest(self) -> bytes:
        rows: list[Row] = []
        for back in (2 * HOUR, 3 * DAY):
            rows = rows or self._query("now", self.queries.newest, self._since(back))
        tick = max((row["collected_at"] for row in rows), default=None)
        return _encode_json(
            {
                "feed": self.source.feed,
                "collected_at": tick,
                # The raw responses of systems are in packs of many.
                "object": archive_name(self.source.feed, tick)
                if tick and not self.source.is_system
                else None,
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
        rows: list[Row] = []
        # A day of a system is cheaper, and has its stations unless it failed for that long.
        for back in (DAY, 3 * DAY) if self.source.is_system else (3 * DAY,):
            rows = rows or self._query("stations", self.queries.stations, self._since(back))
        rows = sorted((row for row in rows if row["station_id"]), key=lambda row: str(row["station_id"]))
        last = self.source.limit_time(self.now()).date()
        first = last - timedelta(days=LISTED_DAYS)
        present = self._query(
            "days", self.queries.days, {"first": first, **self.source.select_feed(first, last)}
        )
        located = [
            StationLocation(row["latitude"], row["longitude"], row["area"])
            for row in rows
            if row["latitude"] is not None and row["longitude"] is not None
        ]
        return _encode_json(
            {
                "feed": self.source.feed,
                "title": self.source.title,
                "licence": self.source.licence,
                "environment": self.settings.environment,
                "time_zone": self.source.time_zone.key,
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
        period |= self.source.select_feed(day.start.date(), (day.end - MINUTE).date())
        rows = self._query("day", self.queries.series, period, PAST if is_past else None)
        return day_file.encode_day(day, _group_series(rows))

    def _build_week(self) -> bytes:
        parameters = self._since(LISTED_DAYS * DAY) if self.source.is_system else {}
        return week_file.encode_week(_group_series(self._query("week", self.queries.week, parameters)))

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


def _shorten_if_empty(key: str, lifetime: timedelta) -> Callable[[bytes], timedelta]:
    """Return the lifetime of a JSON file: EMPTY_LIFETIME while the array `key` is empty."""
    return lambda content: lifetime if json.loads(content)[key] else EMPTY_LIFETIME


def _group_series(rows: Iterable[Row]) -> dict[str, str]:
    return {row["station_id"]: row["series"] or "" for row in rows if row["station_id"]}


def _encode_json(value: Any) -> bytes:
    def text(each: Any) -> str:
        if isinstance(each, datetime):
            return each.strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(each)

    return json.dumps(value, default=text, ensure_ascii=False, separators=(",", ":")).encode()
