"""The HTTP responses: files with ETags, bounded queries, the page without a script, stale data on errors."""

import gzip
import json
from dataclasses import replace
from datetime import timedelta

import flask
import pytest
from google.api_core.exceptions import ServiceUnavailable

from dashboard.app import create_app
from dashboard.data.day_file import decode_day
from tests.dashboard.conftest import NOON, SETTINGS, FakeClient, FakeClock

pytestmark = pytest.mark.unit


def test_now_has_the_newest_response_and_its_raw_object(app: flask.Flask) -> None:
    found = app.test_client().get("/data/now.json").json
    assert found == {
        "feed": "vlille_ods",
        "collected_at": "2026-11-24T11:00:00Z",
        "object": "feed=vlille_ods/date=2026-11-24/hour=11/20261124T110000Z.json.gz",
        "stations": {
            "1": [3, 7, True, "2026-11-24T11:00:00Z"],
            "2": [0, 12, True, "2026-11-24T11:00:00Z"],
            "3": [None, None, False, "2026-11-24T11:00:00Z"],
        },
    }


def test_stations_have_coordinates_outlines_and_days(app: flask.Flask) -> None:
    found = app.test_client().get("/data/stations.json").json
    assert found is not None
    assert found["stations"][0] == ["1", "Gare", "LILLE", 50.63, 3.06, 12]
    assert [area for area, _ in found["outlines"]] == ["LILLE", "MARQUETTE"]
    assert (found["days"], found["time_zone"]) == ([["2026-11-24", 661]], "Europe/Paris")


def test_a_settled_day_is_cacheable_by_the_browser(app: flask.Flask, clock: FakeClock) -> None:
    http = app.test_client()
    today = http.get("/data/2026-11-24.bin")
    day = decode_day(today.data)
    assert day.stations == ("1", "2")
    assert (day.bikes[720], day.docks[720], day.bikes[1440 + 720]) == (3, 7, 0)
    assert today.headers["Cache-Control"] == "private, no-cache"
    clock.time += timedelta(days=3)
    assert http.get("/data/2026-11-24.bin").headers["Cache-Control"] == "private, max-age=3600"


@pytest.mark.parametrize(
    "day", ["2026-11-26", "1999-01-01", "0001-01-01", "9999-12-31", "yesterday", "2026-02-30"]
)
def test_an_impossible_day_is_404_without_a_query(app: flask.Flask, client: FakeClient, day: str) -> None:
    assert app.test_client().get(f"/data/{day}.bin").status_code == 404
    assert client.configs == []


def test_a_matching_etag_gets_304(app: flask.Flask) -> None:
    http = app.test_client()
    first = http.get("/data/now.json")
    again = http.get("/data/now.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_files_are_compressed_if_the_client_accepts_gzip(app: flask.Flask) -> None:
    found = app.test_client().get("/data/week.bin", headers={"Accept-Encoding": "gzip"})
    assert found.headers["Content-Encoding"] == "gzip"
    assert found.data[:2] == b"\x1f\x8b"


def test_every_query_is_bounded_labelled_and_counted(app: flask.Flask, client: FakeClient) -> None:
    http = app.test_client()
    for path in ("now.json", "stations.json", "status.json", "week.bin", "2026-11-24.bin"):
        assert http.get(f"/data/{path}").status_code == 200
    assert {config.maximum_bytes_billed for config in client.configs} == {SETTINGS.max_query_bytes}
    assert client.purposes == ["now", "stations", "days", "status", "status", "week", "day"]
    assert http.get("/health").json == {
        "status": "ok",
        "cache_bytes": http.get("/health").json["cache_bytes"],  # type: ignore[index]
        "day": "2026-11-24",
        "queries": 7,
        "bytes_billed": 7 * 10 * 2**20,
        "bytes_allowed": SETTINGS.daily_bytes,
    }


@pytest.mark.long
def test_a_thousand_visits_in_a_minute_run_one_query_per_file(app: flask.Flask, client: FakeClient) -> None:
    http = app.test_client()
    for _ in range(1000):
        http.get("/data/now.json")
    assert client.purposes == ["now"]


def test_stale_data_is_served_once_the_daily_bytes_are_used_up(
    app: flask.Flask, client: FakeClient, clock: FakeClock
) -> None:
    http = app.test_client()
    for _ in range(150):
        clock.time += timedelta(minutes=1)
        assert http.get("/data/now.json").status_code == 200
    assert len(client.configs) == -(-SETTINGS.daily_bytes // (10 * 2**20))
    clock.time = NOON + timedelta(days=1)
    http.get("/data/now.json")
    assert http.get("/health").json["queries"] == 1  # type: ignore[index]


def test_stale_data_is_served_with_200_while_bigquery_is_down(
    app: flask.Flask, client: FakeClient, clock: FakeClock
) -> None:
    http = app.test_client()
    before = http.get("/data/now.json")
    client.error = ServiceUnavailable("down")  # type: ignore[no-untyped-call]
    clock.time += timedelta(minutes=5)
    after = http.get("/data/now.json")
    assert (after.status_code, after.data) == (200, before.data)
    assert after.headers["Warning"].startswith("110")
    assert after.headers["Last-Modified"] == before.headers["Last-Modified"]
    assert http.get("/data/week.bin").status_code == 503
    assert http.get("/").status_code == 200


def test_the_page_is_useful_without_a_script(app: flask.Flask) -> None:
    found = app.test_client().get("/")
    text = found.text
    assert "Newest data: 2026-11-24 12:00 (Europe/Paris), 0 min ago" in text
    assert (
        '<tr data-id="1"><td>Gare</td><td>LILLE</td><td class=n>3</td><td class=n>7</td><td></td></tr>'
        in text
    )
    assert (
        "<td>Parc</td><td>MARQUETTE</td><td class=n>–</td><td class=n>–</td><td>out of service</td>" in text
    )
    assert "&lt;b&gt;Place" in text
    assert "<b>Place" not in text
    assert "V&#x27;Lille &lt;test&gt;" in text
    assert "default-src 'none'" in found.headers["Content-Security-Policy"]


@pytest.mark.parametrize("has_systems", [False, True])
def test_only_an_environment_with_systems_has_their_list(
    client: FakeClient, clock: FakeClock, *, has_systems: bool
) -> None:
    settings = replace(SETTINGS, has_systems=has_systems)
    page = create_app(settings, lambda: client, clock).test_client().get("/").text  # type: ignore[arg-type, return-value]
    assert ('<select id="system">' in page) is has_systems


def test_the_page_says_that_there_is_no_data(app: flask.Flask, client: FakeClient) -> None:
    client.error = ServiceUnavailable("down")  # type: ignore[no-untyped-call]
    found = app.test_client().get("/")
    assert found.status_code == 200
    assert "There was no response in the last three days." in found.text


def test_script_and_style_are_immutable_under_their_version(app: flask.Flask) -> None:
    http = app.test_client()
    page = http.get("/").text
    [path] = [part for part in page.split('"') if part.endswith("page.js")]
    assert "immutable" in http.get(f"/{path}").headers["Cache-Control"]
    assert "immutable" not in http.get("/static/old/page.js").headers["Cache-Control"]
    assert http.get("/static/old/page.html").status_code == 404


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/old/page.js", "text/javascript; charset=utf-8"),
        ("/static/old/page.css", "text/css; charset=utf-8"),
    ],
)
def test_the_page_its_script_and_its_style_are_compressed(app: flask.Flask, path: str, kind: str) -> None:
    http = app.test_client()
    plain, packed = http.get(path), http.get(path, headers={"Accept-Encoding": "gzip, br"})
    assert (plain.content_type, packed.content_type) == (kind, kind)
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 1.5
    again = http.get(path, headers={"If-None-Match": packed.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_status_has_quarantine_and_rebuilds(app: flask.Flask) -> None:
    found = json.loads(app.test_client().get("/data/status.json").data)
    assert found["quarantine"] == [{"day": "2026-11-24", "reason": "bad_value", "records": 2}]
    assert found["rebuilds"][0]["agrees"] is True


def test_past_days_cannot_use_up_the_daily_bytes(
    app: flask.Flask, client: FakeClient, clock: FakeClock
) -> None:
    http = app.test_client()
    first = http.get("/data/2026-10-01.bin")
    statuses = [http.get(f"/data/2026-09-{day:02}.bin").status_code for day in range(1, 31)]
    assert (statuses[0], statuses[-1]) == (200, 503)
    assert http.get("/data/2026-09-30.bin").json["detail"].startswith("the daily query allowance is used up")  # type: ignore[index]
    assert http.get("/data/2026-10-01.bin").data == first.data, "a cached day is still served"
    for path in ("now.json", "stations.json", "2026-11-24.bin", "week.bin"):
        assert http.get(f"/data/{path}").status_code == 200
    assert len(client.purposes) < 25


def test_a_public_page_does_not_disclose_the_project_or_its_allowance(
    client: FakeClient, clock: FakeClock
) -> None:
    public = create_app(replace(SETTINGS, public=True), lambda: client, clock)  # type: ignore[arg-type, return-value]
    http = public.test_client()
    assert http.get("/health").json == {"status": "ok"}
    everything = b"".join(http.get(path).data for path in ("/", "/data/stations.json", "/data/status.json"))
    assert SETTINGS.views.partition(".")[0].encode() not in everything
    status = json.loads(http.get("/data/status.json").data)
    assert set(status["quarantine"][0]) == {"day", "reason", "records"}
    assert set(status["rebuilds"][0]) == {"finished_at", "first_day", "agrees"}
