"""Reading only what differs from the previous response gives the same rows as reading the whole response."""

import json
import random
from typing import Any

import pytest

from gbfs import read_file
from spark.packs.stations import SCHEMA, StationsReader
from tests.gbfs.samples import make_document, make_record

pytestmark = pytest.mark.unit

SYSTEM = "lille"
STATION = make_record("2.3", "station_status")
TIMES = (1_714_557_600, 1_714_557_660, 1_714_557_720_000, "2024-05-01T10:00:00Z", "1714557600", -5, None, 3.5)


def stations(*bikes: int, **more: Any) -> bytes:
    rows = [
        STATION | {"station_id": str(number), "num_bikes_available": count} | more
        for number, count in enumerate(bikes)
    ]
    return make_document("2.3", "station_status", *rows)


def check_reads_alike(*bodies: bytes) -> list[list[str] | None]:
    """Return the candidates of each response."""
    reader, found = StationsReader(SYSTEM), []
    for body in bodies:
        minute = reader.read(body)
        expected = read_file(SYSTEM, "station_status", body)
        assert minute.reading == expected
        columns = dict(zip(SCHEMA.names[2:], minute.columns, strict=True))
        assert {name: column.to_pylist() for name, column in columns.items()} == {
            name: [row[name] for row in expected.rows] for name in columns
        }
        found.append(minute.candidates)
    return found


@pytest.mark.parametrize(
    ("bodies", "candidates"),
    [
        ([stations(1, 2), stations(1, 2)], [None, []]),
        ([stations(1, 2), stations(1, 3), stations(0, 3)], [None, ["1"], ["0"]]),
        ([stations(1, 2), stations(1, 2, last_reported=1_714_557_700)], [None, []]),
        ([stations(1, 2), stations(1, 2, 3), stations(1, 2, 3)], [None, None, []]),
        ([stations(1, 2), b"<html>", stations(1, 2)], [None, None, None]),
        ([stations(), stations()], [None, None]),
        ([stations(1, -1), stations(1, -1)], [None, None]),
        ([stations(1, 1), stations(1, 1, last_reported=-5)], [None, None]),
        (
            [stations(1, 1), stations(1, 1, last_reported=None), stations(1, 1)],
            [None, ["0", "1"], ["0", "1"]],
        ),
        ([stations(1, 1), stations(1, 1, note="last_reported \\u00e9")], [None, None]),
    ],
)
def test_only_what_differs_is_a_candidate(bodies: list[bytes], candidates: list[list[str] | None]) -> None:
    assert check_reads_alike(*bodies) == candidates


@pytest.mark.parametrize(
    "body",
    [
        b'{"last_updated":1714557600,"ttl":5,"version":"2.3","data":{"stations":[A],"stations":[B]}}',
        b'{"last_updated":1714557600,"ttl":5,"version":"2.3","data":{"stations":[A],"stations":[]}}',
        b'{"data":{"stations":[A , B]},"last_updated":1714557600,"ttl":5,"version":"2.3","copy":[B]}',
        b'{"copy":[A,B],"data":{"stations":[A,B]},"ttl":5,"version":"2.3","last_updated":1714557600}',
        b'{"data":{"stations":[A,\n B]},"ttl":5,"version":"3.0","last_updated":"2024-05-01T10:00:00Z"}',
        b'{"data":{"stations":[A,B]},"note":"\xff","ttl":5,"version":"2.3","last_updated":1714557600}',
        b'{"data":{"stations":[A,B]},"note":"\n","ttl":5,"version":"2.3","last_updated":1714557600}',
        b'{"data":{"stations":[A,A]},"ttl":5,"version":"2.3","last_updated":1714557600}',
        b'\xef\xbb\xbf{"data":{"stations":[A,B]},"ttl":5,"version":"2.3","last_updated":1714557600}',
        b'{"data":{"stations":[A,B]},"ttl":5,"version":"2.3","last_updated":1714557600} x',
    ],
)
def test_unusual_syntax_is_read_alike(body: bytes) -> None:
    records = {b"A": STATION | {"station_id": "a"}, b"B": STATION | {"station_id": "b"}}
    for name, content in records.items():
        for place in (b"[" + name, b"," + name, b", " + name, b" " + name):
            body = body.replace(place, place[:-1] + json.dumps(content).encode())
    check_reads_alike(body, body, stations(1, 2), body, body)


def test_a_time_that_is_not_the_stations_own_is_not_taken() -> None:
    nested = [STATION | {"x": {"last_reported": moment}} for moment in (1_714_557_600, 1_714_557_660)]
    for each in nested:
        del each["last_reported"]
    start = json.dumps({name: value for name, value in STATION.items() if name != "last_reported"})[:-1]
    twice = f'{start}, "last_reported": %d, "last_reported": 1714557601}}'
    escaped = f'{start}, "last_reported": %d, "last\\u005freported": 1714557601}}'
    check_reads_alike(*(make_document("2.3", "station_status", each) for each in (*nested, *nested)))
    for text in (twice, escaped):
        bodies = [
            ('{"version": "2.3", "data": {"stations": [' + text % moment + "]}}").encode()
            for moment in (1_714_557_601, 1_714_557_661)
        ]
        assert read_file(SYSTEM, "station_status", bodies[0]).rejected_values == ()
        check_reads_alike(*bodies)


@pytest.mark.parametrize("seed", range(40))
def test_any_sequence_of_responses_is_read_alike(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    version = rng.choice(["1.0", "2.3", "3.0"])
    rows = [make_record(version, "station_status") | {"station_id": str(number)} for number in range(6)]
    bodies = []
    for _ in range(25):
        match rng.randrange(12):
            case 0:
                rng.shuffle(rows)
            case 1:
                rows = rows[1:] or rows
            case 2:
                rows = [*rows, rng.choice(rows) | {"station_id": str(rng.randrange(9))}]
            case 3:
                rows = [row | {"last_reported": rng.choice(TIMES)} for row in rows]
            case 4:
                rng.choice(rows)[rng.choice(sorted(rows[0]))] = rng.choice(
                    [1, True, 0, None, "1", [], {}, 1.0]
                )
            case _:
                row = rng.choice(rows)
                row["num_docks_available"] = rng.randrange(4)
        rows = [dict(row) for row in rows]
        body = make_document(version, "station_status", *rows)
        if rng.random() < 0.1:
            cut = rng.randrange(len(body))
            body = body[:cut] + bytes([rng.randrange(256)]) + body[cut + 1 :]
        bodies.append(body)
    check_reads_alike(*bodies)
