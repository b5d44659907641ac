"""Parse whole responses into rows, as BigQuery loads them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from feed import (
    Column,
    Feed,
    convert_rows_to_json,
    extract_report_times,
    parse_response,
)
from tests.feed.parsing.records import (
    TICK,
    MakeFeed,
    assert_reconciled,
    both_decoders,
    copy_sample_records,
    make_body,
)

pytestmark = pytest.mark.unit


def test_the_projects_samples_are_all_rows(feeds: dict[str, Feed]) -> None:
    for feed in feeds.values():
        outcome = parse_response(feed, feed.sample, TICK)
        assert (outcome.records, len(outcome.rows), outcome.rejections, outcome.drifts) == (5, 5, (), ())
        assert all(3.0 < row["longitude"] < 3.3 and 50.5 < row["latitude"] < 50.8 for row in outcome.rows)


def test_a_row(ods: Feed) -> None:
    outcome = parse_response(ods, ods.sample, TICK)
    assert list(outcome.rows[3].items()) == [
        ("collected_at", TICK),
        ("recordid", copy_sample_records(ods)[3]["recordid"]),
        ("record_timestamp", datetime(2023, 10, 26, 20, 49, 2, 340000, UTC)),
        ("nbvelosdispo", 0),
        ("nbplacesdispo", 0),
        ("libelle", 304),
        ("adresse", "Chemin du Héron"),
        ("nom", "CHEMIN DU HÉRON"),
        ("etat", "RÉFORMÉ"),
        ("commune", "VILLENEUVE D'ASCQ"),
        ("etatconnexion", "DÉCONNECTÉ"),
        ("type", "SANS TPE"),
        ("longitude", 3.1512),
        ("latitude", 50.6318),
        ("datemiseajour", datetime(2022, 11, 29, 9, 40, 5, tzinfo=UTC)),
    ]


@both_decoders
def test_a_response_of_full_size(ods: Feed, full_response: bytes, decode: Callable[[bytes], Any]) -> None:
    outcome = parse_response(ods, full_response, TICK, decode=decode)
    assert (outcome.records, len(outcome.rows), outcome.rejections, outcome.drifts) == (289, 289, (), ())
    assert all(
        abs(row["longitude"] - 3.1) < 0.2 and abs(row["latitude"] - 50.65) < 0.15 for row in outcome.rows
    )
    assert len({row["libelle"] for row in outcome.rows}) == 289
    taken = {record["record_timestamp"] for record in json.loads(full_response)["records"]}
    assert max(extract_report_times(ods, full_response)) == max(map(datetime.fromisoformat, taken))
    assert_reconciled(ods, outcome)


def test_rows_are_converted_to_json_for_a_load_job(ods: Feed) -> None:
    row = convert_rows_to_json(ods, parse_response(ods, ods.sample, TICK))[0]
    assert row["collected_at"] == "2023-10-26T20:50:00+00:00"
    assert row["record_timestamp"] == "2023-10-26T20:49:02.340000+00:00"
    assert row["libelle"] == 301


def test_nested_values_are_converted_to_json(make_feed: MakeFeed) -> None:
    at, local, day = "2023-09-08T08:36:00Z", "2023-09-08T08:36:00", "2023-09-08"
    feed = make_feed([{"o": {"at": at, "days": [day], "l": [{"local": local}]}, "n": 1}])
    outcome = parse_response(feed, feed.sample, TICK)
    assert convert_rows_to_json(feed, outcome) == [
        {
            "collected_at": "2023-10-26T20:50:00+00:00",
            "o": {"at": "2023-09-08T08:36:00+00:00", "days": [day], "l": [{"local": local}]},
            "n": 1,
        }
    ]
    assert isinstance(outcome.rows[0]["o"]["at"], datetime), "the rows themselves are left as they are"


def test_whole_numbers_that_json_readers_round_are_loaded_as_text(make_feed: MakeFeed) -> None:
    """BigQuery asks for text where an integer is beyond 2^53."""
    exact, beyond = 2**53, 2**53 + 1
    feed = make_feed([{"a": beyond, "b": exact, "c": -beyond, "l": [beyond], "o": {"n": beyond}, "t": True}])
    row = convert_rows_to_json(feed, parse_response(feed, feed.sample, TICK))[0]
    assert {name: row[name] for name in "abclot"} == {
        "a": str(beyond),
        "b": exact,
        "c": str(-beyond),
        "l": [str(beyond)],
        "o": {"n": str(beyond)},
        "t": True,
    }


def test_collected_at_is_utc(ods: Feed) -> None:
    local = TICK.astimezone(timezone(timedelta(hours=2)))
    assert (
        parse_response(ods, ods.sample, local).rows[0]["collected_at"].isoformat()
        == "2023-10-26T20:50:00+00:00"
    )
    with pytest.raises(ValueError, match="has no time zone"):
        parse_response(ods, ods.sample, TICK.replace(tzinfo=None))


def test_report_times_of_a_response(feeds: dict[str, Feed], make_feed: MakeFeed) -> None:
    times = extract_report_times(feeds["vlille_ods"], feeds["vlille_ods"].sample)
    assert times[-1] == datetime(2023, 10, 26, 20, 49, 2, 340000, UTC)
    assert len(times) == 6
    ogc = feeds["vlille_ogc"]
    records = [{"date_modification": "soon"}, {"date_modification": "2023-10-26T20:47:12Z"}, {}, 3]
    assert extract_report_times(ogc, make_body(records)) == (datetime(2023, 10, 26, 20, 47, 12, tzinfo=UTC),)
    assert extract_report_times(ogc, b"<html>") == ()
    assert extract_report_times(make_feed([{"a": 1}]), make_body([{"a": 1}])) == ()


def test_columns_given_in_the_model_are_columns_of_rows(ods: Feed) -> None:
    assert all(isinstance(column, Column) for column in ods.columns)
    assert list(parse_response(ods, ods.sample, TICK).rows[0])[1:] == [column.name for column in ods.columns]
