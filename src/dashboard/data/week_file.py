"""Encode the binary file of a typical week, with the hours of all stations. Pure.

Format: as a day's file, with b"VLW1" and four planes of a byte per station and hour (from Monday 0:00, local time):
mean bikes, percentage of minutes without bikes, percentage without docks, and number of days. 255 means unknown.
"""

import json
import struct
from collections.abc import Mapping

MAGIC = b"VLW1"
HOURS = 7 * 24
UNKNOWN, LARGEST = 255, 254
PLANES = ("mean_bikes", "empty", "full", "days")


def encode_week(series: Mapping[str, str]) -> bytes:
    """Encode a week; `series` maps stations to `weekday:hour:days:mean bikes:% empty:% full`, separated by commas."""
    stations = sorted(series)
    planes = {name: bytearray([UNKNOWN]) * (len(stations) * HOURS) for name in PLANES}
    for index, station in enumerate(stations):
        for entry in filter(None, series[station].split(",")):
            weekday, hour, days, mean, empty, full = entry.split(":")
            position = index * HOURS + (int(weekday) - 1) * 24 + int(hour)
            for name, text in zip(PLANES, (mean, empty, full, days), strict=True):
                planes[name][position] = max(0, min(LARGEST, int(float(text)))) if text else UNKNOWN
    header = json.dumps(
        {"hours": HOURS, "stations": stations, "planes": PLANES}, separators=(",", ":")
    ).encode()
    return MAGIC + struct.pack("<I", len(header)) + header + b"".join(map(bytes, planes.values()))
