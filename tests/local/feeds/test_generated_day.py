"""The generated day: as large as the real feed, valid, and reproducible."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Feed, parse_response
from local.errors import LocalError
from local.feeds.generated_day import (
    EXAMPLE_MINUTE,
    LILLE,
    SHAPES,
    STATIONS,
    GeneratedDay,
    main,
    make_stations,
    work_presence,
)
from tests.conftest import EXAMPLE

pytestmark = pytest.mark.unit

TUESDAY = datetime(2026, 10, 6, tzinfo=LILLE)
MINUTES = st.integers(24_700_000, 36_000_000).map(lambda minute: datetime.fromtimestamp(minute * 60, UTC))


@pytest.mark.parametrize("name", SHAPES)
def test_every_record_of_a_generated_response_is_a_row(name: str, feeds: dict[str, Feed]) -> None:
    body = GeneratedDay(name).response_at(EXAMPLE_MINUTE)
    outcome = parse_response(feeds[name], body, EXAMPLE_MINUTE)
    assert (outcome.records, len(outcome.rows), outcome.rejections, outcome.drifts) == (STATIONS, 289, (), ())
    assert 50_000 < len(body) < 200_000


@pytest.mark.parametrize("name", SHAPES)
def test_a_generated_response_has_the_samples_fields(name: str, feeds: dict[str, Feed]) -> None:
    """The same keys in the same order, so that decoding takes the same time."""

    def keys(document: object) -> object:
        match document:
            case dict():
                return {key: keys(value) for key, value in document.items()}, list(document)
            case list():
                return keys(document[0]) if document else None
            case _:
                return None

    assert keys(json.loads(GeneratedDay(name).response_at(EXAMPLE_MINUTE))) == keys(
        json.loads(feeds[name].sample)
    )


def test_the_shipped_example_is_what_the_generator_returns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vlille_ods"]) == 0
    assert capsys.readouterr().out == EXAMPLE.read_text("utf-8"), (
        "run `python -m local.feeds.generated_day vlille_ods > docs/examples/vlille_ods.json`"
    )


def test_another_seed_generates_other_stations() -> None:
    assert GeneratedDay("vlille_ogc", 1).response_at(EXAMPLE_MINUTE) == GeneratedDay(
        "vlille_ogc", 1
    ).response_at(EXAMPLE_MINUTE)
    assert GeneratedDay("vlille_ogc", 1).response_at(EXAMPLE_MINUTE) != GeneratedDay(
        "vlille_ogc", 2
    ).response_at(EXAMPLE_MINUTE)


@pytest.mark.parametrize(
    ("hour", "day", "expected"),
    [(3, 0, 0.0), (6.5, 0, 0.0), (12, 0, 1.0), (16.5, 0, 1.0), (18, 0, 0.5), (20, 0, 0.0), (12, 4, 0.25)],
)
def test_work_presence_by_hour_and_weekday(hour: float, day: int, expected: float) -> None:
    assert work_presence(TUESDAY + timedelta(days=day, hours=hour)) == pytest.approx(expected)


def test_bikes_go_to_work_and_come_home() -> None:
    work = [each for each in make_stations() if each.swing > 0 and each.is_connected]

    def at(hour: int) -> int:
        return sum(each.bikes(TUESDAY + timedelta(hours=hour)) for each in work)

    assert at(3) < at(8) < at(13) > at(18) > at(22)


@given(MINUTES, st.integers(0, 5))
@pytest.mark.long
def test_bikes_fit_the_places_and_reports_are_not_in_the_future(minute: datetime, seed: int) -> None:
    stations = make_stations(seed)
    assert len({each.number for each in stations}) == len({each.name for each in stations}) == STATIONS
    for each in stations:
        assert 0 <= each.bikes(minute) <= each.capacity
        if each.is_connected:
            assert timedelta() <= minute - each.reported(minute) < timedelta(minutes=11)


def test_a_feed_of_another_format_has_no_generated_day() -> None:
    with pytest.raises(
        LocalError, match=r"^DAY=generated: .*not for docks: add FEED=vlille_ods, or leave DAY out$"
    ):
        GeneratedDay("docks")
