"""The views over all GBFS systems: their minutes under the common names, the systems, and the days with minutes.

The newest days of `gbfs_availability` come from `station_status`, earlier ones from `station_status_changes`; the
minutes are those that `polls` has as received or unchanged. Filters on `day` and on `feed`, the system_id, bound the
cost of a query: the tables are partitioned by day and clustered by system_id.
"""

# ruff: noqa: S608 - names of tables cannot be query parameters; all come from the stack

from gbfs.tables import (
    CHANGES_TABLE,
    POLLS_TABLE,
    STATION_INFORMATION_TABLE,
    STATION_STATUS_TABLE,
    SYSTEMS_TABLE,
    VANISHED,
    format_valid_rows_sql,
)

TODAY = "CURRENT_DATE()"
VIEW = "gbfs_availability"
VIEW_DESCRIPTION = (
    "A row per station and minute of all GBFS systems under common names; feed is the system_id. Filter on day, and on "
    "feed, to read few partitions"
)
SYSTEMS_VIEW = "gbfs_systems"
MINUTES_VIEW = "gbfs_minutes_present"


def format_views(dataset: str, minutes_days: int) -> dict[str, tuple[str, str]]:
    """Return the description and the GoogleSQL of each view, by its name; the arguments are as below."""
    return {
        VIEW: (VIEW_DESCRIPTION, format_availability_sql(dataset, minutes_days)),
        SYSTEMS_VIEW: (
            "A row per GBFS system that is or was collected: its names, its licence, and when it vanished; feed is the "
            "system_id",
            format_systems_sql(dataset),
        ),
        MINUTES_VIEW: (
            "A row per GBFS system and day (UTC): the minutes with a known station_status, and those whose request "
            "failed. Filter on day, and on feed, to read few partitions",
            format_minutes_present_sql(dataset),
        ),
    }


def format_systems_sql(dataset: str) -> str:
    """Return the GoogleSQL of the newest state of each system; `vanished_at` is null while it is collected."""
    return f"""\
SELECT
  system_id AS feed,
  COALESCE(name[SAFE_OFFSET(0)].text, operator[SAFE_OFFSET(0)].text, system_id) AS name,
  operator[SAFE_OFFSET(0)].text AS operator,
  country AS country,
  location AS location,
  timezone AS time_zone,
  license_id AS licence,
  license_url AS licence_url,
  attribution_organization_name[SAFE_OFFSET(0)].text AS attribution,
  attribution_url AS attribution_url,
  CASE WHEN event = '{VANISHED}' THEN valid_from END AS vanished_at
FROM (
  SELECT *, LEAD(valid_from) OVER (PARTITION BY system_id ORDER BY valid_from) AS valid_to
  FROM `{dataset}.{SYSTEMS_TABLE.name}`
)
WHERE valid_to IS NULL"""


def format_minutes_present_sql(dataset: str) -> str:
    """Return the GoogleSQL of the minutes of each system and day; it reads `polls` only."""
    return f"""\
SELECT
  DATE(collected_at) AS day,
  system_id AS feed,
  COUNT(DISTINCT CASE WHEN outcome != 'failed' THEN collected_at END) AS minutes,
  COUNT(DISTINCT CASE WHEN outcome = 'failed' THEN collected_at END) AS failed_minutes
FROM `{dataset}.{POLLS_TABLE.name}`
WHERE file = 'station_status'
GROUP BY day, feed"""


def format_availability_sql(dataset: str, minutes_days: int, today: str = TODAY) -> str:
    """Return the GoogleSQL of the view; `dataset` is project.dataset.

    `minutes_days` is the number of days after which partitions of station_status expire; earlier days come from the
    changes. The columns are `day`, those of the view `availability`, and the capacity.
    """
    first = f"DATE_SUB({today}, INTERVAL {minutes_days - 1} DAY)"
    return f"""\
WITH information AS (
{format_valid_rows_sql(STATION_INFORMATION_TABLE, dataset)}
), minutes AS (
SELECT
  DATE(s.collected_at) AS day, s.collected_at AS collected_at, s.system_id AS system_id, {_format_values("s")}
FROM `{dataset}.{STATION_STATUS_TABLE.name}` AS s
WHERE DATE(s.collected_at) >= {first}
UNION ALL
SELECT
  DATE(s.collected_at) AS day, p.collected_at AS collected_at, s.system_id AS system_id, {_format_values("s")}
FROM `{dataset}.{STATION_STATUS_TABLE.name}` AS s
JOIN `{dataset}.{POLLS_TABLE.name}` AS p
  ON p.system_id = s.system_id AND p.rows_at = s.collected_at
WHERE DATE(s.collected_at) >= {first} AND p.file = 'station_status' AND p.outcome = 'unchanged'
UNION ALL
SELECT
  DATE(c.valid_from) AS day, p.collected_at AS collected_at, c.system_id AS system_id, {_format_values("c")}
FROM `{dataset}.{CHANGES_TABLE.name}` AS c
JOIN `{dataset}.{POLLS_TABLE.name}` AS p
  ON p.system_id = c.system_id AND p.collected_at >= c.valid_from AND p.collected_at < c.valid_to
WHERE DATE(c.valid_from) < {first} AND p.file = 'station_status' AND p.outcome != 'failed'
)
SELECT
  m.day AS day,
  m.system_id AS feed,
  m.collected_at AS collected_at,
  m.station_id AS station_id,
  COALESCE(i.name[SAFE_OFFSET(0)].text, m.station_id) AS name,
  i.city AS area,
  i.lat AS latitude,
  i.lon AS longitude,
  i.capacity AS capacity,
  m.num_bikes_available AS num_bikes_available,
  m.num_docks_available AS num_docks_available,
  m.is_operational AS is_operational,
  m.last_reported AS last_reported
FROM minutes AS m
LEFT JOIN information AS i
  ON i.system_id = m.system_id AND i.station_id = m.station_id
  AND i.valid_from <= m.collected_at AND (i.valid_to IS NULL OR m.collected_at < i.valid_to)"""


def _format_values(table: str) -> str:
    renamed = {
        "station_id": "station_id",
        "num_vehicles_available": "num_bikes_available",
        "num_docks_available": "num_docks_available",
        "is_renting": "is_operational",
        "last_reported": "last_reported",
    }
    return ", ".join(f"{table}.{column} AS {name}" for column, name in renamed.items())
