"""The pure core: from a sample response of an API to schemas, rows and object names. Standard library, Python ≥ 3.11.

Imports: nothing.
Imported by: bench, cdk, collector, copier, dashboard, gbfs, gbfs_collector, local, operate, spark, stacks.py.
"""

from feed.errors import FeedError
from feed.model import COLLECTED_AT, Box, Column, Common, Condition, Feed, Legacy
from feed.naming import (
    archive_name,
    archive_prefix,
    choose_tick,
    landing_name,
    parse_legacy_name,
    parse_object_name,
    parse_rejected_name,
    parse_wait_marker_name,
    rejected_archive_name,
    rejected_name,
    wait_marker_name,
)
from feed.parsing.compression import DecompressionError, TooLargeError, compress, decompress, decompress_body
from feed.parsing.encoding import parse_charset
from feed.parsing.join import combine_responses, join_records, split_response
from feed.parsing.json_decoding import check_depth
from feed.parsing.outcome import (
    IMPLAUSIBLE,
    FaultError,
    Outcome,
    Rejection,
    convert_rows_to_json,
    make_empty_response_rows,
    make_rejection_rows,
)
from feed.parsing.paging import combine_pages
from feed.parsing.parser import extract_report_times, make_unreadable_outcome, parse_response
from feed.parsing.response import Page, has_all_records, read_page
from feed.parsing.response_shape import (
    ArrayShape,
    Ignored,
    ObjectShape,
    ResponseShape,
    Shape,
    infer_response_shape,
)
from feed.quality.drift import SchemaDrift
from feed.quality.freshness import count_frozen_minutes, count_stale_minutes, digest_state, find_newest_report
from feed.quality.gbfs_version import VERSION_CHANGED, format_gbfs_version
from feed.request.body_redaction import redact_body
from feed.request.parameters import add_query, resolve_parameters, secret_variable_name
from feed.request.redaction import redact_secrets
from feed.source.api_options import is_secure_url
from feed.source.folder import load_feed, load_feeds
from feed.tables.availability import availability_sql, minutes_present_sql
from feed.tables.data_dictionary import render_data_dictionary
from feed.tables.schema import (
    batch_runs_schema,
    empty_responses_schema,
    quarantine_schema,
    spark_schema,
    station_schema,
)
from feed.tables.ticks import format_newest_report_sql, select_minutes
from feed.tables.views import View, data_views
from feed.values.conversion import make_converter
from feed.values.errors import ConversionError

__all__ = [
    "COLLECTED_AT",
    "IMPLAUSIBLE",
    "VERSION_CHANGED",
    "ArrayShape",
    "Box",
    "Column",
    "Common",
    "Condition",
    "ConversionError",
    "DecompressionError",
    "FaultError",
    "Feed",
    "FeedError",
    "Ignored",
    "Legacy",
    "ObjectShape",
    "Outcome",
    "Page",
    "Rejection",
    "ResponseShape",
    "SchemaDrift",
    "Shape",
    "TooLargeError",
    "View",
    "add_query",
    "archive_name",
    "archive_prefix",
    "availability_sql",
    "batch_runs_schema",
    "check_depth",
    "choose_tick",
    "combine_pages",
    "combine_responses",
    "compress",
    "convert_rows_to_json",
    "count_frozen_minutes",
    "count_stale_minutes",
    "data_views",
    "decompress",
    "decompress_body",
    "digest_state",
    "empty_responses_schema",
    "extract_report_times",
    "find_newest_report",
    "format_gbfs_version",
    "format_newest_report_sql",
    "has_all_records",
    "infer_response_shape",
    "is_secure_url",
    "join_records",
    "landing_name",
    "load_feed",
    "load_feeds",
    "make_converter",
    "make_empty_response_rows",
    "make_rejection_rows",
    "make_unreadable_outcome",
    "minutes_present_sql",
    "parse_charset",
    "parse_legacy_name",
    "parse_object_name",
    "parse_rejected_name",
    "parse_response",
    "parse_wait_marker_name",
    "quarantine_schema",
    "read_page",
    "redact_body",
    "redact_secrets",
    "rejected_archive_name",
    "rejected_name",
    "render_data_dictionary",
    "resolve_parameters",
    "secret_variable_name",
    "select_minutes",
    "spark_schema",
    "split_response",
    "station_schema",
    "wait_marker_name",
]
