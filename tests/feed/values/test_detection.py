from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.values import detection
from feed.values.detection import DETECTORS, detect_common_type, detect_type

pytestmark = pytest.mark.unit

ACCEPTED: dict[Callable[[Any], str | None], list[Any]] = {
    detection.detect_boolean: [True, False],
    detection.detect_integer: [0, -1, 136, 2**63 - 1, -(2**63)],
    detection.detect_float: [0.0, 3.133873, -1e300],
    detection.detect_timestamp: [
        "2023-09-08T08:21:12+02:00",
        "2023-09-08T08:35:02.34+02:00",
        "2022-11-29T10:47:16.181+00:00",
        "2023-10-26T20:49:31.204Z",
        "2023-10-26 20:49:31Z",
        "2023-10-26T20:49+0200",
        "2023-10-26T20:49:31.123456789Z",
    ],
    detection.detect_datetime: ["2023-09-08T08:21:12", "2023-09-08 08:21", "2023-09-08T08:21:12.5"],
    detection.detect_date: ["2023-09-08", "2024-02-29"],
}
REFUSED: dict[Callable[[Any], str | None], list[Any]] = {
    detection.detect_boolean: [0, 1, "true", None],
    detection.detect_integer: [True, 1.0, "1", 2**63, -(2**63) - 1, None],
    detection.detect_float: [1, "1.5", True, None],
    detection.detect_timestamp: [
        "2023-09-08T08:21:12",
        "2023-02-30T08:21:12Z",
        "2023-09-08T24:00:00Z",
        1698353400,
    ],
    detection.detect_datetime: [
        "2023-09-08",
        "2023-09-08T08:21:12Z",
        "2023-09-31T08:21:12",
        "20230908T082112",
    ],
    detection.detect_date: ["20230908", "2023-W36-5", "2023-02-29", "2023-9-8", "٢٠٢٣-٠٩-٠٨", 20230908],
}


@pytest.mark.parametrize(("detector", "value"), [(d, v) for d, values in ACCEPTED.items() for v in values])
def test_accepted(detector: Callable[[Any], str | None], value: Any) -> None:
    assert detector(value) == detector.__name__.removeprefix("detect_").upper()
    assert detect_type(value) == detector(value)


@pytest.mark.parametrize(("detector", "value"), [(d, v) for d, values in REFUSED.items() for v in values])
def test_refused(detector: Callable[[Any], str | None], value: Any) -> None:
    assert detector(value) is None


def test_every_detector_has_both_tables() -> None:
    assert set(DETECTORS) == set(ACCEPTED) == set(REFUSED)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([None, 1], "INTEGER"),
        ([1, 2.5], "FLOAT"),
        ([1, True], "STRING"),
        ([1, "1"], "STRING"),
        (["2023-09-08", "2023-09-08T08:21:12"], "STRING"),
        (["2023-09-08T08:21:12Z", "2023-09-08T08:21:12"], "STRING"),
        (["EN SERVICE", None], "STRING"),
        ([2**64], "STRING"),
    ],
)
def test_one_type_for_all(values: list[Any], expected: str | None) -> None:
    assert detect_common_type(values) == expected


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str)


@given(st.lists(scalars))
def test_order_and_nulls_decide_nothing(values: list[Any]) -> None:
    assert detect_common_type(values) == detect_common_type([*reversed(values), None])


@given(scalars)
def test_at_most_one_detector_matches_a_value(value: Any) -> None:
    assert sum(detector(value) is not None for detector in DETECTORS) <= 1
