"""The tick that a pushed message means."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.envelope import EnvelopeError, tick_of_envelope

pytestmark = pytest.mark.unit

TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    "published",
    [
        "2023-10-26T20:50:00Z",
        "2023-10-26T20:50:00.000Z",
        "2023-10-26T20:50:59.999999999Z",
        "2023-10-26T22:50:07.5+02:00",
        "2023-10-26T15:20:00-05:30",
    ],
)
def test_the_tick_is_the_publish_time_floored_to_its_minute(published: str) -> None:
    assert tick_of_envelope({"message": {"publishTime": published}}) == TICK


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        (None, "push envelope"),
        ([], "push envelope"),
        ({"message": "x"}, "push envelope"),
        ({"message": {}}, "publishTime: found 'None'"),
        ({"message": {"publishTime": 1698353400}}, "RFC 3339"),
        ({"message": {"publishTime": "2023-10-26"}}, "RFC 3339"),
        ({"message": {"publishTime": "2023-10-26T20:50:00"}}, "RFC 3339"),
        ({"message": {"publishTime": "2023-02-30T20:50:00Z"}}, "day"),
        ({"message": {"publishTime": "0001-01-01T00:00:00+10:00"}}, "publishTime"),
        ({"message": {"publishTime": "x" * 10_000}}, "RFC 3339"),
    ],
)
def test_what_is_no_message_is_refused(envelope: Any, words: str) -> None:
    with pytest.raises(EnvelopeError, match=words) as caught:
        tick_of_envelope(envelope)
    assert len(str(caught.value)) < 300


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_every_offset_means_the_same_minute(moment: datetime, offset_minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    expected = local.astimezone(UTC).replace(second=0, microsecond=0)
    assert tick_of_envelope({"message": {"publishTime": local.isoformat()}}) == expected
