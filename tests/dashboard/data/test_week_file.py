"""The file of a typical week."""

import json
import struct

import pytest

from dashboard.data.week_file import HOURS, PLANES, UNKNOWN, encode_week

pytestmark = pytest.mark.unit


def test_four_planes_of_a_byte_per_hour_of_the_week() -> None:
    content = encode_week({"a": "1:0:4:2.0:25.0:0.0,7:23:3::100.0:", "b": ""})
    (length,) = struct.unpack_from("<I", content, 4)
    assert json.loads(content[8 : 8 + length]) == {
        "hours": HOURS,
        "stations": ["a", "b"],
        "planes": list(PLANES),
    }
    body = content[8 + length :]
    size = 2 * HOURS
    first = {name: body[n * size : (n + 1) * size][:HOURS] for n, name in enumerate(PLANES)}
    assert {name: plane[0] for name, plane in first.items()} == {
        "mean_bikes": 2,
        "empty": 25,
        "full": 0,
        "days": 4,
    }
    assert {name: plane[HOURS - 1] for name, plane in first.items()} == {
        "mean_bikes": UNKNOWN,
        "empty": 100,
        "full": UNKNOWN,
        "days": 3,
    }
    assert first["empty"][1] == UNKNOWN


@pytest.mark.parametrize(("mean", "byte"), [("-3", 0), ("-0.4", 0), ("300", 254), ("", 255)])
def test_a_mean_is_clamped_to_a_byte(mean: str, byte: int) -> None:
    content = encode_week({"1": f"1:0:4:{mean}:0:0"})
    (length,) = struct.unpack_from("<I", content, 4)
    assert content[8 + length] == byte
