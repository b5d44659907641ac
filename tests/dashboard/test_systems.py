"""The files of GBFS systems: IDs in URLs, parameters of queries, the share of the budget, stale files."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import flask
import pytest
from google.api_core.exceptions import ServiceUnavailable

from dashboard.app import create_app
from dashboard.warehouse import SYSTEMS
from tests.dashboard.conftest import NOON, SETTINGS, FakeClient, FakeClock

pytestmark = pytest.mark.unit

ODD_IDS = ["Paris", "dott-bodø", "a b/c", "a//b", "50%", "x\"'?#&+", "now.json"]
ENDED = datetime(2026, 6, 1, 12, tzinfo=UTC)


def make_system(feed: str, **values: Any) -> dict[str, Any]:
    columns = ("operator", "country", "location", "licence", "licence_url", "attribution", "attribution_url")
    known = {"feed": feed, "name": f"System {feed}", "time_zone": "Europe/Oslo", "vanished_at": None}
    return dict.fromkeys(columns) | known | values


@pytest.fixture
def with_systems(client: FakeClient, clock: FakeClock) -> flask.Flask:
    client.rows["systems"] = [
        *(make_system(each) for each in ODD_IDS),
        make_system("ended", vanished_at=ENDED),
        make_system("nowhere", time_zone="Mars/Olympus"),
    ]
    settings = replace(SETTINGS, has_systems=True)
    return create_app(settings, lambda: client, clock)  # type: ignore[arg-type, return-value]


def read_parameters(client: FakeClient, index: int = -1) -> dict[str, Any]:
    return {each.name: each.value for each in client.configs[index].query_parameters}


@pytest.mark.parametrize("system", ODD_IDS)
def test_an_id_is_a_parameter_and_never_part_of_the_sql(
    with_systems: flask.Flask, client: FakeClient, system: str
) -> None:
    found = with_systems.test_client().get(f"/data/systems/{quote(system, safe='')}/now.json")
    assert (found.status_code, found.json["feed"], found.json["object"]) == (200, system, None)  # type: ignore[index]
    last = NOON + timedelta(seconds=20)
    assert read_parameters(client) == {
        "since": last - timedelta(hours=2),
        "until": last,
        "feed": system,
        "first": date(2026, 11, 24),
        "last": date(2026, 11, 24),
    }
    assert client.configs[-1].maximum_bytes_billed == SETTINGS.max_query_bytes


@pytest.mark.parametrize("path", ["now.json", "stations.json", "week.bin", "2026-11-24.bin"])
def test_an_unknown_system_is_404_before_any_query_of_it(
    with_systems: flask.Flask, client: FakeClient, path: str
) -> None:
    found = with_systems.test_client().get(f"/data/systems/Pari/{path}")
    assert found.status_code == 404
    assert found.json["detail"] == "found system 'Pari', expected one of the 9 systems of /data/systems.json"  # type: ignore[index]
    assert client.purposes == ["systems"]


def test_without_systems_there_are_no_such_files(app: flask.Flask, client: FakeClient) -> None:
    for path in ("systems.json", "systems/Paris/now.json"):
        assert app.test_client().get(f"/data/{path}").status_code == 404
    assert client.configs == []


@pytest.mark.parametrize(
    ("system", "start", "first"),
    [
        ("Paris", datetime(2026, 11, 23, 23, tzinfo=UTC), date(2026, 11, 23)),
        ("nowhere", datetime(2026, 11, 23, 23, tzinfo=UTC), date(2026, 11, 23)),  # that of the environment
    ],
)
def test_days_are_those_of_the_system(
    with_systems: flask.Flask, client: FakeClient, system: str, start: datetime, first: date
) -> None:
    assert with_systems.test_client().get(f"/data/systems/{system}/2026-11-24.bin").status_code == 200
    assert read_parameters(client) == {
        "start": start,
        "end": start + timedelta(days=1),
        "feed": system,
        "first": first,
        "last": date(2026, 11, 24),
    }


def test_the_week_is_that_of_the_systems_clocks(with_systems: flask.Flask, client: FakeClient) -> None:
    found = with_systems.test_client().get("/data/systems/a%20b%2Fc/week.bin")
    assert (found.status_code, found.data[:4]) == (200, b"VLW1")
    last = NOON + timedelta(seconds=20)
    assert read_parameters(client) == {
        "since": last - timedelta(days=28),
        "until": last,
        "feed": "a b/c",
        "first": date(2026, 10, 27),
        "last": date(2026, 11, 24),
    }
    assert "DATETIME(collected_at, 'Europe/Oslo')" in client.statements[-1]


def test_a_vanished_system_has_its_last_stations(with_systems: flask.Flask, client: FakeClient) -> None:
    assert with_systems.test_client().get("/data/systems/ended/stations.json").status_code == 200
    assert read_parameters(client, -2)["until"] == ENDED
    assert read_parameters(client) == {
        "feed": "ended",
        "first": ENDED.date() - timedelta(days=28),
        "last": ENDED.date(),
    }


def test_stations_are_those_of_three_days_where_the_last_day_has_none(
    with_systems: flask.Flask, client: FakeClient
) -> None:
    client.rows["stations"] = []
    found = with_systems.test_client().get("/data/systems/Paris/stations.json")
    assert (found.status_code, found.json["stations"]) == (200, [])  # type: ignore[index]
    assert client.purposes == ["systems", "stations", "stations", "days"]
    now = NOON + timedelta(seconds=20)
    since = [read_parameters(client, index)["since"] for index in (1, 2)]
    assert since == [now - timedelta(days=1), now - timedelta(days=3)]


def test_an_empty_list_is_queried_again_after_a_minute(
    with_systems: flask.Flask, client: FakeClient, clock: FakeClock
) -> None:
    http = with_systems.test_client()
    found, stations = client.rows["systems"], client.rows["stations"]
    client.rows |= {"systems": [], "stations": []}
    assert http.get("/data/systems.json").json == {"systems": []}
    client.rows["systems"] = found
    clock.time += timedelta(seconds=61)
    assert len(http.get("/data/systems.json").json["systems"]) == len(found)  # type: ignore[index]
    path = "/data/systems/Paris/stations.json"
    assert http.get(path).json["stations"] == []  # type: ignore[index]
    client.rows["stations"] = stations
    clock.time += timedelta(seconds=61)
    assert len(http.get(path).json["stations"]) == len(stations)  # type: ignore[index]
    queries = len(client.configs)
    clock.time += timedelta(minutes=30)
    http.get(path)
    assert len(client.configs) == queries, "lists with entries are kept for hours"


def test_systems_leave_the_rest_of_the_daily_bytes_to_the_feed(
    with_systems: flask.Flask, client: FakeClient, clock: FakeClock
) -> None:
    http = with_systems.test_client()
    first = http.get("/data/systems/Paris/now.json")
    for day in range(1, 29):
        http.get(f"/data/systems/Paris/2026-10-{day:02}.bin")
    assert http.get("/data/systems/nowhere/now.json").status_code == 503
    used = 10 * 2**20 * len(client.configs)
    assert SYSTEMS.part <= used / SETTINGS.daily_bytes < SYSTEMS.part + 0.01
    clock.time += timedelta(minutes=6)
    stale = http.get("/data/systems/Paris/now.json")
    assert (stale.status_code, stale.data) == (200, first.data)
    assert stale.headers["Warning"].startswith("110")
    assert "Warning" not in http.get("/data/now.json").headers


def test_a_system_and_the_feed_have_files_of_their_own(with_systems: flask.Flask, client: FakeClient) -> None:
    http = with_systems.test_client()
    feeds = [
        http.get(f"/data/{path}now.json").json["feed"]  # type: ignore[index]
        for path in ("", "systems/Paris/", "systems/50%25/", "", "systems/Paris/")
    ]
    assert feeds == ["vlille_ods", "Paris", "50%", "vlille_ods", "Paris"]
    assert client.purposes == ["now", "systems", "now", "now"]


def test_the_last_list_of_systems_is_used_while_bigquery_is_down(
    with_systems: flask.Flask, client: FakeClient, clock: FakeClock
) -> None:
    http = with_systems.test_client()
    listed = http.get("/data/systems.json").json["systems"]  # type: ignore[index]
    assert [each["feed"] for each in listed] == [*ODD_IDS, "ended", "nowhere"]
    assert listed[-1]["time_zone"] == "Europe/Paris"
    assert listed[-2]["vanished_at"] == "2026-06-01T12:00:00Z"
    client.error = ServiceUnavailable("down")  # type: ignore[no-untyped-call]
    clock.time += timedelta(hours=2)
    assert http.get("/data/systems.json").headers["Warning"].startswith("110")
    assert http.get("/data/systems/Paris/now.json").status_code == 503
    assert http.get("/data/systems/Pari/now.json").status_code == 404
