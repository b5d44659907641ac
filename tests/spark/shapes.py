"""Responses of every shape that docs/feeds.md shows, whole and spoilt, and what is right of each."""

import json
from datetime import UTC, datetime
from typing import Any

from feed import split_response
from tests.collector.fakes import Reply
from tests.spark.pipeline import Tick

Rows = list[dict[str, Any]]
Faults = list[tuple[str, ...]]
UNUSABLE = ("unusable_response",)


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Table → the rows of the documentation's sample.
SAMPLE_ROWS: dict[str, Rows] = {
    "gbfs_2": [
        {"station_id": "11", "num_bikes_available": 6, "last_reported": at("2026-09-21T14:13:32")},
        {"station_id": "12", "num_bikes_available": 0, "last_reported": at("2026-09-21T14:13:28")},
    ],
    "joined": [
        {"station_id": "11", "num_bikes_available": 6, "name": "Quay", "capacity": 18},
        {"station_id": "13", "num_bikes_available": 3, "name": None, "capacity": None},
    ],
    "gbfs_3": [{"station_id": "1", "name": "Gare"}, {"station_id": "2", "name": "Harbour"}],
    "api_key": [
        {"number": "1", "bikes": 3, "latitude": 43.6, "status": "OPEN"},
        {"number": "2", "bikes": 0, "latitude": 43.61, "status": "CLOSED"},
    ],
    "pairs": [{"id": "D_1", "bikes": 4, "docks": 19}, {"id": "D_2", "bikes": 7, "docks": 20}],
    "by_key": [{"id": "s12", "bikes": 3, "lat": 50.61}, {"id": "s13", "bikes": 4, "lat": 50.62}],
    "columnar": [
        {"time": at("2026-01-01T00:00"), "temperature": 1.5, "rain": 0.0},
        {"time": at("2026-01-01T01:00"), "temperature": 2.0, "rain": None},
    ],
    "with_header": [{"id": "a", "bikes": 3}, {"id": "b", "bikes": 0}],
    "below_arrays": [{"id": "8", "bikes": 1}, {"id": "9", "bikes": 0}],
    "csv_table": [
        {"id": "007", "bikes": 4, "seen": at("2026-09-21T12:54:00")},
        {"id": "008", "bikes": None, "seen": at("2026-09-21T12:53:10")},
    ],
    "pages": [
        {"stationcode": "9001", "numbikesavailable": 5, "lon": 2.27},
        {"stationcode": "9002", "numbikesavailable": 0, "lon": 2.28},
    ],
    "lines": [{"id": "a", "bikes": 1}, {"id": "b", "bikes": 2}],
}


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _pages(*sizes: int, total: int) -> list[bytes]:
    """Pages of so many stations each."""
    numbers = iter(range(9_000, 10_000))
    place = {"lon": 2.3, "lat": 48.8}
    return [
        _json(
            {
                "total_count": total,
                "results": [
                    {
                        "stationcode": str(next(numbers)),
                        "name": "",
                        "numbikesavailable": 1,
                        "coordonnees_geo": place,
                    }
                    for _ in range(size)
                ],
            }
        )
        for size in sizes
    ]


def _stations(count: int) -> Rows:
    return [{"stationcode": str(9_000 + n), "numbikesavailable": 1} for n in range(count)]


# Table, what → the bodies, one for each page; rows, quarantine and events.
SPOILT: dict[tuple[str, str], tuple[list[bytes], Rows, Faults, tuple[str, ...]]] = {
    ("gbfs_2", "version 3"): (
        [
            _json(
                {
                    "data": {
                        "stations": [
                            {
                                "station_id": "11",
                                "num_bikes_available": "6",
                                "num_docks_available": 1,
                                "is_renting": 1,
                                "last_reported": "2025-10-26T17:58:12+00:00Z",
                            }
                        ]
                    }
                }
            )
        ],
        [{"station_id": "11", "num_bikes_available": 6, "last_reported": at("2025-10-26T17:58:12")}],
        [],
        (),
    ),
    ("gbfs_3", "names that are none"): (
        [
            _json(
                {
                    "data": {
                        "stations": [
                            {"station_id": "1", "lat": 50.1, "lon": 3.1, "capacity": 2, "name": "Gare"},
                            {
                                "station_id": "2",
                                "lat": 50.1,
                                "lon": 3.1,
                                "capacity": 2,
                                "name": [{"text": "Hafen", "language": "de"}],
                            },
                            {
                                "station_id": "3",
                                "lat": 50.1,
                                "lon": 3.1,
                                "capacity": 2,
                                "name": [{"text": "Port", "language": "fr"}],
                            },
                        ]
                    }
                }
            )
        ],
        [
            {"station_id": "1", "name": None},
            {"station_id": "2", "name": None},
            {"station_id": "3", "name": "Port"},
        ],
        [("value", "bad_value", "name")],
        (),
    ),
    ("api_key", "no list but an error"): (
        [b'{"error": "Unauthorized"}'],
        [],
        [("response", "no_records", "the response")],
        UNUSABLE,
    ),
    ("pairs", "pairs in another order, missing and wrong"): (
        [
            _json(
                [
                    {
                        "id": "D_1",
                        "commonName": "A",
                        "lat": 51.5,
                        "lon": 0,
                        "additionalProperties": [
                            {"key": "Locked", "value": "false"},
                            {"key": "NbEmptyDocks", "value": "19"},
                            {"key": "NbBikes", "value": "4"},
                        ],
                    },
                    {"id": "D_2", "commonName": "B", "lat": 51.5, "lon": 0, "additionalProperties": []},
                    {
                        "id": "D_3",
                        "commonName": "C",
                        "lat": 51.5,
                        "lon": 0,
                        "additionalProperties": [{"key": "NbBikes", "value": "few"}],
                    },
                ]
            )
        ],
        [
            {"id": "D_1", "bikes": 4, "docks": 19},
            {"id": "D_2", "bikes": None, "docks": None},
            {"id": "D_3", "bikes": None, "docks": None},
        ],
        [("value", "bad_value", "bikes")],
        (),
    ),
    ("by_key", "a list"): (
        [_json({"stations": [{"bikes": 3}]})],
        [],
        [("response", "no_records", "stations")],
        UNUSABLE,
    ),
    ("by_key", "a record that is none"): (
        [_json({"stations": {"s12": {"bikes": 3, "lat": 50.6, "lon": 3.1}, "s13": 7}})],
        [{"id": "s12", "bikes": 3}, {"id": "s13", "bikes": None}],
        [],
        (),
    ),
    ("columnar", "arrays of different lengths"): (
        [_json({"hourly": {"time": ["2026-01-01T00:00"], "temperature": [], "rain": [0]}})],
        [],
        [("response", "no_records", "hourly")],
        UNUSABLE,
    ),
    ("columnar", "a local time that was skipped"): (
        [
            _json(
                {"hourly": {"time": ["2026-01-01T00:00", "soon"], "temperature": [1, "cold"], "rain": [0, 1]}}
            )
        ],
        [{"time": at("2026-01-01T00:00"), "temperature": 1.0, "rain": 0.0}],
        [("record", "bad_value", "time")],
        (),
    ),
    ("with_header", "columns exchanged, and a short row"): (
        [_json({"fields": ["bikes", "id"], "rows": [[3, "a"], [4], "end"]})],
        [{"id": "a", "bikes": 3}],
        [("record", "missing_key", "id"), ("record", "not_an_object", "")],
        (),
    ),
    ("with_header", "no names"): (
        [_json({"rows": [["a", 3]]})],
        [],
        [("response", "no_records", "rows")],
        UNUSABLE,
    ),
    ("below_arrays", "the city is gone"): (
        [_json({"countries": [{"cities": [{"uid": 1, "places": [{"id": 1, "bikes": 1}]}]}]})],
        [],
        [("response", "empty", "countries[].cities[uid=362].places")],
        UNUSABLE,
    ),
    ("csv_table", "ISO-8859-1, a value that does not fit, a row too long"): (
        ["id;bikes;seen\né;4;2025-10-26T17:58:12Z\nb;many;\nc;1;;\n".encode("latin-1")],
        [
            {"id": "b", "bikes": None, "seen": None},
            {"id": "é", "bikes": 4, "seen": at("2025-10-26T17:58:12")},
        ],
        [("record", "not_an_object", ""), ("value", "bad_value", "bikes")],
        (),
    ),
    ("csv_table", "columns in another order"): (
        [b"seen;id;bikes;new\n2025-10-26T17:58:12Z;007;4;x\n"],
        [{"id": "007", "bikes": 4, "seen": at("2025-10-26T17:58:12")}],
        [],
        (),
    ),
    ("csv_table", "an HTML page"): ([b"<html><body>Down"], [], [("response", "html", "")], UNUSABLE),
    ("csv_table", "a quote that does not end"): (
        [b'id;bikes;seen\n"a;1;'],
        [],
        [("response", "not_csv", "")],
        UNUSABLE,
    ),
    ("pages", "three pages"): (_pages(100, 100, 7, total=207), _stations(207), [], ()),
    ("pages", "the last page is full"): (_pages(100, 0, total=100), _stations(100), [], ()),
    ("pages", "the last page is full and repeated"): (_pages(100, total=100), _stations(100), [], ()),
    ("pages", "fewer records than there are"): (
        _pages(100, 20, total=300),
        _stations(120),
        [],
        ("incomplete_response",),
    ),
    ("pages", "a page that is none"): (
        [*_pages(100, total=200), b"<html>"],
        _stations(100),
        [("page", "html", "")],
        ("incomplete_response",),
    ),
    ("pages", "the same page again and again"): (
        _pages(100, total=200),
        _stations(100),
        [],
        ("incomplete_response",),
    ),
    ("pages", "a first page that is none"): ([b"<html>"], [], [("response", "html", "")], UNUSABLE),
    ("pages", "no list in a page"): (
        [*_pages(100, total=200), b'{"results": {}}'],
        _stations(100),
        [("page", "no_records", "results")],
        ("incomplete_response",),
    ),
    ("lines", "a long number, a line that is cut, an empty one"): (
        [
            b'{"id": "a", "bikes": 1, "n": '
            + b"7" * 5_000
            + b'}\n\n{"id": "b", "bikes": "x"}\n{"id": "c", "bi'
        ],
        [{"id": "a", "bikes": 1}, {"id": "b", "bikes": None}],
        [("record", "not_an_object", ""), ("value", "bad_value", "bikes")],
        (),
    ),
}


def _documents(table: str, sample: bytes) -> tuple[bytes, ...]:
    """Return the response to each request of a tick; the sample of a join has both documents."""
    if table != "joined":
        return (sample,)
    return tuple(map(_json, split_response(json.loads(sample))))


def shape_ticks(samples: dict[str, bytes]) -> list[Tick]:
    """The sample of every shape by table, and what goes wrong with it."""
    whole = [
        Tick(
            table,
            "the documentation's sample",
            tuple(map(Reply, _documents(table, sample))),
            SAMPLE_ROWS[table],
        )
        for table, sample in samples.items()
    ]
    spoilt = [
        Tick(table, what, tuple(map(Reply, bodies)), rows, faults, events)
        for (table, what), (bodies, rows, faults, events) in SPOILT.items()
    ]
    return [*whole, *spoilt]
