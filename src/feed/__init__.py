"""The pure core: a sample answer of a JSON API → schemas, rows, names. Standard library, Python 3.11 on.

Imports: nothing.
Imported by: bench, cdk, collector, copier, dashboard, gbfs, gbfs_collector, local, operate, spark, stacks.py.
"""

from feed.conversion import MisfitError, converter
from feed.decoding import check_depth
from feed.drift import Drift
from feed.encoding import charset_of
from feed.errors import FeedError
from feed.freshness import frozen_minutes, newest_report, stale_minutes, state_digest
from feed.join import join_records, joined_response, split_response
from feed.model import COLLECTED_AT, Box, Column, Common, Condition, Feed, Legacy
from feed.naming import (
    archive_name,
    archive_prefix,
    choose_tick,
    landing_name,
    legacy_ticks,
    rejected_archive_name,
    rejected_name,
    rejected_tick,
    tick_of,
    wait_name,
    waiting_minute,
)
from feed.outcome import IMPLAUSIBLE, FaultError, Outcome, Rejection, load_rows, quarantine_rows
from feed.paging import joined_pages
from feed.parsing import answer_times, parse, unreadable
from feed.raw import RawError, TooLargeError, pack, unpack, unpack_body
from feed.redaction import redacted
from feed.request import secret_variable, values_of, with_query
from feed.response import Page, has_all_records, read_page
from feed.schema import (
    availability_sql,
    batch_runs_schema,
    data_dictionary,
    minutes_present_sql,
    quarantine_schema,
    spark_schema,
    station_schema,
)
from feed.shape import AnswerShape, ArrayShape, Ignored, ObjectShape, Shape, answer_shape
from feed.source import is_private_address, load_feed, load_feeds
from feed.views import View, data_views

__all__ = [
    "COLLECTED_AT",
    "IMPLAUSIBLE",
    "AnswerShape",
    "ArrayShape",
    "Box",
    "Column",
    "Common",
    "Condition",
    "Drift",
    "FaultError",
    "Feed",
    "FeedError",
    "Ignored",
    "Legacy",
    "MisfitError",
    "ObjectShape",
    "Outcome",
    "Page",
    "RawError",
    "Rejection",
    "Shape",
    "TooLargeError",
    "View",
    "answer_shape",
    "answer_times",
    "archive_name",
    "archive_prefix",
    "availability_sql",
    "batch_runs_schema",
    "charset_of",
    "check_depth",
    "choose_tick",
    "converter",
    "data_dictionary",
    "data_views",
    "frozen_minutes",
    "has_all_records",
    "is_private_address",
    "join_records",
    "joined_pages",
    "joined_response",
    "landing_name",
    "legacy_ticks",
    "load_feed",
    "load_feeds",
    "load_rows",
    "minutes_present_sql",
    "newest_report",
    "pack",
    "parse",
    "quarantine_rows",
    "quarantine_schema",
    "read_page",
    "redacted",
    "rejected_archive_name",
    "rejected_name",
    "rejected_tick",
    "secret_variable",
    "spark_schema",
    "split_response",
    "stale_minutes",
    "state_digest",
    "station_schema",
    "tick_of",
    "unpack",
    "unpack_body",
    "unreadable",
    "values_of",
    "wait_name",
    "waiting_minute",
    "with_query",
]
