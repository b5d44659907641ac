"""A frozen, a dead and a moved feed are each named, although responses come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feed import Feed
from operate.health.content import Content, judge_content, map_common_columns
from operate.health.observation import Unavailable
from operate.target import Target

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
WELL = Content(60, NOON, NOON - timedelta(minutes=3), (), 212, 120)
PLACE = Target("dev")


@pytest.fixture
def ogc(feeds: dict[str, Feed]) -> Feed:
    return feeds["vlille_ogc"]


def test_a_healthy_environment_passes_every_check(ogc: Feed) -> None:
    assert [str(line) for line in judge_content(WELL, ogc, PLACE)] == [
        "ok      freshness     a station reported 3 min before the newest rows",
        "ok      changes       212 stations changed within 120 minutes",
        "ok      columns       every common column has values",
        "ok      quarantine    nothing in the last hour",
    ]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        {"newest_report": NOON - timedelta(minutes=120)},
        "freshness",
        "a station reported 120 min before the newest rows, the limit is 120",
    ),
    ({"newest_report": None}, "freshness", "no station has a value of last_reported"),
    ({"changed": 0}, "changes", "0 stations changed within 120 minutes: the API repeats an old response"),
    ({"changed": 0, "minutes": 108}, "changes", "0 stations changed within 108 minutes: the API repeats"),
    (
        {"lost": ("num_bikes_available",)},
        "columns",
        "no value of num_bikes_available (nb_velos_dispo) in the last hour: the API's fields changed",
    ),
    (
        {"quarantined": {("response", "html"): 3}},
        "quarantine",
        "3 responses (html) in the last hour: the table quarantine has them",
    ),
]


@pytest.mark.parametrize(("change", "what", "sentence"), WRONG)
def test_failed_checks_are_named(ogc: Feed, change: dict[str, Any], what: str, sentence: str) -> None:
    wrong = [line for line in judge_content(replace(WELL, **change), ogc, PLACE) if line.wrong]
    assert [line.what for line in wrong] == [what]
    assert wrong[0].found.startswith(sentence)


RIGHT: list[dict[str, Any]] = [
    {"newest_report": NOON - timedelta(minutes=119)},
    {"changed": 0, "minutes": 107},
    {"changed": None},
    {"quarantined": {("response", "html"): 2, ("record", "missing_key"): 7, ("value", "implausible"): 60}},
]


@pytest.mark.parametrize("change", RIGHT)
def test_tolerated_conditions_pass(ogc: Feed, change: dict[str, Any]) -> None:
    assert [line for line in judge_content(replace(WELL, **change), ogc, PLACE) if line.wrong] == []


def test_without_rows_only_the_quarantine_is_judged(ogc: Feed) -> None:
    dead = Content(0, quarantined={("response", "html"): 60})
    assert [(line.what, line.wrong) for line in judge_content(dead, ogc, PLACE)] == [("quarantine", True)]


def test_a_failed_observation_fails_the_check(ogc: Feed) -> None:
    (line,) = judge_content(Unavailable("not found: run `make deploy ENV=dev`"), ogc, PLACE)
    assert str(line) == "FAILED  content       not found: run `make deploy ENV=dev`"


def test_common_columns_are_those_that_the_feed_maps(ogc: Feed) -> None:
    assert map_common_columns(ogc)["is_operational"] == "etat"
    assert map_common_columns(ogc)["num_bikes_available"] == "nb_velos_dispo"
