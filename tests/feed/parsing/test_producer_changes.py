"""Unannounced changes by producers: rows continue."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from feed import Feed, FeedError, parse_response

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
TICK = datetime(2026, 9, 21, 14, 15, tzinfo=UTC)
AT = datetime(2026, 9, 21, 14, 13, 32, tzinfo=UTC)
GBFS_1 = [
    {"station_id": "a", "num_bikes_available": 4, "is_renting": 1, "last_reported": 1790000012},
    {"station_id": "b", "num_bikes_available": 9, "is_renting": 0, "last_reported": 1790000012},
]
GBFS = 'key = "station_id"\n[types]\nlast_reported = { unit = "seconds" }'
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("GBFS 2: flags are booleans", {"is_renting": True}, {"is_renting": 1}),
    ("GBFS 2: flags are booleans", {"is_renting": False}, {"is_renting": 0}),
    ("GBFS 3: times are RFC 3339", {"last_reported": "2026-09-21T16:13:32+02:00"}, {"last_reported": AT}),
    ("UTC twice", {"last_reported": "2026-09-21T14:13:32+00:00Z"}, {"last_reported": AT}),
    ("seconds as a text", {"last_reported": "1790000012"}, {"last_reported": AT}),
]


@pytest.mark.parametrize(("change", "fields", "expected"), CHANGES)
def test_a_station_is_read_as_without_a_previous_response(
    make_feed: MakeFeed, change: str, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    feed = make_feed(GBFS_1, GBFS)
    body = json.dumps({"records": [each | fields for each in GBFS_1]}).encode()
    outcome = parse_response(feed, body, TICK)
    assert (outcome.rejections, outcome.drifts) == ((), ()), change
    assert [{name: row[name] for name in expected} for row in outcome.rows] == [expected] * 2
    assert parse_response(feed, body, TICK, decode=msgspec.json.decode) == outcome


def test_a_number_of_bikes_is_no_flag(make_feed: MakeFeed) -> None:
    feed = make_feed(GBFS_1, GBFS)
    body = json.dumps({"records": [GBFS_1[0] | {"num_bikes_available": True}]}).encode()
    assert [each.field for each in parse_response(feed, body, TICK).rejections] == ["num_bikes_available"]


# IDs of the sample, the same or new ones in a response, and those of the rows.
IDS: list[tuple[list[Any], list[Any], list[str | None]]] = [
    ([1, 2], ["66dc2e0c-0aca", "66dc2e0c-0acb"], ["66dc2e0c-0aca", "66dc2e0c-0acb"]),  # UUIDs
    ([1, 2], [1, "B-2"], ["1", "B-2"]),
    ([1, 2], ["0001", "2"], ["0001", "2"]),
    ([1, 2], [1.0, 2.0], ["1", "2"]),  # written by pandas
    ([1, 2], [2**64, -1], ["18446744073709551616", "-1"]),
    (["a", "b"], [1, 2], ["1", "2"]),
]


@pytest.mark.parametrize("role", ['key = "id"', '[common]\nstation_id = "id"'])
@pytest.mark.parametrize(("sample", "ids", "expected"), IDS)
def test_ids_may_become_texts(
    make_feed: MakeFeed, sample: list[Any], ids: list[Any], expected: list[str | None], role: str
) -> None:
    feed = make_feed([{"id": each, "bikes": 3} for each in sample], role)
    assert [column.type for column in feed.columns] == ["STRING", "INTEGER"]
    assert [row["id"] for row in parse_response(feed, feed.sample, TICK).rows] == [
        str(each) for each in sample
    ]
    body = json.dumps({"records": [{"id": each, "bikes": 3} for each in ids]}).encode()
    outcome = parse_response(feed, body, TICK)
    assert (outcome.rejections, outcome.drifts) == ((), ())
    assert [row["id"] for row in outcome.rows] == expected
    assert parse_response(feed, body, TICK, decode=msgspec.json.decode) == outcome


def test_the_type_of_ids_may_be_set(make_feed: MakeFeed) -> None:
    feed = make_feed([{"id": 1}], 'key = "id"\n[types]\nid = "INTEGER"')
    assert feed.column("id").type == "INTEGER"
    outcome = parse_response(feed, b'{"records": [{"id": "66dc2e0c"}]}', TICK)
    assert (outcome.rows, [each.reason for each in outcome.rejections]) == ([], ["bad_value"])
    assert [drift.is_severe for drift in outcome.drifts] == [True]


def test_the_same_id_as_number_and_text_is_a_duplicate(make_feed: MakeFeed) -> None:
    feed = make_feed([{"id": 1}], 'key = "id"')
    outcome = parse_response(feed, b'{"records": [{"id": 7}, {"id": "7"}, {"id": 7.0}]}', TICK)
    assert [row["id"] for row in outcome.rows] == ["7"]
    assert [each.reason for each in outcome.rejections] == ["duplicate_key"] * 2


EMPTY: list[tuple[str, Any, Any]] = [
    ('{"x": 1}', [], None),
    ('{"x": 1}', {}, {"x": None}),
    ("[1]", {}, []),
    ('[{"x": 1}]', {}, []),
    ('{"l": [1]}', {"l": {}}, {"l": []}),
    ('{"o": {"x": 1}}', {"o": []}, {"o": None}),
]


@pytest.mark.parametrize(("sample", "value", "expected"), EMPTY)
def test_an_empty_object_and_an_empty_array_are_alike(
    make_feed: MakeFeed, sample: str, value: Any, expected: Any
) -> None:
    """PHP cannot tell them apart."""
    feed = make_feed([{"id": 1, "v": json.loads(sample)}], 'key = "id"')
    outcome = parse_response(feed, json.dumps({"records": [{"id": 1, "v": value}]}).encode(), TICK)
    assert ([row["v"] for row in outcome.rows], outcome.rejections) == ([expected], ())


@pytest.mark.parametrize("other", [[], {}])
def test_a_sample_may_have_both(make_feed: MakeFeed, other: Any) -> None:
    whole: Any = {"x": 1} if other == [] else [1]
    feed = make_feed([{"id": 1, "v": whole}, {"id": 2, "v": other}], 'key = "id"')
    assert feed.column("v").type == ("RECORD" if other == [] else "INTEGER")
    lifted = make_feed(
        [{"id": 1, "o": {"x": 1}}, {"id": 2, "o": []}], 'key = "id"\nlift = ["o"]', name="other"
    )
    assert [row["x"] for row in parse_response(lifted, lifted.sample, TICK).rows] == [1, None]


def test_a_scalar_that_becomes_an_array_costs_the_value_and_is_severe(make_feed: MakeFeed) -> None:
    feed = make_feed([{"id": 1, "name": "Gare"}], 'key = "id"')
    name = [{"text": "Gare", "language": "fr"}]
    outcome = parse_response(feed, json.dumps({"records": [{"id": 1, "name": name}]}).encode(), TICK)
    assert [(row["id"], row["name"]) for row in outcome.rows] == [("1", None)]
    assert [(drift.kind, drift.found) for drift in outcome.drifts] == [
        ("type_changed", "an array in 1 of 1 records")
    ]


@pytest.mark.parametrize(
    ("record", "toml"),
    [({}, ""), ({"a": 1}, 'ignore = ["a"]'), ({"a": {"b": 1}}, 'lift = ["a"]\nignore = ["a.b"]')],
)
def test_a_sample_without_columns_is_refused_in_one_sentence(
    make_feed: MakeFeed, record: dict[str, Any], toml: str
) -> None:
    with pytest.raises(
        FeedError, match="found no field that becomes a column; expected at least one"
    ) as refused:
        make_feed([record], toml)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["quarantine", "batch_runs", "availability", "minutes_present", "dataset", "views", "polls", "waits"],
)
def test_a_name_of_the_stack_is_refused_in_one_sentence(make_feed: MakeFeed, name: str) -> None:
    with pytest.raises(FeedError, match="expected a name that the stack does not use for a table or view"):
        make_feed([{"id": 1}], name=name)


GERMAN = """
nulls = ["", "-"]
[types]
lat = { decimal = "," }
seen = { format = "%d.%m.%Y %H:%M:%S", zone = "Europe/Berlin" }
free = "INTEGER"
"""


@pytest.mark.parametrize(
    ("change", "column", "expected"),
    [
        ({}, "lat", 50.63),
        ({}, "seen", datetime(2026, 9, 21, 10, 54, tzinfo=UTC)),
        ({"lat": 50.5}, "lat", 50.5),
        ({"lat": "1.234,5"}, "lat", None),
        ({"lat": "1.234"}, "lat", None),
        ({"seen": "2026-09-21 12:54"}, "seen", None),
        ({"seen": "29.03.2026 02:30:00"}, "seen", None),  # skipped when summer time begins
        ({"free": "-"}, "free", None),
        ({"free": "6"}, "free", 6),
    ],
)
def test_commas_dates_and_dashes_of_other_countries(
    make_feed: MakeFeed, change: dict[str, Any], column: str, expected: Any
) -> None:
    record = {"lat": "50,63", "seen": "21.09.2026 12:54:00", "free": ""}
    feed = make_feed([record], GERMAN)
    outcome = parse_response(feed, json.dumps({"records": [record | change]}).encode(), TICK)
    assert outcome.rows[0][column] == expected
    assert [each.field for each in outcome.rejections] == (
        [column] if expected is None and change.get(column) != "-" else []
    )


@pytest.mark.parametrize(
    "types", ['{ decimal = ";" }', '{ type = "STRING", decimal = "," }', '{ format = "%d.%m.%Y" }']
)
def test_what_is_no_type_is_refused(make_feed: MakeFeed, types: str) -> None:
    with pytest.raises(FeedError):
        make_feed([{"a": "1,5"}], f"[types]\na = {types}")


LOCAL = 'timezone = "Europe/Paris"'
# A tick, the time that a station writes, and what it means in UTC.
CLOCKS: list[tuple[str, str, str]] = [
    ("2026-10-25T00:31", "2026-10-25T02:30:00", "2026-10-25T00:30"),  # the first time
    ("2026-10-25T01:31", "2026-10-25T02:30:00", "2026-10-25T01:30"),  # an hour later, the same time
    ("2026-10-25T01:01", "2026-10-25T02:59:00", "2026-10-25T00:59"),
    ("2026-10-25T01:31", "2026-10-25T02:34:00", "2026-10-25T01:34"),  # its clock is ahead by three minutes
    ("2026-10-25T01:31", "2026-10-25T02:50:00", "2026-10-25T00:50"),
    ("2026-10-25T02:31", "2026-10-25T03:30:00", "2026-10-25T02:30"),
    ("2026-12-01T12:00", "2026-10-25T02:30:00", "2026-10-25T01:30"),
    ("2026-10-25T01:31", "2026-10-25T02:30:00+02:00", "2026-10-25T00:30"),  # it says which
]


@pytest.mark.parametrize(("tick", "written", "meant"), CLOCKS)
def test_a_repeated_local_time_is_the_last_one_before_the_tick(
    make_feed: MakeFeed, tick: str, written: str, meant: str
) -> None:
    feed = make_feed([{"id": "a", "at": "2026-10-24T12:00:00"}], LOCAL)
    at = datetime.fromisoformat(tick).replace(tzinfo=UTC)
    for odd in ({}, {"at": 7}):  # read as a whole, and record by record
        records = [{"id": "a", "at": written}, {"id": "b", "at": written} | odd]
        [row, _] = parse_response(feed, json.dumps({"records": records}).encode(), at).rows
        assert (row["at"].isoformat(timespec="minutes"), row["at"].fold) == (f"{meant}+00:00", 0)


def test_a_local_time_that_never_was_is_no_value(make_feed: MakeFeed) -> None:
    feed = make_feed([{"id": "a", "at": "2026-10-24T12:00:00"}], LOCAL)
    body = json.dumps({"records": [{"id": "a", "at": "2026-03-29T02:30:00"}]}).encode()
    outcome = parse_response(feed, body, TICK)
    assert [row["at"] for row in outcome.rows] == [None]
    assert [(each.reason, each.scope) for each in outcome.rejections] == [("bad_value", "value")]


def test_a_format_is_of_the_same_clocks(make_feed: MakeFeed) -> None:
    types = '[types]\nat = { format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }'
    feed = make_feed([{"id": "a", "at": "21.09.2026 12:54"}], types)
    body = json.dumps({"records": [{"id": "a", "at": "25.10.2026 02:30"}]}).encode()
    [row] = parse_response(feed, body, datetime(2026, 10, 25, 1, 31, tzinfo=UTC)).rows
    assert row["at"] == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


PLACED = 'key = "id"\n[common]\nstation_id = "id"\nlatitude = "lat"\nlongitude = "lon"'
LILLE = [{"id": "a", "lat": 50.63, "lon": 3.06}, {"id": "b", "lat": 50.72, "lon": 3.16}]
# A station's place, what is loaded, and what is said of it, of a feed without [bounds].
PLACES: list[tuple[tuple[float, float], tuple[float | None, float | None], str | None]] = [
    ((50.65, 3.1), (50.65, 3.1), None),
    ((51.9, 4.5), (51.9, 4.5), None),  # beyond the sample's stations, in the same region
    ((3.06, 50.63), (50.63, 3.06), "swapped_coordinates"),
    ((0, 0), (None, None), "out_of_range"),
    ((48.86, 2.35), (48.86, 2.35), None),
    ((43.6, 1.44), (43.6, 1.44), "implausible"),  # another city's
    ((-33.9, 151.2), (-33.9, 151.2), "implausible"),
    ((0, 3.06), (0, 3.06), "implausible"),
    ((95.0, 3.0), (None, None), "out_of_range"),
]


@pytest.mark.parametrize(("place", "loaded", "reason"), PLACES)
def test_coordinates_of_another_city_are_flagged(
    make_feed: MakeFeed,
    place: tuple[float, float],
    loaded: tuple[float | None, float | None],
    reason: str | None,
) -> None:
    feed = make_feed(LILLE, PLACED)
    records = [{"id": "c", "lat": float(place[0]), "lon": float(place[1])}, *LILLE]
    outcome = parse_response(feed, json.dumps({"records": records}).encode(), TICK)
    assert [each.reason for each in outcome.rejections] == ([reason] if reason else [])
    assert (outcome.rows[0]["lat"], outcome.rows[0]["lon"]) == loaded
    assert len(outcome.rows) == 3
