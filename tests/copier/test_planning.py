"""From a name to what must be done."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copier.planning import MAX_LEGACY_BYTES, Landed, Legacy, Refused, WaitMarker, plan_object
from feed import Feed, archive_name, landing_name, parse_object_name

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "destination"),
    [
        (
            "vlille_ogc/20231026T205000Z.json.gz",
            "feed=vlille_ogc/date=2023-10-26/hour=20/20231026T205000Z.json.gz",
        ),
        (
            "trams/20240229T235959Z.json.gz",
            "feed=trams/date=2024-02-29/hour=23/20240229T235959Z.json.gz",
        ),
    ],
)
def test_a_landed_object_goes_to_the_hour_of_its_tick(name: str, destination: str) -> None:
    assert plan_object(name, 1, []) == Landed(destination, parse_object_name(name)[1])


def test_rejected_responses_are_archived_outside_of_the_days() -> None:
    tick = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
    destination = "rejected/feed=trams/date=2023-10-26/20231026T205000Z.gz"
    assert plan_object("rejected/trams/20231026T205000Z.gz", 1, []) == Landed(destination, tick)


def test_a_note_of_waiting_is_of_its_minute() -> None:
    minute = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
    assert plan_object("waits/trams/20231026T205000Z", 1, []) == WaitMarker(minute)


@pytest.mark.parametrize(
    ("name", "ticks"),
    [
        ("data___2023-10-26_22:50:00.json", ["2023-10-26T20:50:00"]),
        ("data___2023-12-31_00:10:00.json", ["2023-12-30T23:10:00"]),
        ("data___2023-10-29_01:59:00.json", ["2023-10-28T23:59:00"]),
        ("data___2023-10-29_02:30:00.json", ["2023-10-29T00:30:00", "2023-10-29T01:30:00"]),
        ("data___2023-10-29_03:00:00.json", ["2023-10-29T02:00:00"]),
        ("old/copies/data___2023-03-26_03:00:00.json", ["2023-03-26T01:00:00"]),
    ],
)
def test_a_legacy_name_has_one_or_two_candidates(name: str, ticks: list[str], old_feeds: list[Feed]) -> None:
    job = plan_object(name, 1, old_feeds)
    assert isinstance(job, Legacy)
    assert job.feed.name == "vlille_ods"
    assert [tick.isoformat() for tick in job.candidates] == [f"{tick}+00:00" for tick in ticks]


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("data___2023-03-26_02:30:00.json", 1, "does not exist"),
        ("data___2023-13-26_02:30:00.json", 1, "unknown name; expected"),
        ("vlille_ogc/20231026T205000Z.json", 1, "unknown name; expected"),
        ("vlille_ogc/20231326T205000Z.json.gz", 1, "unknown name; expected"),
        ("notes.txt", 1, "unknown name; expected"),
        ("waits/trams/20231026T205007Z", 1, "unknown name; expected"),
        ("waits/20231026T205000Z", 1, "unknown name; expected"),
        ("rejected/trams/20231326T205000Z.gz", 1, "unknown name; expected"),
        ("vlille_ogc/", 0, "folder"),
        ("vlille_ogc/20231026T205000Z.json.gz", 0, "empty"),
        ("feed=a/date=2023-10-26/hour=20/20231026T205000Z.json.gz", 1, "archive name"),
        ("data___2023-10-26_22:50:00.json", MAX_LEGACY_BYTES + 1, "legacy object of 4194305 bytes"),
        ("data___2023-10-26_22:50:00.json", 5 * 2**30, "at most 4194304 are supported"),
    ],
)
def test_refused_objects_have_a_reason(name: str, size: int, words: str, old_feeds: list[Feed]) -> None:
    job = plan_object(name, size, old_feeds)
    assert isinstance(job, Refused)
    assert words in job.reason


def test_only_what_goes_through_memory_has_a_size_limit(old_feeds: list[Feed]) -> None:
    assert isinstance(plan_object("data___2023-10-26_22:50:00.json", MAX_LEGACY_BYTES, old_feeds), Legacy)
    assert isinstance(plan_object("trams/20240229T235959Z.json.gz", 5 * 2**30, old_feeds), Landed)


@given(
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2199, 1, 1)),  # noqa: DTZ001
)
def test_every_tick_is_archived_in_its_own_hour(feed_name: str, moment: datetime) -> None:
    tick = moment.replace(microsecond=0, tzinfo=UTC)
    job = plan_object(landing_name(feed_name, tick), 1, [])
    assert job == Landed(archive_name(feed_name, tick), tick)
    assert plan_object(landing_name(feed_name, tick + timedelta(seconds=1)), 1, []) != job


@given(st.text(max_size=60), st.integers(0, 3))
def test_no_name_breaks_the_plan(name: str, size: int) -> None:
    assert isinstance(plan_object(name, size, []), Landed | Refused)
