"""Limits of what one response can write to the quarantine."""

import pytest

from feed import (
    Feed,
    parse_response,
)
from feed.parsing.parser import MAX_DUPLICATES, MAX_REJECTED
from feed.parsing.response_format import MAX_RECORDS
from feed.values.partial_conversion import MAX_ERRORS
from tests.feed.parsing.records import TICK, MakeFeed, assert_reconciled, copy_sample_records, make_body

pytestmark = pytest.mark.unit


def test_the_quarantine_is_limited(ods: Feed) -> None:
    records = copy_sample_records(ods)
    records[0]["fields"]["nbvelosdispo"] = "x" * 1_000_000
    records[1]["fields"] = {"k" * 100_000 + str(i): i for i in range(30)}
    outcome = parse_response(ods, make_body(records), TICK)
    assert len(outcome.rejections) == 2
    assert_reconciled(ods, outcome)


@pytest.mark.long
def test_as_many_as_are_allowed_are_quarantined_one_by_one(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}])
    outcome = parse_response(feed, make_body([{"a": 1}, *[7] * MAX_REJECTED]), TICK)
    assert (len(outcome.rows), len(outcome.rejections)) == (1, MAX_REJECTED)
    assert len(parse_response(feed, make_body([{"a": 1}] * MAX_RECORDS), TICK).rows) == MAX_RECORDS


@pytest.mark.long
def test_more_values_than_are_recorded_are_counted(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1, "b": 1}])
    outcome = parse_response(feed, make_body([{"a": "x", "b": "y"}] * MAX_REJECTED), TICK)
    assert (len(outcome.rows), len(outcome.rejections)) == (MAX_REJECTED, MAX_REJECTED + 1)
    last = outcome.rejections[-1]
    assert (last.reason, last.index, last.scope, last.occurrences) == (
        "too_many",
        None,
        "value",
        MAX_REJECTED,
    )
    assert outcome.rejected_values == 2 * MAX_REJECTED
    assert_reconciled(feed, outcome)


def test_records_that_repeat_a_key_do_not_flood_the_quarantine(ods: Feed) -> None:
    records = copy_sample_records(ods)
    outcome = parse_response(ods, make_body(records * 101), TICK)
    assert (len(outcome.rows), len(outcome.rejections)) == (5, MAX_DUPLICATES + 1)
    last = outcome.rejections[-1]
    assert (last.reason, last.index, last.scope) == ("duplicate_key", None, "record")
    assert (last.occurrences, outcome.rejected_records) == (500 - MAX_DUPLICATES, 500)
    assert_reconciled(ods, outcome)


@pytest.mark.long
def test_an_array_of_a_million_wrong_items_is_bounded(make_feed: MakeFeed) -> None:
    feed = make_feed([{"v": [1]}])
    outcome = parse_response(feed, make_body([{"v": ["x"] * 1_000_000}]), TICK)
    assert len(outcome.rejections) == MAX_ERRORS + 1
    assert outcome.rejected_values == 1_000_000
    assert_reconciled(feed, outcome)
