import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import (
    Feed,
    archive_name,
    archive_prefix,
    choose_tick,
    landing_name,
    parse_legacy_name,
    parse_object_name,
)

pytestmark = pytest.mark.unit

TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
LANDING = "vlille_ods/20231026T205000Z.json.gz"
ARCHIVE = "feed=vlille_ods/date=2023-10-26/hour=20/20231026T205000Z.json.gz"


def test_names() -> None:
    assert landing_name("vlille_ods", TICK) == LANDING
    assert archive_name("vlille_ods", TICK) == ARCHIVE
    assert archive_prefix("vlille_ods", date(2023, 10, 26)) == "feed=vlille_ods/date=2023-10-26/"
    assert landing_name("vlille_ods", datetime.fromisoformat("2023-10-26T22:50:00+02:00")) == LANDING


@pytest.mark.parametrize("name", [LANDING, ARCHIVE])
def test_way_back(name: str) -> None:
    assert parse_object_name(name) == ("vlille_ods", TICK)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "data___2023-10-26_22:50:00.json",
        "vlille_ods/20231026T205000Z.json",
        "vlille_ods/20231326T205000Z.json.gz",
        "vlille_ods/20231026T2050Z.json.gz",
        "Vlille/20231026T205000Z.json.gz",
        "x/vlille_ods/20231026T205000Z.json.gz",
        LANDING + "\n",
        ARCHIVE.replace("hour=20", "hour=21"),
        ARCHIVE.replace("date=2023-10-26", "date=2023-10-27"),
        ARCHIVE.replace("26T20", "2٦T20"),
        ARCHIVE + "/",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a stored response"):
        parse_object_name(name)


@pytest.mark.parametrize("tick", [TICK.replace(tzinfo=None), TICK + timedelta(microseconds=1)])
def test_a_tick_is_a_whole_second_with_a_zone(tick: datetime) -> None:
    with pytest.raises(ValueError, match=r"has no time zone|has microseconds"):
        landing_name("vlille_ods", tick)


def test_a_feed_name_cannot_leave_its_folder() -> None:
    with pytest.raises(ValueError, match="expected lower-case letters"):
        landing_name("../other", TICK)


ticks = st.datetimes(timezones=st.just(UTC)).map(lambda tick: tick.replace(microsecond=0))
names = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)


@given(names, ticks)
def test_every_name_leads_back(name: str, tick: datetime) -> None:
    assert (
        parse_object_name(landing_name(name, tick))
        == parse_object_name(archive_name(name, tick))
        == (name, tick)
    )
    assert archive_name(name, tick).startswith(archive_prefix(name, tick.date()))


@given(names, ticks, ticks)
def test_names_sort_as_ticks(name: str, one: datetime, other: datetime) -> None:
    assert (one < other) == (archive_name(name, one) < archive_name(name, other))


LEGACY = [
    ("data___2023-10-26_22:50:00.json", ["2023-10-26T20:50:00Z"]),
    ("data___2023-01-01_00:10:00.json", ["2022-12-31T23:10:00Z"]),
    ("data___2023-10-29_01:59:00.json", ["2023-10-28T23:59:00Z"]),
    ("data___2023-10-29_02:30:00.json", ["2023-10-29T00:30:00Z", "2023-10-29T01:30:00Z"]),
    ("data___2023-10-29_03:00:00.json", ["2023-10-29T02:00:00Z"]),
    ("data___2023-03-26_02:30:00.json", []),
    ("data___2023-03-26_03:00:00.json", ["2023-03-26T01:00:00Z"]),
]


@pytest.mark.parametrize(("name", "expected"), LEGACY)
def test_legacy_names(ods: Feed, name: str, expected: list[str]) -> None:
    assert parse_legacy_name(ods, name) == tuple(datetime.fromisoformat(each) for each in expected)


@pytest.mark.parametrize(
    "name",
    [
        "data___2023-10-26_22:50.json",
        "data___2023-10-26_22:50:00.json.gz",
        "data___2023-10-6_22:50:00.json",
        "data___2023-02-30_22:50:00.json",
        "x/data___2023-10-26_22:50:00.json",
        "data___2023-10-26_22:50:00.json ",
        ARCHIVE,
        "",
    ],
)
def test_names_with_another_pattern_are_refused(ods: Feed, name: str) -> None:
    with pytest.raises(ValueError, match=r"does not match the legacy pattern .* of vlille_ods"):
        parse_legacy_name(ods, name)


def test_a_feed_without_legacy_names_says_so(feeds: dict[str, Feed]) -> None:
    with pytest.raises(ValueError, match=r"vlille_ogc has no \[legacy\] section"):
        parse_legacy_name(feeds["vlille_ogc"], "data___2023-10-26_22:50:00.json")


@given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_tick_is_among_the_candidates_of_its_old_name(ods: Feed, tick: datetime) -> None:
    assert ods.legacy is not None
    tick = tick.replace(microsecond=0)
    candidates = parse_legacy_name(ods, tick.astimezone(ods.legacy.zone).strftime(ods.legacy.pattern))
    assert tick in candidates
    assert list(candidates) == sorted(set(candidates))
    assert all(later - earlier == timedelta(hours=1) for earlier, later in itertools.pairwise(candidates))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)))  # noqa: DTZ001 - local times
def test_one_hour_a_year_is_skipped_and_one_is_twice(ods: Feed, local: datetime) -> None:
    assert ods.legacy is not None
    count = len(parse_legacy_name(ods, local.strftime(ods.legacy.pattern)))
    last_sunday = local.day >= 25 and local.isoweekday() == 7 and local.hour == 2
    assert count == (0 if last_sunday and local.month == 3 else 2 if last_sunday and local.month == 10 else 1)


FIRST, SECOND = (datetime.fromisoformat(each) for each in ("2023-10-29T00:30:00Z", "2023-10-29T01:30:00Z"))


def minutes(tick: datetime, count: float) -> datetime:
    return tick + timedelta(minutes=count)


@pytest.mark.parametrize(
    ("report_times", "created", "expected"),
    [
        ([], None, SECOND),
        ([minutes(FIRST, -1)], None, FIRST),
        ([minutes(FIRST, 2)], None, FIRST),  # clocks differ a little
        ([minutes(FIRST, 20)], None, SECOND),  # stale, but after the first
        ([minutes(SECOND, -1)], minutes(FIRST, 1), SECOND),  # no response has a time after its tick
        ([minutes(SECOND, -70)], minutes(SECOND, 0.1), SECOND),  # more than an hour stale when it was stored
        ([minutes(SECOND, -60)], minutes(SECOND, -2), SECOND),  # and clocks differ a little
        ([minutes(SECOND, -70)], minutes(SECOND, 30), FIRST),  # stored at neither: the response decides
        ([minutes(FIRST, -70)], minutes(FIRST, 0.1), FIRST),
        ([minutes(FIRST, -1)], minutes(SECOND, 60 * 24 * 30), FIRST),  # copied a month later
        (
            [minutes(FIRST, -400 * 24 * 60), minutes(FIRST, -3)],
            None,
            FIRST,
        ),  # withdrawn stations report no more
        ([minutes(FIRST, -200)], minutes(FIRST, 1), FIRST),  # too old to decide: the creation time does
        ([minutes(FIRST, -200)], minutes(SECOND, 1), SECOND),
        (
            [minutes(SECOND, 60 * 24 * 365)],
            minutes(FIRST, 1),
            FIRST,
        ),  # a time in the far future is ignored
        ([minutes(SECOND, 60 * 24 * 365), minutes(FIRST, -1)], None, FIRST),
        ([], minutes(FIRST, 0.2), FIRST),
        ([], minutes(SECOND, -1), SECOND),
        ([], minutes(SECOND, 60 * 24 * 30), SECOND),  # copied a month later
        ([], minutes(FIRST, -60 * 24), SECOND),
    ],
)
def test_evidence_decides(report_times: list[datetime], created: datetime | None, expected: datetime) -> None:
    assert choose_tick((FIRST, SECOND), report_times, created) == expected


def test_one_candidate_needs_no_evidence() -> None:
    assert choose_tick((TICK,), [minutes(TICK, -600)], minutes(TICK, 600)) == TICK


def test_no_candidate_is_refused() -> None:
    with pytest.raises(ValueError, match="this local time does not exist, because clocks went forward"):
        choose_tick((), [], None)


@given(st.sampled_from([FIRST, SECOND]), st.floats(0, 30), st.lists(st.floats(0, 10**6), max_size=5))
def test_new_responses_have_other_times(tick: datetime, staleness: float, older: list[float]) -> None:
    times = [minutes(tick, -staleness), *(minutes(tick, -staleness - age) for age in older)]
    assert choose_tick((FIRST, SECOND), times, None) == tick
