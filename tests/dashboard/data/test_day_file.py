"""The file of a day: decoding inverts encoding, and days with a clock change have other lengths."""

import gzip
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.data.day_file import UNKNOWN, LocalDay, decode_day, encode_day, find_present_minutes

pytestmark = pytest.mark.unit

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("day", "start", "minutes"),
    [
        (date(2026, 11, 24), datetime(2026, 11, 23, 23, tzinfo=UTC), 1440),
        (date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), 1380),
        (date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC), 1500),
    ],
)
def test_a_local_day_has_23_to_25_hours(day: date, start: datetime, minutes: int) -> None:
    found = LocalDay.from_date(day, PARIS)
    assert (found.start, found.minutes) == (start, minutes)
    assert found.end == LocalDay.from_date(date.fromordinal(day.toordinal() + 1), PARIS).start


def test_a_byte_per_station_and_minute() -> None:
    day = LocalDay.from_date(date(2026, 11, 24), PARIS)
    found = decode_day(encode_day(day, {"b": "0:3:7,2:0:,1439:300:1", "a": ""}))
    assert found.day == day
    assert found.stations == ("a", "b")
    assert set(found.bikes[:1440]) == {UNKNOWN}
    bikes, docks = found.bikes[1440:], found.docks[1440:]
    assert (bikes[0], bikes[1], bikes[2], bikes[1439]) == (3, UNKNOWN, 0, 254)
    assert (docks[0], docks[2], docks[1439]) == (7, UNKNOWN, 1)
    assert list(find_present_minutes(found)) == [0, 2, 1439]


def test_minutes_outside_the_day_are_ignored() -> None:
    day = LocalDay.from_date(date(2026, 11, 24), PARIS)
    assert set(decode_day(encode_day(day, {"a": "-1:1:1,1440:1:1"})).bikes) == {UNKNOWN}


@pytest.mark.parametrize("series", ["1", "1:2", "1:2:3,", "1:2:3,4", "1:2:3,x:5:6", "1:two:3", "::"])
def test_a_malformed_series_is_refused(series: str) -> None:
    with pytest.raises(ValueError, match=r"int\(\)|shorter|longer"):
        encode_day(LocalDay.from_date(date(2026, 11, 24), PARIS), {"a": series})


@pytest.mark.parametrize("content", [b"", b"nothing", b"VLD1\x02\x00\x00\x00{}"])
def test_a_malformed_file_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        decode_day(content)


values = st.one_of(st.none(), st.integers(0, 254))


@pytest.mark.long
@given(
    st.dictionaries(
        st.text("ab1", min_size=1),
        st.dictionaries(st.integers(0, 1439), st.tuples(values, values)),
        max_size=4,
    )
)
def test_decoding_inverts_encoding(series: dict[str, dict[int, tuple[int | None, int | None]]]) -> None:
    day = LocalDay.from_date(date(2026, 11, 24), PARIS)
    text = {
        station: ",".join(
            f"{minute}:{'' if bikes is None else bikes}:{'' if docks is None else docks}"
            for minute, (bikes, docks) in minutes.items()
        )
        for station, minutes in series.items()
    }
    found = decode_day(encode_day(day, text))
    for index, station in enumerate(found.stations):
        for minute in range(1440):
            bikes, docks = series[station].get(minute, (None, None))
            at = index * 1440 + minute
            assert found.bikes[at] == (UNKNOWN if bikes is None else bikes)
            assert found.docks[at] == (UNKNOWN if docks is None else docks)


@pytest.mark.long
def test_a_day_of_273_stations_is_small() -> None:
    day = LocalDay.from_date(date(2026, 11, 24), PARIS)
    series = {
        f"{station:03}": ",".join(
            f"{minute}:{(station + minute // 20) % 20}:{20 - (station + minute // 20) % 20}"
            for minute in range(1440)
        )
        for station in range(273)
    }
    assert len(gzip.compress(encode_day(day, series))) < 60_000
