import math
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Column
from feed.values.conversion import make_column_converter, make_converter
from feed.values.description import describe_value
from feed.values.errors import ConversionError

pytestmark = pytest.mark.unit


def column(kind: str, **more: Any) -> Column:
    return Column("c", kind, path=("c",), **more)


EPOCH_S = column("TIMESTAMP", unit="seconds")
EPOCH_MS = column("TIMESTAMP", unit="milliseconds")
PARIS = column("TIMESTAMP", zone="Europe/Paris")
TAGS = column("STRING", mode="REPEATED")
SPOT = column(
    "RECORD", fields=(Column("lat", "FLOAT", path=("lat",)), Column("tags", "STRING", "REPEATED", ("tags",)))
)

ACCEPTED: list[tuple[Column, Any, Any]] = [
    (column("STRING"), "MONS-EN-BARŒUL", "MONS-EN-BARŒUL"),
    (column("STRING"), "", ""),
    (column("STRING"), 136, "136"),
    (column("STRING"), True, "true"),
    (column("STRING"), 1.5, "1.5"),
    (column("INTEGER"), 136, 136),
    (column("INTEGER"), "136", 136),
    (column("INTEGER"), "-5", -5),
    (column("INTEGER"), 3.0, 3),
    (column("INTEGER"), 2**63 - 1, 2**63 - 1),
    (column("INTEGER"), "9223372036854775807", 2**63 - 1),
    (column("FLOAT"), 3.133873, 3.133873),
    (column("FLOAT"), 50, 50.0),
    (column("FLOAT"), "50.62972", 50.62972),
    (column("FLOAT"), "-1e3", -1000.0),
    (column("BOOLEAN"), True, True),
    (column("BOOLEAN"), "False", False),
    (column("BOOLEAN"), 1, True),
    (column("TIMESTAMP"), "2023-09-08T08:35:02.34+02:00", datetime(2023, 9, 8, 6, 35, 2, 340000, UTC)),
    (column("TIMESTAMP"), "2023-10-26T20:49:31.123456789Z", datetime(2023, 10, 26, 20, 49, 31, 123456, UTC)),
    (column("DATETIME"), "2023-09-08 08:35", datetime(2023, 9, 8, 8, 35)),  # noqa: DTZ001 - a DATETIME has no time zone
    (column("DATE"), "2024-02-29", date(2024, 2, 29)),
    (column("TIME"), "08:36:00.5", time(8, 36, 0, 500000)),
    (EPOCH_S, 1698353400, datetime(2023, 10, 26, 20, 50, tzinfo=UTC)),
    (EPOCH_S, "1698353400", datetime(2023, 10, 26, 20, 50, tzinfo=UTC)),
    (EPOCH_S, 1698353400.25, datetime(2023, 10, 26, 20, 50, 0, 250000, UTC)),
    (EPOCH_MS, 1698353400123, datetime(2023, 10, 26, 20, 50, 0, 123000, UTC)),
    (EPOCH_MS, -1, datetime(1969, 12, 31, 23, 59, 59, 999000, UTC)),
    (PARIS, "2023-07-14T12:00:00", datetime(2023, 7, 14, 10, tzinfo=UTC)),
    (PARIS, "2023-12-24 12:00", datetime(2023, 12, 24, 11, tzinfo=UTC)),
    (PARIS, "2023-07-14T12:00:00Z", datetime(2023, 7, 14, 12, tzinfo=UTC)),
    (PARIS, "2023-10-29T02:30:00", datetime(2023, 10, 29, 0, 30, tzinfo=UTC)),  # the first of two
    (TAGS, ["a", 2], ["a", "2"]),
    (TAGS, [], []),
    (SPOT, {"lat": 50, "other": 1}, {"lat": 50.0, "tags": []}),
]
REFUSED: list[tuple[Column, Any]] = [
    (column("STRING"), ["a"]),
    (column("STRING"), {"a": 1}),
    (column("STRING"), "\ud800"),
    (column("STRING"), math.nan),
    (column("INTEGER"), True),
    (column("INTEGER"), 3.5),
    (column("INTEGER"), 1e300),
    (column("INTEGER"), 2**63),
    (column("INTEGER"), "007"),
    (column("INTEGER"), " 1"),
    (column("INTEGER"), "1.0"),
    (column("INTEGER"), "٣"),
    (column("INTEGER"), "9223372036854775808"),
    (column("FLOAT"), math.nan),
    (column("FLOAT"), math.inf),
    (column("FLOAT"), "NaN"),
    (column("FLOAT"), "1e999"),
    (column("FLOAT"), "3,14"),
    (column("FLOAT"), True),
    (column("FLOAT"), 2**53 + 1),
    (column("BOOLEAN"), 2),
    (column("BOOLEAN"), "yes"),
    (column("TIMESTAMP"), "2023-09-08T08:35:02"),
    (column("TIMESTAMP"), "2023-02-30T08:35:02Z"),
    (column("TIMESTAMP"), "0001-01-01T00:00:00+02:00"),
    (column("TIMESTAMP"), 1698353400),
    (column("DATETIME"), "2023-09-08T08:35:02Z"),
    (column("DATE"), "2023-02-29"),
    (column("DATE"), "20230908"),
    (column("TIME"), "25:00"),
    (column("TIME"), "08:36Z"),
    (EPOCH_S, True),
    (EPOCH_S, 1e18),
    (EPOCH_S, math.inf),
    (EPOCH_S, "soon"),
    (PARIS, "2023-03-26T02:30:00"),  # skipped when summer time begins
    (TAGS, "a"),
    (TAGS, ["a", None]),
    (TAGS, ["a", ["b"]]),
    (SPOT, [1]),
    (SPOT, {"lat": "north"}),
]


@pytest.mark.parametrize(("column", "value", "expected"), ACCEPTED)
def test_accepted(column: Column, value: Any, expected: Any) -> None:
    converted = make_converter(column)(value)
    assert converted == expected
    assert type(converted) is type(expected)
    assert make_column_converter(column)([value, None]) == [
        expected,
        [] if column.mode == "REPEATED" else None,
    ]


@pytest.mark.parametrize(("column", "value"), REFUSED)
def test_refused(column: Column, value: Any) -> None:
    with pytest.raises(ConversionError):
        make_converter(column)(value)
    with pytest.raises(ConversionError):
        make_column_converter(column)([value])


def test_a_nested_conversion_error_has_a_path() -> None:
    column = Column("spots", "RECORD", "REPEATED", ("spots",), fields=SPOT.fields)
    with pytest.raises(ConversionError) as error:
        make_converter(column)([{"lat": 1}, {"tags": ["a", {}]}])
    assert error.value.path == "[1].tags[1]"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["2023-09-08T08:35:02Z", "7"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
columns = st.sampled_from([case[0] for case in ACCEPTED])


@given(columns, st.lists(json_values))
@pytest.mark.long
def test_a_column_converter_equals_the_converter_per_value(column: Column, values: list[Any]) -> None:
    convert = make_converter(column)
    null: Any = [] if column.mode == "REPEATED" else None
    try:
        one_by_one = [null if value is None else convert(value) for value in values]
    except ConversionError:
        with pytest.raises(ConversionError):
            make_column_converter(column)(values)
    else:
        assert make_column_converter(column)(values) == one_by_one


@given(columns, json_values.filter(lambda value: value is not None))
def test_converting_twice_changes_nothing(column: Column, value: Any) -> None:
    if column.type not in {"STRING", "INTEGER", "FLOAT", "BOOLEAN"} or column.mode == "REPEATED":
        return
    try:
        once = make_converter(column)(value)
    except ConversionError:
        return
    assert make_converter(column)(once) == once


@given(json_values)
def test_a_description_is_short_and_encodable(value: Any) -> None:
    assert len(describe_value(value)) < 200
    describe_value(value).encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "the boolean true"),
        (3.5, "the number 3.5"),
        ("abc", "the text 'abc'"),
        ([], "an empty array"),
        ([1, 2], "an array of 2"),
        ({}, "an empty object"),
        ({"a": 1, "b": 2}, "an object with a, b"),
    ],
)
def test_describe(value: Any, text: str) -> None:
    assert describe_value(value) == text
