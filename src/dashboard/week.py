"""The hours of a week of all stations as one compact file. Pure.

As a day's file, with b"VLW1" and four planes of a byte per station and hour (Monday 0:00 first, local): mean bikes,
percent of minutes without a bike, percent without a dock, and how many days were seen. 255 is "unknown".
"""

import json
import struct
from collections.abc import Mapping

MAGIC = b"VLW1"
HOURS = 7 * 24
UNKNOWN, LARGEST = 255, 254
PLANES = ("mean_bikes", "empty", "full", "days")


def encode(series: Mapping[str, str]) -> bytes:
    """Return the file; `series` has, by station, `weekday:hour:days:mean bikes:% empty:% full` with commas between."""
    stations = sorted(series)
    planes = {name: bytearray([UNKNOWN]) * (len(stations) * HOURS) for name in PLANES}
    for index, station in enumerate(stations):
        for entry in filter(None, series[station].split(",")):
            weekday, hour, days, mean, empty, full = entry.split(":")
            place = index * HOURS + (int(weekday) - 1) * 24 + int(hour)
            for name, text in zip(PLANES, (mean, empty, full, days), strict=True):
                planes[name][place] = max(0, min(LARGEST, int(float(text)))) if text else UNKNOWN
    header = json.dumps(
        {"hours": HOURS, "stations": stations, "planes": PLANES}, separators=(",", ":")
    ).encode()
    return MAGIC + struct.pack("<I", len(header)) + header + b"".join(map(bytes, planes.values()))
