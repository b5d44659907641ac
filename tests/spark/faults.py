"""Responses of an invented feed as producers spoil them, and what is right of each."""

import gzip
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.collector.fakes import Reply
from tests.spark.pipeline import Tick

TOML = """
url = "https://city.example/stations"
records = "stations"
key = "id"
[common]
station_id = "id"
name = "name"
latitude = "lat"
longitude = "lon"
num_bikes_available = "bikes"
num_docks_available = "docks"
is_operational = "open"
last_reported = "seen"
[bounds]
latitude = [50.4, 50.9]
longitude = [2.8, 3.4]
[rules]
bikes = { minimum = 0, maximum = 500 }
seen = { not_in_future = true, not_before = 2015-01-01 }
"""
STRICT = TOML + 'docks = { on_mismatch = "row" }\nfee = { on_mismatch = "response" }\n'
SEEN = "2025-10-26T17:58:12Z"
Station = dict[str, Any]
STATIONS: list[Station] = [
    {"id": "a", "name": "Gare", "bikes": 3, "docks": 9, "lat": 50.64, "lon": 3.05, "fee": 0.5, "open": True},
    {
        "id": "b",
        "name": "Hôtel",
        "bikes": 0,
        "docks": 12,
        "lat": 50.63,
        "lon": 3.06,
        "fee": 1.5,
        "open": True,
    },
    {"id": "c", "name": "Quai", "bikes": 7, "docks": 5, "lat": 50.62, "lon": 3.07, "fee": 0.0, "open": False},
]
# Columns that make the batch read every response record by record.
NESTED: Station = {"built": "2011-09-16", "kinds": [{"kind": "e", "n": 2}], "links": {"web": "a", "ids": [1]}}
DIGITS = "7" * 5_000

Row = tuple[str, int | None, str | None]  # id, bikes, seen
ALL: list[Row] = [("a", 3, SEEN), ("b", 0, SEEN), ("c", 7, SEEN)]
UNSEEN: list[Row] = [("a", 3, None), ("b", 0, None), ("c", 7, None)]
UNCOUNTED: list[Row] = [("a", None, SEEN), ("b", None, SEEN), ("c", None, SEEN)]


@dataclass(frozen=True)
class Fault:
    """A response, and what is right of it: rows, quarantine (scope, reason, field) and events at ERROR."""

    reply: Reply
    rows: list[Row]
    quarantine: list[tuple[str, ...]]
    events: tuple[str, ...] = ()

    def tick(self, feed: str, what: str) -> Tick:
        """The fault as a minute of a feed."""
        rows = [
            {"id": name, "bikes": bikes, "seen": None if seen is None else datetime.fromisoformat(seen)}
            for name, bikes, seen in self.rows
        ]
        return Tick(feed, what, (self.reply,), rows, self.quarantine, self.events)


@dataclass(frozen=True)
class Producer:
    """Writes the responses of a feed; its stations have these fields besides the others."""

    extra: Station

    @property
    def stations(self) -> list[Station]:
        """The stations as they are in the sample."""
        return [station | {"seen": SEEN} | self.extra for station in STATIONS]

    def text(self, stations: list[Any] | None = None) -> str:
        """A response of these stations."""
        stations = self.stations if stations is None else stations
        return json.dumps({"stations": stations}, ensure_ascii=False)

    def each(self, **values: list[Any]) -> Reply:
        """A response of which the stations have these values, one after another."""
        stations = self.stations
        for name, of_each in values.items():
            for station, value in zip(stations, of_each, strict=True):
                station[name] = value
        return as_json(self.text(stations).encode())

    def one(self, index: int, **values: Any) -> Reply:
        """A response of which one station has these values, a text `<digits>` or `<half>` written as no text."""
        stations = self.stations
        stations[index] |= values
        text = self.text(stations).replace('"<digits>"', DIGITS).replace("<half>", r"\ud83d")
        return as_json(text.encode())

    def renamed(self, old: str, new: str) -> Reply:
        """A response of which every station has another name for a field."""
        return as_json(self.text().replace(f'"{old}":', f'"{new}":').encode())


def as_json(body: bytes, charset: str = "") -> Reply:
    """A reply with the Content-Type of JSON."""
    return Reply(
        body, headers={"Content-Type": f"application/json; charset={charset}".removesuffix("; charset=")}
    )


def shape_faults(producer: Producer) -> dict[str, Fault]:
    """Values and fields that are not as in the sample."""
    return {
        "as the sample": Fault(as_json(producer.text().encode()), ALL, []),
        "no value of an optional column fits": Fault(
            producer.each(seen=["", "", ""]), UNSEEN, [("value", "bad_value", "seen")] * 3, ("schema_drift",)
        ),
        "one value of an optional column does not fit": Fault(
            producer.one(1, seen="yesterday"),
            [ALL[0], UNSEEN[1], ALL[2]],
            [("value", "bad_value", "seen")],
        ),
        "times became milliseconds": Fault(
            producer.each(seen=[1_761_501_492_000, 1_761_501_492_001, 1_761_501_492_002]),
            UNSEEN,
            [("value", "bad_value", "seen")] * 3,
            ("schema_drift",),
        ),
        "numbers became texts": Fault(producer.one(0, bikes="3", docks="9"), ALL, []),
        "a column of the view availability renamed": Fault(
            producer.renamed("bikes", "available"), UNCOUNTED, [], ("schema_drift",)
        ),
        "another column renamed": Fault(producer.renamed("fee", "price"), ALL, []),
        "the key renamed": Fault(
            producer.renamed("id", "uid"),
            [],
            [("record", "missing_key", "id")] * 3,
            ("no_rows", "schema_drift"),
        ),
        "a field more": Fault(producer.each(colour=["red", None, 7]), ALL, []),
        "numbers that are not to be believed": Fault(
            producer.each(bikes=[-3, 1_000_000_000, 7]),
            [("a", -3, SEEN), ("b", 1_000_000_000, SEEN), ALL[2]],
            [("value", "implausible", "bikes")] * 2,
        ),
        "times that are not to be believed": Fault(
            producer.each(seen=["2099-01-01T00:00:00Z", "0001-01-01T00:00:00Z", SEEN]),
            [("a", 3, "2099-01-01T00:00:00Z"), ("b", 0, "0001-01-01T00:00:00Z"), ALL[2]],
            [("value", "implausible", "seen")] * 2,
        ),
        "coordinates exchanged": Fault(
            producer.one(0, lat=3.05, lon=50.64), ALL, [("value", "swapped_coordinates", "lat")]
        ),
        "a station elsewhere": Fault(producer.one(0, lat=48.8), ALL, [("value", "out_of_range", "lat")]),
        "a long number in a column": Fault(
            producer.one(0, bikes="<digits>"), [UNCOUNTED[0], *ALL[1:]], [("value", "bad_value", "bikes")]
        ),
        "a long number that nobody reads": Fault(producer.one(0, serial="<digits>"), ALL, []),
        "half of a surrogate pair": Fault(
            producer.one(0, name="<half>"), ALL, [("value", "bad_value", "name")]
        ),
        "a key twice": Fault(producer.one(1, id="a"), [ALL[0], ALL[2]], [("record", "duplicate_key", "id")]),
        "no key": Fault(producer.one(1, id=None), [ALL[0], ALL[2]], [("record", "missing_key", "id")]),
        "a record that is none": Fault(
            as_json(producer.text([*producer.stations, "end"]).encode()),
            ALL,
            [("record", "not_an_object", "")],
        ),
    }


def body_faults(producer: Producer) -> dict[str, Fault]:
    """Bytes that are not as they were announced, and responses that are of no use."""
    text = producer.text()
    body, packed = text.encode(), gzip.compress(text.encode(), mtime=0)
    japanese = text.replace("Hôtel", "駅").encode("shift_jis")
    return {
        "gzip that no header announces": Fault(as_json(packed), ALL, []),
        "gzip packed once more": Fault(Reply(packed, compressed=True), ALL, []),
        "ISO-8859-1": Fault(as_json(text.encode("latin-1"), "ISO-8859-1"), ALL, []),
        "ISO-8859-1 that nothing announces": Fault(as_json(text.encode("latin-1")), ALL, []),
        "Shift_JIS": Fault(as_json(japanese, "Shift_JIS"), ALL, []),
        "UTF-16 with a byte order mark": Fault(as_json(text.encode("utf-16")), ALL, []),
        "a byte order mark": Fault(as_json(text.encode("utf-8-sig")), ALL, []),
        "a comment after the JSON": _useless(body + b"\n<!-- cached -->", "trailing_data"),
        "an HTML page": _useless(b"<!DOCTYPE html><html>Back soon", "html"),
        "cut off": _useless(body[:-40], "truncated"),
        "an error in JSON": _useless(b'{"error": "quota"}', "no_records", "stations"),
        "no stations": _useless(producer.text([]).encode(), "empty", "stations"),
        "nothing": _useless(b"", "empty"),
    }


def _useless(body: bytes, reason: str, place: str = "") -> Fault:
    return Fault(as_json(body), [], [("response", reason, place)], ("unusable_response",))


def strict_faults(producer: Producer) -> dict[str, Fault]:
    """Of the feed whose rules say what a mismatch rejects."""
    return {
        "a value that costs its row": Fault(
            producer.one(1, docks=[]), [ALL[0], ALL[2]], [("record", "bad_value", "docks")]
        ),
        "a value that costs the response": Fault(
            producer.one(1, fee="free"), [], [("response", "bad_value", "fee")], ("unusable_response",)
        ),
        "a value that costs itself": Fault(producer.one(1, name={}), ALL, [("value", "bad_value", "name")]),
    }


def nested_faults(producer: Producer) -> dict[str, Fault]:
    """Values inside of objects and arrays."""
    kinds = [{"kind": "e", "n": "many"}, 7, None, {"kind": "m", "n": 1}]
    return {
        "a part of a value does not fit": Fault(
            producer.one(0, kinds=kinds, links={"web": 1, "ids": ["x", 2]}),
            ALL,
            [
                ("value", "bad_value", place)
                for place in ("kinds[0].n", "kinds[1]", "kinds[2]", "links.ids[0]")
            ],
        ),
        "empty as PHP writes it": Fault(producer.one(0, kinds={}, links=[]), ALL, []),
    }
