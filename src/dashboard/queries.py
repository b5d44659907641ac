"""The service's queries: GoogleSQL on its dataset of views, the only one that it may read."""

# ruff: noqa: S608 - names of tables cannot be query parameters; the dataset comes from the stack

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from feed.tables.views import format_weekly_profile_sql


@dataclass(frozen=True)
class Queries:
    """The SQL for one dataset of views (`project.dataset`), over the environment's feed or a GBFS system.

    The queries of a system have more parameters: @feed, its ID, and the UTC days @first and @last, which select
    clusters and partitions; where others have @since, @until too.
    """

    views: str
    system_zone: ZoneInfo | None = None  # the time zone of the system; None: the feed

    @property
    def _rows(self) -> str:
        return f"`{self.views}.gbfs_availability`" if self.system_zone else f"`{self.views}.availability`"

    @property
    def _weekly_profile(self) -> str:
        if self.system_zone is None:
            return f"`{self.views}.weekly_profile`"
        # A literal, which is safe: ZoneInfo finds only names of the time zone database.
        time_zone = f"'{self.system_zone.key}'"
        return f"({format_weekly_profile_sql(f'SELECT * FROM {self._rows}', time_zone, self._since)})"

    @property
    def _feed(self) -> str:
        return " AND day BETWEEN @first AND @last AND feed = @feed" if self.system_zone else ""

    @property
    def _since(self) -> str:
        until = " AND collected_at < @until" if self.system_zone else ""
        return f"collected_at >= @since{until}{self._feed}"

    @property
    def systems(self) -> str:
        """A row per GBFS system that is or was collected."""
        return f"SELECT * FROM `{self.views}.gbfs_systems` ORDER BY country, location, name, feed"

    @property
    def newest(self) -> str:
        """The newest response since @since, a row per station; reads one or two daily partitions."""
        return (
            "SELECT collected_at, station_id, num_bikes_available, num_docks_available, is_operational, "
            f"last_reported\nFROM {self._rows}\n"
            f"WHERE {self._since} AND collected_at = "
            f"(SELECT MAX(collected_at) FROM {self._rows} WHERE {self._since})"
        )

    @property
    def stations(self) -> str:
        """Name, area, coordinates and capacity (maximum of bikes plus docks) of the stations since @since."""
        most = "MAX(num_bikes_available + num_docks_available)"
        capacity = f"COALESCE(MAX(capacity), {most})" if self.system_zone else most
        return (
            "SELECT station_id, MAX(name) AS name, MAX(area) AS area, MAX(latitude) AS latitude, "
            f"MAX(longitude) AS longitude, {capacity} AS capacity\n"
            f"FROM {self._rows}\nWHERE {self._since}\nGROUP BY station_id"
        )

    @property
    def days(self) -> str:
        """The number of minutes with rows of each UTC day since @first."""
        table = "gbfs_minutes_present" if self.system_zone else "minutes_present"
        return f"SELECT day, minutes FROM `{self.views}.{table}` WHERE day >= @first{self._feed} ORDER BY day"

    @property
    def series(self) -> str:
        """From @start to @end (exclusive), a row per station: `minute:bikes:docks` for each row, comma-separated."""
        return (
            "SELECT station_id, STRING_AGG(CONCAT(CAST(TIMESTAMP_DIFF(collected_at, @start, MINUTE) AS STRING), ':', "
            "COALESCE(CAST(num_bikes_available AS STRING), ''), ':', "
            "COALESCE(CAST(num_docks_available AS STRING), '')), ',') AS series\n"
            f"FROM {self._rows}\n"
            f"WHERE collected_at >= @start AND collected_at < @end{self._feed}\nGROUP BY station_id"
        )

    @property
    def week(self) -> str:
        """A row per station: `weekday:hour:days:mean bikes:% empty:% full` for each hour, comma-separated.

        Of a system, in its time zone since @since; otherwise as the view `weekly_profile`.
        """
        return (
            "SELECT station_id, STRING_AGG(CONCAT(CAST(weekday AS STRING), ':', CAST(hour AS STRING), ':', "
            "CAST(days AS STRING), ':', COALESCE(CAST(ROUND(mean_bikes) AS STRING), ''), ':', "
            "COALESCE(CAST(ROUND(100 * share_empty) AS STRING), ''), ':', "
            "COALESCE(CAST(ROUND(100 * share_full) AS STRING), '')), ',') AS series\n"
            f"FROM {self._weekly_profile}\nGROUP BY station_id"
        )

    @property
    def quarantine(self) -> str:
        """The number of rejected records by day and reason, since @first."""
        return (
            f"SELECT day, reason, records FROM `{self.views}.quarantine_counts` WHERE day >= @first "
            "ORDER BY day, reason"
        )

    @property
    def rebuilds(self) -> str:
        """The newest runs of the nightly batch: their days, and whether they agreed with their sources."""
        return (
            f"SELECT finished_at, first_day, last_day, agrees\nFROM `{self.views}.rebuilds`\n"
            "ORDER BY finished_at DESC LIMIT 7"
        )
