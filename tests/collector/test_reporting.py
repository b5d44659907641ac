"""Each thing that makes responses useless is an event at ERROR, which an alert names."""

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.api import ApiError
from collector.landing import LandedObject
from collector.reporting import report_failure, report_outcome
from feed import Feed, parse_response
from tests.conftest import ROOT

pytestmark = pytest.mark.unit

TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
LANDED = LandedObject("vlille_ogc/20231026T205000Z.json.gz", b"", is_new=True)


@pytest.fixture
def ogc(feeds: dict[str, Feed]) -> Feed:
    return feeds["vlille_ogc"]


def body(ogc: Feed, *, drop: str = "", **changed: Any) -> bytes:
    """The sample with a field taken away from all records, or changed in all of them."""
    records = json.loads(ogc.sample)["records"]
    records = [{key: value for key, value in (each | changed).items() if key != drop} for each in records]
    return json.dumps({"records": records}).encode()


def events(
    feed: Feed,
    response: bytes,
    caplog: pytest.LogCaptureFixture,
    tick: datetime = TICK,
    landed: LandedObject = LANDED,
) -> list[tuple[str, str]]:
    """Severity and event of each line that a response makes."""
    caplog.clear()
    logging.getLogger("vlille").propagate = True
    with caplog.at_level(logging.INFO, "vlille"):
        report_outcome(feed, parse_response(feed, response, tick), landed, 0.1)
    # Another test of the process may have let the logger write to caplog, too: then a line comes twice.
    records = dict.fromkeys(caplog.records)
    return [(record.levelname, record.__dict__["fields"]["event"]) for record in records]


def test_a_response_without_problems_is_one_log_line(ogc: Feed, caplog: pytest.LogCaptureFixture) -> None:
    assert events(ogc, ogc.sample, caplog) == [("INFO", "collected")]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"drop": "nb_velos_dispo"}, "schema_drift", "missing_field nb_velos_dispo: found it in no record"),
    (
        {"date_modification": 1698353400000},
        "schema_drift",
        "found an integer in 5 of 5 records; expected TIMESTAMP",
    ),
    (
        {"@id": None},
        "no_rows",
        "has 5 records and produced no rows: vlille_ogc: record 0 rejected (missing_key)",
    ),
    ({"date_modification": "2020-01-01T00:00:00Z"}, "stale_feed", "(limit: 120)"),
]


@pytest.mark.parametrize(("change", "event", "sentence"), WRONG)
def test_problems_of_rows_are_events(
    ogc: Feed, caplog: pytest.LogCaptureFixture, change: dict[str, Any], event: str, sentence: str
) -> None:
    line = "INFO" if event == "stale_feed" else "WARNING"
    assert events(ogc, body(ogc, **change), caplog) == [(line, "collected"), ("ERROR", event)]
    assert sentence in caplog.messages[-1]


@pytest.mark.parametrize("response", [b"<html>", b'{"records": []}', b"", b'{"records": [1'])
def test_a_response_without_records_is_an_event(
    ogc: Feed, caplog: pytest.LogCaptureFixture, response: bytes
) -> None:
    assert events(ogc, response, caplog) == [("WARNING", "collected"), ("ERROR", "unusable_response")]
    assert LANDED.name in caplog.messages[-1]


def test_a_feed_is_stale_from_its_minutes_on(ogc: Feed, caplog: pytest.LogCaptureFixture) -> None:
    newest = datetime(2023, 10, 26, 20, 48, 3, 105000, tzinfo=UTC)
    assert ("ERROR", "stale_feed") not in events(ogc, ogc.sample, caplog, newest + timedelta(minutes=119.9))
    assert ("ERROR", "stale_feed") in events(ogc, ogc.sample, caplog, newest + timedelta(minutes=120))


BESIDE: list[tuple[dict[str, str], str, str]] = [
    (
        {"unchanged_since": (TICK - timedelta(minutes=120)).isoformat()},
        "frozen_feed",
        "no station of vlille_ogc has changed for 120 minutes",
    ),
    (
        {"moved_to": "https://new.example/stations"},
        "moved_feed",
        "vlille_ogc has moved to https://new.example/stations: change `url` in sources/vlille_ogc",
    ),
]


@pytest.mark.parametrize(("metadata", "event", "sentence"), BESIDE)
def test_the_metadata_of_a_raw_object_is_reported(
    ogc: Feed, caplog: pytest.LogCaptureFixture, metadata: dict[str, str], event: str, sentence: str
) -> None:
    landed = replace(LANDED, metadata=metadata)
    assert events(ogc, ogc.sample, caplog, landed=landed) == [("INFO", "collected"), ("ERROR", event)]
    assert sentence in caplog.messages[-1]


@pytest.mark.parametrize(("status", "is_gone"), [(404, True), (410, True), (403, False), (None, False)])
def test_an_api_that_was_shut_down_is_reported(
    ogc: Feed, caplog: pytest.LogCaptureFixture, status: int | None, is_gone: bool
) -> None:
    logging.getLogger("vlille").propagate = True
    with caplog.at_level(logging.INFO, "vlille"):
        report_failure(ogc, ApiError("request failed", status=status))
    assert any("has moved or was shut down" in message for message in caplog.messages) is is_gone


EVENTS = (
    *("unusable_response", "no_rows", "incomplete_response", "schema_drift", "stale_feed"),
    *("frozen_feed", "moved_feed", "retry_after_received"),
)


def test_each_event_has_an_alert() -> None:
    alerts = (ROOT / "cdk" / "operations" / "monitoring.py").read_text("utf-8")
    documented = (ROOT / "docs" / "feeds.md").read_text("utf-8")
    for event in EVENTS:
        assert f'"{event}"' in alerts
        assert f"| `{event}` |" in documented
