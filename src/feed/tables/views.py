"""The views for users: GoogleSQL over the collected feed's table, with common names.

Each view reads the tables and no other view, so that a query is billed for its columns only once. Views that compare a
minute with the previous one read the last HISTORY_DAYS only, because BigQuery cannot prune partitions by a filter on a
window function.
"""

# ruff: noqa: S608 - names of tables cannot be query parameters; all come from the stack

from dataclasses import dataclass

from feed.model import Feed
from feed.tables.availability import select_availability
from feed.tables.ticks import format_ticks_sql, select_minutes

HISTORY_DAYS = 28
NEWEST_DAYS = 3  # `availability_now` has rows if the newest response is not older
UNCHANGED_MINUTES = 15  # after so many identical responses, the API is assumed to repeat an old one
SILENT_MINUTES = 60  # since the last report of a station
FROZEN_MINUTES = 720  # without a change of a station's bikes and docks
LARGE_MOVE = 5  # bikes within a minute: more likely moved by a van than by riders


@dataclass(frozen=True)
class View:
    """One view: its name, the meaning of a row, and its GoogleSQL."""

    name: str
    description: str
    sql: str


def data_views(feed: Feed, dataset: str, time_zone: str) -> list[View]:
    """Return the views over a feed; `dataset` is the `project.dataset` of its tables, `time_zone` an IANA name.

    For a feed without [common] the views are the same, and have no rows.
    """
    source = select_availability(feed, dataset)
    return [
        View("availability", "A row per station and minute; filter on collected_at to read few days", source),
        View(
            "availability_now",
            f"The newest response, a row per station; none where it is older than {NEWEST_DAYS} days",
            _newest(source),
        ),
        View(
            "station_hours",
            "A row per station and hour (UTC): minutes with rows, mean bikes and docks, share of minutes that the "
            "station was empty or full; filter on hour to read few days",
            _station_hours(source),
        ),
        View(
            "weekly_profile",
            f"A row per station, weekday (1 is Monday) and hour of day ({time_zone}) over the last {HISTORY_DAYS} "
            "days: minutes and days with rows, mean bikes and docks, share of minutes empty or full",
            format_weekly_profile_sql(source, f"'{time_zone}'", _newer_than(HISTORY_DAYS)),
        ),
        View(
            "minutes_present",
            "A row per day (UTC): how many of its 1,440 minutes have rows, or a valid response without records; filter "
            "on day to read few days",
            _minutes_present(feed, dataset),
        ),
        View(
            "outages",
            f"A row per run of at least one missing minute, or of {UNCHANGED_MINUTES} or more minutes in which no "
            f"station changed, over the last {HISTORY_DAYS} days",
            _outages(source, feed, dataset),
        ),
        View(
            "silent_stations",
            "A row per station of the newest response that is not operational, has not reported for "
            f"{SILENT_MINUTES} minutes, or has not changed for {FROZEN_MINUTES // 60} hours",
            _silent_stations(source),
        ),
        View(
            "station_changes",
            "A row per station and day (UTC) on which its name or capacity (most bikes and docks together) is "
            "not that of its previous day; a station's first day is a row too",
            _station_changes(source),
        ),
        View(
            "trips",
            f"A row per station and hour (UTC) of the last {HISTORY_DAYS} days: bikes taken and returned, at least. "
            "A bike that comes and one that goes within a minute cancel out; moves of "
            f"{LARGE_MOVE} or more bikes within a minute, probably by a van, are counted apart",
            _trips(source),
        ),
        View(
            "ticks",
            "A row per stored response: its object, its status (loaded, partial, empty or unusable), records, rows, "
            "rejected records, and the newest last_reported; filter on collected_at to read few days",
            format_ticks_sql(feed, dataset),
        ),
        View(
            "quarantine_counts",
            "A row per day (UTC) and reason: entries of the quarantine, which are records, values and responses",
            _quarantine_counts(feed, dataset),
        ),
        View(
            "rebuilds",
            "A row per run of the nightly batch; agrees: all counts reconcile",
            _rebuilds(feed, dataset),
        ),
    ]


def _newer_than(days: int) -> str:
    return f"collected_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL {days} DAY)"


# Shares and means over the minutes in which the column has a value.
_SHARES = """\
  COUNT(*) AS minutes,
  AVG(num_bikes_available) AS mean_bikes,
  AVG(num_docks_available) AS mean_docks,
  AVG(CASE WHEN num_bikes_available = 0 THEN 1.0 WHEN num_bikes_available > 0 THEN 0.0 END) AS share_empty,
  AVG(CASE WHEN num_docks_available = 0 THEN 1.0 WHEN num_docks_available > 0 THEN 0.0 END) AS share_full"""


def _newest(source: str) -> str:
    return f"""\
WITH rows_of_feed AS (
{source}
), recent AS (
SELECT * FROM rows_of_feed WHERE {_newer_than(NEWEST_DAYS)}
)
SELECT * FROM recent
WHERE collected_at = (SELECT MAX(collected_at) FROM recent)"""


def _station_hours(source: str) -> str:
    return f"""\
WITH rows_of_feed AS (
{source}
)
SELECT
  station_id,
  TIMESTAMP_TRUNC(collected_at, HOUR) AS hour,
{_SHARES}
FROM rows_of_feed
GROUP BY station_id, hour"""


def format_weekly_profile_sql(source: str, time_zone: str, condition: str) -> str:
    """Return the GoogleSQL of each station's hours of the week, weekday 1 being Monday.

    `source` is a SELECT with common columns; `time_zone` is an expression for a name such as 'Europe/Paris', and
    `condition` is one on the rows.
    """
    return f"""\
WITH rows_of_feed AS (
{source}
), local_rows AS (
SELECT *, DATETIME(collected_at, {time_zone}) AS local_time
FROM rows_of_feed
WHERE {condition}
)
SELECT
  station_id,
  MOD(EXTRACT(DAYOFWEEK FROM local_time) + 5, 7) + 1 AS weekday,
  EXTRACT(HOUR FROM local_time) AS hour,
  COUNT(DISTINCT DATE(local_time)) AS days,
{_SHARES}
FROM local_rows
GROUP BY station_id, weekday, hour"""


def _minutes_present(feed: Feed, dataset: str) -> str:
    return f"""\
WITH minutes_of_feed AS (
{select_minutes(feed.name, dataset)}
)
SELECT
  DATE(collected_at) AS day,
  COUNT(DISTINCT collected_at) AS minutes
FROM minutes_of_feed
GROUP BY day"""


def _with_previous_row(source: str) -> str:
    """Return common table expressions: `steps` has each recent row with the values of the station's previous row."""
    return f"""\
WITH rows_of_feed AS (
{source}
), steps AS (
SELECT
  *,
  LAG(collected_at) OVER (PARTITION BY station_id ORDER BY collected_at) AS previous_at,
  LAG(num_bikes_available) OVER (PARTITION BY station_id ORDER BY collected_at) AS previous_bikes,
  LAG(num_docks_available) OVER (PARTITION BY station_id ORDER BY collected_at) AS previous_docks
FROM rows_of_feed
WHERE {_newer_than(HISTORY_DAYS)}
)"""


_CHANGED = """\
previous_at IS NULL
  OR COALESCE(num_bikes_available, -1) != COALESCE(previous_bikes, -1)
  OR COALESCE(num_docks_available, -1) != COALESCE(previous_docks, -1)"""


def _outages(source: str, feed: Feed, dataset: str) -> str:
    """A minute whose response has no records, as at night, is neither missing nor unchanged."""
    return f"""\
{_with_previous_row(source)}, minutes AS (
SELECT
  collected_at,
  MAX(CASE WHEN {_CHANGED} THEN 1 ELSE 0 END) AS changed
FROM steps
GROUP BY collected_at
UNION ALL
SELECT
  collected_at,
  1 AS changed
FROM `{dataset}.empty_responses`
WHERE feed = '{feed.name}' AND {_newer_than(HISTORY_DAYS)}
), numbered AS (
SELECT
  collected_at,
  changed,
  LAG(collected_at) OVER (ORDER BY collected_at) AS previous_at,
  SUM(changed) OVER (ORDER BY collected_at) AS run
FROM minutes
), missing AS (
SELECT
  'missing' AS kind,
  TIMESTAMP_ADD(previous_at, INTERVAL 1 MINUTE) AS began_at,
  collected_at AS ended_at,
  TIMESTAMP_DIFF(collected_at, previous_at, MINUTE) - 1 AS minutes
FROM numbered
WHERE TIMESTAMP_DIFF(collected_at, previous_at, MINUTE) > 1
), unchanged AS (
SELECT
  'unchanged' AS kind,
  MIN(collected_at) AS began_at,
  TIMESTAMP_ADD(MAX(collected_at), INTERVAL 1 MINUTE) AS ended_at,
  COUNT(*) AS minutes
FROM numbered
WHERE changed = 0
GROUP BY run
HAVING COUNT(*) >= {UNCHANGED_MINUTES}
)
SELECT kind, began_at, ended_at, minutes FROM missing
UNION ALL
SELECT kind, began_at, ended_at, minutes FROM unchanged"""


def _silent_stations(source: str) -> str:
    return f"""\
{_with_previous_row(source)}, newest AS (
SELECT MAX(collected_at) AS collected_at FROM steps
), changes AS (
SELECT
  station_id,
  MIN(collected_at) AS first_at,
  MAX(CASE WHEN {_CHANGED} THEN collected_at END) AS changed_at
FROM steps
GROUP BY station_id
), stations AS (
SELECT
  steps.station_id AS station_id,
  steps.name AS name,
  steps.collected_at AS collected_at,
  steps.last_reported AS last_reported,
  changes.changed_at AS changed_at,
  CASE
    WHEN NOT steps.is_operational THEN 'not operational'
    WHEN steps.last_reported < TIMESTAMP_SUB(steps.collected_at, INTERVAL {SILENT_MINUTES} MINUTE) THEN 'silent'
    WHEN changes.changed_at <= TIMESTAMP_SUB(steps.collected_at, INTERVAL {FROZEN_MINUTES} MINUTE) THEN 'frozen'
  END AS state
FROM steps
JOIN newest ON steps.collected_at = newest.collected_at
JOIN changes ON steps.station_id = changes.station_id
)
SELECT * FROM stations WHERE state IS NOT NULL"""


def _station_changes(source: str) -> str:
    return f"""\
WITH rows_of_feed AS (
{source}
), days AS (
SELECT
  station_id,
  DATE(collected_at) AS day,
  MAX(name) AS name,
  MAX(num_bikes_available + num_docks_available) AS capacity
FROM rows_of_feed
GROUP BY station_id, day
), compared AS (
SELECT
  *,
  LAG(day) OVER (PARTITION BY station_id ORDER BY day) AS previous_day,
  LAG(name) OVER (PARTITION BY station_id ORDER BY day) AS previous_name,
  LAG(capacity) OVER (PARTITION BY station_id ORDER BY day) AS previous_capacity
FROM days
)
SELECT station_id, day, name, previous_name, capacity, previous_capacity, previous_day
FROM compared
WHERE previous_day IS NULL
  OR COALESCE(name, '') != COALESCE(previous_name, '')
  OR COALESCE(capacity, -1) != COALESCE(previous_capacity, -1)"""


def _trips(source: str) -> str:
    return f"""\
{_with_previous_row(source)}, moves AS (
SELECT
  station_id,
  TIMESTAMP_TRUNC(collected_at, HOUR) AS hour,
  num_bikes_available - previous_bikes AS moved
FROM steps
WHERE previous_bikes IS NOT NULL AND num_bikes_available IS NOT NULL
)
SELECT
  station_id,
  hour,
  SUM(CASE WHEN moved < 0 AND moved > -{LARGE_MOVE} THEN -moved ELSE 0 END) AS taken_at_least,
  SUM(CASE WHEN moved > 0 AND moved < {LARGE_MOVE} THEN moved ELSE 0 END) AS returned_at_least,
  SUM(CASE WHEN ABS(moved) >= {LARGE_MOVE} THEN ABS(moved) ELSE 0 END) AS moved_in_bulk
FROM moves
GROUP BY station_id, hour"""


def _quarantine_counts(feed: Feed, dataset: str) -> str:
    return f"""\
SELECT
  DATE(collected_at) AS day,
  reason,
  COUNT(*) AS records
FROM `{dataset}.quarantine`
WHERE feed = '{feed.name}'
GROUP BY day, reason"""


def _rebuilds(feed: Feed, dataset: str) -> str:
    return f"""\
SELECT
  run_id, started_at, finished_at, first_day, last_day, objects_listed, objects_read, objects_quarantined,
  rows_parsed, rows_loaded, rows_rejected, status, message,
  status = 'succeeded'
    AND objects_listed = objects_read + objects_quarantined
    AND rows_parsed = rows_loaded + rows_rejected AS agrees
FROM `{dataset}.batch_runs`
WHERE feed = '{feed.name}'"""
