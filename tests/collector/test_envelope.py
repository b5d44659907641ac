"""The tick that a pushed message means."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.envelope import Delivery, EnvelopeError, read_delivery

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
    assert read_delivery({"message": {"publishTime": published}}) == Delivery(TICK, is_first=False)


@pytest.mark.parametrize(
    ("attempt", "is_first"),
    [
        (1, True),
        (2, False),
        (0, False),
        (None, False),
        (True, False),
        ("1", False),
        (1.0, False),
        ([], False),
    ],
)
def test_only_an_attempt_that_pubsub_counts_as_one_is_the_first(attempt: object, is_first: bool) -> None:
    envelope = {"message": {"publishTime": "2023-10-26T20:50:00Z"}, "deliveryAttempt": attempt}
    assert read_delivery(envelope) == Delivery(TICK, is_first)


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        (None, "Pub/Sub push message"),
        ([], "Pub/Sub push message"),
        ({"message": "x"}, "Pub/Sub push message"),
        ({"message": {}}, "publishTime: found 'None'"),
        ({"message": {"publishTime": 1698353400}}, "RFC 3339"),
        ({"message": {"publishTime": "2023-10-26"}}, "RFC 3339"),
        ({"message": {"publishTime": "2023-10-26T20:50:00"}}, "RFC 3339"),
        ({"message": {"publishTime": "2023-02-30T20:50:00Z"}}, "day"),
        ({"message": {"publishTime": "0001-01-01T00:00:00+10:00"}}, "publishTime"),
        ({"message": {"publishTime": "x" * 10_000}}, "RFC 3339"),
    ],
)
def test_invalid_push_messages_are_refused(envelope: Any, words: str) -> None:
    with pytest.raises(EnvelopeError, match=words) as caught:
        read_delivery(envelope)
    assert len(str(caught.value)) < 300


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_every_offset_means_the_same_minute(moment: datetime, offset_minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    expected = local.astimezone(UTC).replace(second=0, microsecond=0)
    assert read_delivery({"message": {"publishTime": local.isoformat()}}).tick == expected
