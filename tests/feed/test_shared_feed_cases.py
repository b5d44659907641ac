"""Shared cases of feeds that moved, died or lie: what each README calls right, streamed and rebuilt alike.

The kinds are tested with inputs of this repository too: tests/feed/parsing/test_producer_changes.py,
tests/feed/quality, tests/feed/source and tests/collector.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from feed import (
    Feed,
    FeedError,
    archive_name,
    combine_responses,
    compress,
    landing_name,
    load_feed,
    make_rejection_rows,
    parse_response,
)
from spark.rebuild.planning import StoredObject, plan_hours
from spark.responses.hours import read_hours
from tests.conftest import CASES, ROOT

pytestmark = pytest.mark.unit

DOMAIN = CASES / "domain"
TICK = datetime(2026, 9, 21, 14, 15, tzinfo=UTC)
AT = datetime(2026, 9, 21, 14, 13, 32, tzinfo=UTC)
OGC = ROOT / "sources" / "vlille_ogc"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A response of a feed and what is right: rows of some columns, the quarantine, and severe drift."""

    response: str  # below the folder of the shared cases
    rows: list[dict[str, Any]]
    quarantine: list[tuple[str, str, str]] = field(default_factory=list)  # scope, reason, column
    drift: list[str] = field(default_factory=list)  # kinds of severe drift
    feed: str = ""  # the folder below the case; "": the project's own OGC feed
    toml: Callable[[str], str] = str  # what the README adds to source.toml
    charset: str = ""
    tick: datetime = TICK


def stations(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return list(rows)


LILLE = ["301", "302", "303", "304", "305"]
LATIN = [{"id": name, "etat_connexion": "DÉCONNECTÉ" if name == "304" else "CONNECTÉ"} for name in LILLE]
CASES_OF_RESPONSES: dict[str, Case] = {
    "03 GBFS 2": Case(
        "03-gbfs-upgraded-in-place/response-v2.json",
        stations(
            {"station_id": "213688169", "num_bikes_available": 4, "is_renting": 1, "last_reported": AT},
            {
                "station_id": "213688170",
                "num_bikes_available": 0,
                "is_renting": 0,
                "last_reported": at("2026-09-21T14:13:20"),
            },
        ),
        drift=["version_changed"],
        feed="source/city_v1",
    ),
    "03 GBFS 3": Case(
        "03-gbfs-upgraded-in-place/response-v3.json",
        stations(
            {"station_id": "213688169", "num_bikes_available": 4, "is_renting": 1, "last_reported": AT},
            {"station_id": "213688170", "num_bikes_available": 0, "is_renting": 0, "last_reported": AT},
        ),
        drift=["version_changed"],
        feed="source/city_v1",
    ),
    "07": Case(
        "07-id-becomes-uuid/response.json",
        stations({"id": "66dc2e0c-0aca", "b": 3}, {"id": "66dc2e0c-0acb", "b": 0}),
        feed="source/ids",
    ),
    "11": Case(
        "11-object-or-empty-array/response.json",
        stations({"id": "1", "bike_types": None}, {"id": "2", "bike_types": {"_71": 2}}),
        feed="source/nextbike",
    ),
    "12": Case(
        "12-array-empty-in-sample/response.json",
        stations({"id": "a", "b": 2}, {"id": "b", "b": 2}),
        [("value", "bad_value", "vehicle_types_available[0]")],
        feed="source/city",
        toml=lambda toml: toml + '\n[types]\nvehicle_types_available = "STRING"\n',
    ),
    "14": Case(
        "14-latin1-body/response.json",
        LATIN,
        charset="ISO-8859-1",
    ),
    "14 without a charset": Case("14-latin1-body/response.json", LATIN),
    "15 autumn": Case(
        "15-local-time-twice/response-autumn@2026-10-25T013100Z.json",
        stations({"id": "a", "at": at("2026-10-25T01:30")}, {"id": "b", "at": at("2026-10-25T01:29")}),
        feed="source/local",
        tick=at("2026-10-25T01:31"),
    ),
    "15 spring": Case(
        "15-local-time-twice/response-spring@2026-03-29T013100Z.json",
        stations({"id": "a", "at": None}, {"id": "b", "at": at("2026-03-29T01:29")}),
        [("value", "bad_value", "at")],
        feed="source/local",
        tick=at("2026-03-29T01:31"),
    ),
    "22": Case(
        "22-null-island/response.json",
        [
            {"id": "301", "latitude": None, "longitude": None},
            {"id": "302", "latitude": 50.6371, "longitude": 3.0395},
            *({"id": name} for name in LILLE[2:]),
        ],
        [("value", "out_of_range", "latitude"), ("value", "swapped_coordinates", "latitude")],
    ),
    "24": Case(
        "24-empty-list-is-an-answer/response.json",
        [],
        feed="source/city",
        toml=lambda toml: 'empty = "ok"\n' + toml,
    ),
    "24 an error by default": Case(
        "24-empty-list-is-an-answer/response.json",
        [],
        [("response", "empty", "data.stations")],
        feed="source/city",
    ),
    "30": Case(
        "30-value-beside-the-records/source/top/sample.json",
        stations({"id": "a", "feed_time": at("2026-09-21T14:14")}),
        feed="source/top",
        toml=lambda toml: toml + '\n[types]\nfeed_time = { unit = "seconds" }\n',
    ),
    "31": Case(
        "31-french-and-german-values/source/ckan/sample.json",
        stations(
            {
                "Station_Nr": "007",
                "Freie_Platze_ca": 6,
                "Lange": 13.7239,
                "Stand": at("2026-09-21T10:54"),
            },
            {
                "Station_Nr": "008",
                "Freie_Platze_ca": None,
                "Lange": 13.73,
                "Stand": at("2026-09-21T10:53:10"),
            },
        ),
        feed="source/ckan",
        toml=lambda toml: (
            'nulls = ["", "-", "NA"]\n'
            + toml.replace(
                "[types]\n",
                '[types]\nLange = { decimal = "," }\nBreite = { decimal = "," }\n'
                'Stand = { format = "%d.%m.%Y %H:%M:%S", zone = "Europe/Berlin" }\n',
            )
        ),
    ),
}


def load(case: Case, folder: Path) -> Feed:
    """Return the case's feed, with what its README adds to source.toml."""
    if not case.feed:
        return load_feed(OGC)
    source = DOMAIN / case.response.partition("/")[0] / case.feed
    copy = folder / source.name
    shutil.copytree(source, copy)
    (copy / "source.toml").write_text(case.toml((copy / "source.toml").read_text("utf-8")), "utf-8")
    return load_feed(copy)


def rebuild(
    feed: Feed, body: bytes, tick: datetime, charset: str, folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rows and quarantine as the nightly batch makes them of the archived object."""
    name, data = archive_name(feed.name, tick), compress(body)

    def put(file_name: str, file: Path) -> str:
        target = folder / file_name
        target.parent.mkdir(parents=True)
        shutil.copyfile(file, target)
        return str(target)

    hours = plan_hours(tick.date(), [StoredObject(name, len(data), charset=charset)])
    [result] = read_hours(feed, hours, {name: data}.__getitem__, put, "run")
    rows, quarantine = (
        pq.read_table(uri).to_pylist() if uri else [] for uri in (result.rows_uri, result.quarantine_uri)
    )
    return rows, quarantine


@pytest.mark.parametrize("name", CASES_OF_RESPONSES)
def test_a_case_gives_what_its_readme_calls_right(name: str, tmp_path: Path) -> None:
    case = CASES_OF_RESPONSES[name]
    feed = load(case, tmp_path)
    body = (DOMAIN / case.response).read_bytes()
    outcome = parse_response(feed, body, case.tick, charset=case.charset)
    found = [
        {column: row[column] for column in expected}
        for row, expected in zip(outcome.rows, case.rows, strict=True)
    ]
    assert found == case.rows
    assert [(each.scope, each.reason, each.field) for each in outcome.rejections] == case.quarantine
    assert [drift.kind for drift in outcome.drifts if drift.is_severe] == case.drift
    rows, quarantine = rebuild(feed, body, case.tick, case.charset, tmp_path / "rebuilt")
    assert rows == outcome.rows
    streamed = make_rejection_rows(outcome, landing_name(feed.name, case.tick))
    assert json.dumps(quarantine, default=lambda moment: moment.isoformat()) == json.dumps(streamed)


def test_25_status_and_information_are_one_feed(tmp_path: Path) -> None:
    folder = DOMAIN / "25-gbfs-status-needs-information"
    body = combine_responses(
        (folder / "station_status.json").read_bytes(), (folder / "station_information.json").read_bytes()
    )
    source = tmp_path / "city"
    source.mkdir()
    (source / "sample.json").write_bytes(body)
    (source / "source.toml").write_text(
        'url = "https://city.example/station_status.json"\nrecords = "data.stations"\nkey = "station_id"\n'
        'join = { url = "station_information.json", on = "station_id" }\n'
    )
    feed = load_feed(source)
    outcome = parse_response(feed, body, TICK)
    assert [(row["station_id"], row["num_bikes_available"], row["name"]) for row in outcome.rows] == [
        ("11", 6, "Quai"),
        ("12", 0, "Gare"),
        ("13", 3, None),  # no information
    ]
    assert (outcome.unmatched, outcome.unused) == (1, 1)  # station 1 has no status
    assert rebuild(feed, body, TICK, "", tmp_path / "rebuilt") == (outcome.rows, [])


REFUSED: dict[str, tuple[str, str]] = {
    "12": ("12-array-empty-in-sample/source/city", "an array that is empty in every record"),
    "19": ("19-api-key-in-url/source/jcd", 'use [query] apiKey = { secret = "name" }'),
    "27": (
        "27-reserved-feed-name/source/quarantine",
        "a name that the stack does not use for a table or view",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_feed_is_refused_in_one_sentence(name: str) -> None:
    folder, sentence = REFUSED[name]
    with pytest.raises(FeedError) as refused:
        load_feed(DOMAIN / folder)
    assert sentence in str(refused.value)
    assert "SECRET123" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_11_a_sample_with_both_is_accepted(tmp_path: Path) -> None:
    case = DOMAIN / "11-object-or-empty-array"
    shutil.copytree(case / "source" / "nextbike", tmp_path / "nextbike")
    shutil.copyfile(case / "sample-with-both.json", tmp_path / "nextbike" / "sample.json")
    assert load_feed(tmp_path / "nextbike").column("bike_types").type == "RECORD"


def test_18_a_user_agent_can_be_set(tmp_path: Path) -> None:
    folder = tmp_path / "city"
    folder.mkdir()
    shutil.copyfile(DOMAIN / "18-user-agent-blocked" / "source.toml", folder / "source.toml")
    (folder / "sample.json").write_text('{"data": {"stations": [{"id": "a"}]}}')
    assert [(each.name, each.value) for each in load_feed(folder).headers] == [
        ("User-Agent", "city-archive (mail@example.org)")
    ]


# Cases that need the whole collector, and where the same kind is tested.
ELSEWHERE = {
    "01-copier-without-legacy-feed": "tests/copier",
    "02-feed-frozen": "tests/collector/test_feed_health.py",
    "16-html-once-then-good": "tests/collector/test_fetching.py",
    "17-retry-after-ignored-across-deliveries": "tests/collector/test_retry_after.py",
}


def test_every_shared_case_is_tested() -> None:
    folders = {each.name for each in DOMAIN.iterdir()}
    tested = {case.response.partition("/")[0] for case in CASES_OF_RESPONSES.values()}
    tested |= {folder.partition("/")[0] for folder, _ in REFUSED.values()}
    tested |= {"18-user-agent-blocked", "25-gbfs-status-needs-information", *ELSEWHERE}
    assert folders == tested
    for place in ELSEWHERE.values():
        assert (ROOT / place).exists()
