"""GoogleSQL about ticks: which minutes have a response, and the outcome of each response."""

# ruff: noqa: S608 - names of tables cannot be query parameters; all come from the stack

from datetime import timedelta

from feed.model import Feed
from feed.quality.freshness import CLOCK_SKEW

# Values of the column `status` of the view `ticks`.
LOADED, PARTIAL, EMPTY, UNUSABLE = "loaded", "partial", "empty", "unusable"


def select_minutes(feed: str, dataset: str) -> str:
    """Return GoogleSQL that selects `collected_at` of all rows and of the valid responses without records.

    `feed` is a feed's name, `dataset` is `project.dataset`.
    """
    return (
        f"SELECT collected_at FROM `{dataset}.{feed}`\nUNION ALL\n"
        f"SELECT collected_at FROM `{dataset}.empty_responses` WHERE feed = '{feed}'"
    )


def format_newest_report_sql(feed: Feed) -> str:
    """Return a GoogleSQL aggregate: the newest `last_reported` that is not in the future, as `find_newest_report`."""
    reported = f"`{feed.common.last_reported}`" if feed.common.last_reported else "CAST(NULL AS TIMESTAMP)"
    latest = f"TIMESTAMP_ADD(collected_at, INTERVAL {CLOCK_SKEW // timedelta(minutes=1)} MINUTE)"
    return f"MAX(CASE WHEN {reported} <= {latest} THEN {reported} END)"


def format_ticks_sql(feed: Feed, dataset: str) -> str:
    """Return the GoogleSQL of the view `ticks`: a row per stored response, with its counts.

    A view, not a table: the counts are computed from the feed's rows, `quarantine` and `empty_responses`.
    """
    name = f"CONCAT('{feed.name}/', FORMAT_TIMESTAMP('%Y%m%dT%H%M%SZ', collected_at), '.json.gz')"
    return f"""\
WITH counts AS (
SELECT
  collected_at,
  {name} AS object,
  COUNT(*) AS loaded,
  0 AS rejected,
  0 AS problems,
  0 AS is_unusable,
  {format_newest_report_sql(feed)} AS newest_last_reported
FROM `{dataset}.{feed.name}`
GROUP BY collected_at
UNION ALL
SELECT
  collected_at,
  object,
  0 AS loaded,
  SUM(CASE WHEN scope = 'record' THEN COALESCE(occurrences, 1) ELSE 0 END) AS rejected,
  COUNT(CASE WHEN scope IN ('record', 'page') THEN 1 END) AS problems,
  MAX(CASE WHEN COALESCE(scope, 'response') = 'response' THEN 1 ELSE 0 END) AS is_unusable,
  CAST(NULL AS TIMESTAMP) AS newest_last_reported
FROM `{dataset}.quarantine`
WHERE feed = '{feed.name}'
GROUP BY collected_at, object
UNION ALL
SELECT
  collected_at,
  object,
  0 AS loaded,
  0 AS rejected,
  0 AS problems,
  0 AS is_unusable,
  CAST(NULL AS TIMESTAMP) AS newest_last_reported
FROM `{dataset}.empty_responses`
WHERE feed = '{feed.name}'
), sums AS (
SELECT
  collected_at,
  object,
  SUM(loaded) AS loaded,
  SUM(rejected) AS rejected,
  SUM(problems) AS problems,
  MAX(is_unusable) AS is_unusable,
  MAX(newest_last_reported) AS newest_last_reported
FROM counts
GROUP BY collected_at, object
)
SELECT
  collected_at,
  object,
  CASE
    WHEN is_unusable = 1 OR (loaded = 0 AND problems > 0) THEN '{UNUSABLE}'
    WHEN problems > 0 THEN '{PARTIAL}'
    WHEN loaded > 0 THEN '{LOADED}'
    ELSE '{EMPTY}'
  END AS status,
  loaded + rejected AS records,
  loaded AS rows_loaded,
  rejected AS rows_rejected,
  newest_last_reported
FROM sums"""
