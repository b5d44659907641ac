"""The page in a real browser."""

import gzip
import random
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dashboard.app import STATIC
from dashboard.data.day_file import LocalDay
from dashboard.page import ASSETS, render_page
from tests.browser.conftest import OpenPage, copy_sql
from tests.browser.site import (
    MISSING_MINUTES,
    SETTINGS,
    ZONE,
    FakeBigQuery,
    find_last_evening,
    serve_dashboard,
)

pytestmark = pytest.mark.browser


ROWS = "[...document.querySelectorAll('#table tbody tr')].map(r => [r.dataset.id, r.className, r.cells[4].textContent])"


def read_table(page: Page) -> dict[str, tuple[str, str]]:
    """Return the bikes and docks by station from the table of the page."""
    rows: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#table tbody tr')].map(r => [r.dataset.id, r.cells[2].textContent, "
        "r.cells[3].textContent])"
    )
    return {station: (bikes, docks) for station, bikes, docks in rows}


def get_today(warehouse: FakeBigQuery) -> LocalDay:
    return LocalDay.from_date(warehouse.now.astimezone(ZONE).date(), ZONE)


def test_the_replay_shows_every_minute(open_page: OpenPage, warehouse: FakeBigQuery) -> None:
    day = get_today(warehouse)
    minutes = [
        *random.Random(7).sample(range(1100), 6),  # noqa: S311 - not for secrets
        510,
        min(MISSING_MINUTES),
    ]
    page = open_page(f"#day={day.day}&t=0")
    for minute in minutes:
        page.locator("#minute").fill(str(minute))
        shown = read_table(page)
        assert len(shown) == len(warehouse.stations)
        for each in warehouse.stations:
            found = warehouse.values(each, day.start + timedelta(minutes=minute))
            expected = ("–", "–") if found is None else (str(found[0]), str(found[1]))
            assert shown[str(each.number)] == expected, (minute, each)
    assert (
        page.locator("#clock").text_content()
        == f"{min(MISSING_MINUTES) // 60:02}:{min(MISSING_MINUTES) % 60:02}"
    )


def test_playing_moves_the_time_and_stops_at_the_newest_minute(
    open_page: OpenPage, warehouse: FakeBigQuery
) -> None:
    page = open_page(f"#day={get_today(warehouse).day}&t=1080")
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_attribute("aria-pressed", "false", timeout=60_000)
    assert page.locator("#clock").text_content() == "18:31"


def test_no_request_is_sent_to_other_hosts(open_page: OpenPage, address: str) -> None:
    requested_urls: list[str] = []
    page = open_page()
    page.on("request", lambda request: requested_urls.append(request.url))
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.locator("#table tbody tr button").first.click()
    page.locator("#show-odds").click()
    page.locator("#play").click()
    page.wait_for_timeout(300)
    assert len(requested_urls) > 5
    assert [url for url in requested_urls if not url.startswith((address, "blob:", "data:"))] == []


def test_concurrent_visitors_share_one_query_per_file(warehouse: FakeBigQuery) -> None:
    fresh = FakeBigQuery(warehouse.now)
    with serve_dashboard(fresh) as url, ThreadPoolExecutor(16) as pool:

        def visit(_: int) -> int:
            return sum(
                urllib.request.urlopen(f"{url}{path}").status  # a loopback URL
                for path in ("", "data/now.json", f"data/{get_today(fresh).day}.bin")
            )

        assert set(pool.map(visit, range(32))) == {600}
    assert sorted(fresh.purposes) == ["day", "days", "now", "stations"]


def test_everything_can_be_reached_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    reached: list[str] = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    expected = [
        "skip",
        "language",
        "theme",
        "map",
        "zoom-in",
        "play",
        "day",
        "speed",
        "now",
        "minute",
        "need",
        "at",
    ]
    assert [each for each in expected if each not in reached] == []
    page.locator("#minute").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#clock")).to_have_text("00:01")
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#station-title").text_content()
    page.keyboard.press("ArrowUp")
    assert page.locator("#station-title").text_content() not in (first, None, "")
    for key, pressed in (("Enter", "true"), ("Space", "false")):
        page.locator("#play").focus()
        page.keyboard.press(key)
        expect(page.locator("#play")).to_have_attribute("aria-pressed", pressed)
    page.locator("#need").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#need")).to_have_value("dock")
    page.locator("#search").focus()
    page.keyboard.type("roubaix")
    expect(page.locator("#table tbody tr")).to_have_count(29)
    page.locator("th button[data-key=bikes]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Bikes")
    page.locator("#table tbody button").nth(3).focus()
    name = page.locator("#table tbody button").nth(3).text_content()
    page.keyboard.press("Enter")
    expect(page.locator("#station-title")).to_have_text(name or "")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_no_violation(open_page: OpenPage, warehouse: FakeBigQuery, theme: str, width: int) -> None:
    number = next(each.number for each in warehouse.stations if each.commune == "ROUBAIX")
    page = open_page(f"#station={number}&theme={theme}", viewport={"width": width, "height": 800})
    page.wait_for_selector("#station-body .odds")
    # Some rows of each kind: axe takes a second for a hundred.
    page.locator("#search").fill("ROUBAIX")
    assert {("at", ""), ("", ""), ("", "out of service")} <= {(row[1], row[2]) for row in page.evaluate(ROWS)}
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()


def test_without_a_script_the_newest_response_is_a_table(
    open_page: OpenPage, warehouse: FakeBigQuery
) -> None:
    page = open_page(ready="#table", java_script_enabled=False)
    assert page.locator("#table tbody tr").count() == len(warehouse.stations)
    expect(page.locator("#age")).to_contain_text("18:31")
    expect(page.locator("#map")).to_be_hidden()


@pytest.mark.parametrize("locale", ["en-GB", "fr-FR"])
def test_a_phone_scrolls_vertically_only(open_page: OpenPage, locale: str) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, locale=locale)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.locator("#play")).to_contain_text({"en-GB": "Play", "fr-FR": "Lire"}[locale])


def test_a_url_restores_the_state(open_page: OpenPage, warehouse: FakeBigQuery) -> None:
    each, yesterday = warehouse.stations[5], get_today(warehouse).day - timedelta(days=1)
    fragment = f"#day={yesterday}&t=510&station={each.number}&odds=dock,17:30,4&lang=fr&theme=dark"
    page = open_page(fragment)
    page.wait_for_selector("#station-body .odds")
    expect(page.locator("#clock")).to_have_text("08:30")
    expect(page.locator("#station-title")).to_have_text(each.name)
    expect(page.locator("#weekday")).to_have_value("4")
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == [
        "fr",
        "dark",
    ]
    assert page.evaluate("location.hash") == fragment


@pytest.mark.parametrize(
    ("need", "at", "weekday"), [("bike", "08:30", 1), ("dock", "09:02", 4), ("bike", "00:02", 6)]
)
def test_the_odds_are_computed_from_the_minutes_around_a_time_in_past_weeks(
    open_page: OpenPage, warehouse: FakeBigQuery, need: str, at: str, weekday: int
) -> None:
    hours, minutes = map(int, at.split(":"))
    newest = get_today(warehouse).day
    past = [newest - timedelta(days=n) for n in range(1, 29)]
    days = [LocalDay.from_date(day, ZONE) for day in past if day.weekday() == weekday]
    assert len(days) == 4
    minutes_around = range(max(0, hours * 60 + minutes - 5), hours * 60 + minutes + 6)
    for each in (warehouse.stations[2], warehouse.stations[100]):
        page = open_page(f"#station={each.number}&odds={need},{at},{weekday}")
        seen = [
            warehouse.values(each, day.start + timedelta(minutes=minute))
            for day in days
            for minute in minutes_around
        ]
        known = [found[need == "dock"] for found in seen if found]
        percent = int(100 * sum(number > 0 for number in known) / len(known) + 0.5)
        odds = page.locator("#station-body .odds")
        expect(odds).to_contain_text(f"within 5 minutes of {at}, over 4 days", timeout=60_000)
        assert (odds.text_content() or "").startswith(f"{percent} % ")
        row = page.locator(f"#table tr[data-id='{each.number}']")
        expect(row).to_contain_text(f"{percent} % (4 days)")


def test_search_sort_csv_and_sql(open_page: OpenPage, warehouse: FakeBigQuery) -> None:
    page = open_page(f"#day={get_today(warehouse).day}&t=600")
    page.locator("th button[data-key=bikes]").click()
    page.locator("th button[data-key=bikes]").click()
    bikes = [int(value) for value, _ in read_table(page).values() if value != "–"]
    assert bikes == sorted(bikes, reverse=True)
    area = warehouse.stations[0].commune
    page.locator("#search").fill(area.lower())
    rows = page.locator("#table tbody tr").count()
    assert 0 < rows < len(warehouse.stations)
    with page.expect_download() as download:
        page.locator("#csv").click()
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    assert len(lines) == rows + 1
    assert all(line.split(",")[1].startswith('"') for line in lines[1:])
    sql = copy_sql(page)
    tick = get_today(warehouse).start + timedelta(minutes=600)
    assert (
        f"FROM `demo.vlille_views.availability`\nWHERE collected_at = TIMESTAMP '{tick:%Y-%m-%dT%H:%M:%SZ}'"
        in sql
    )


def test_the_page_shows_stale_data_and_an_alert_while_bigquery_is_down(open_page: OpenPage) -> None:
    broken = FakeBigQuery(find_last_evening())
    with serve_dashboard(broken) as url:
        open_page(url=url)
        broken.down = True
        broken.now += timedelta(minutes=5)
        page = open_page(url=url)
        page.wait_for_load_state("networkidle")  # files that are still fresh were loaded last
        page.locator("#language").click()
        expect(page.locator("#alert")).to_contain_text("ne répond pas")
        page.locator("#language").click()
        expect(page.locator("#alert")).to_contain_text("does not respond")
        assert page.locator("#table tbody tr").count() == len(broken.stations)


def test_the_embedded_page_opens_from_disk(
    open_page: OpenPage, address: str, warehouse: FakeBigQuery, tmp_path: Path
) -> None:
    names = ("stations.json", "now.json", "status.json", "week.bin", f"{get_today(warehouse).day}.bin")
    files = {name: urllib.request.urlopen(f"{address}data/{name}").read() for name in names}
    page = render_page(
        STATIC,
        {"title": SETTINGS.title},
        {},
        now=warehouse.now,
        zone=ZONE,
        embedded={name: gzip.compress(body) for name, body in files.items()},
    )
    (tmp_path / "index.html").write_text(page, "utf-8")
    for name in ASSETS:
        (tmp_path / name).write_bytes((STATIC / name).read_bytes())
    opened = open_page(url=(tmp_path / "index.html").as_uri())
    expect(opened.locator("#clock")).to_have_text("18:31")
    assert len(read_table(opened)) == len(warehouse.stations)


def test_the_footer_names_the_raw_object_and_the_rebuild(
    open_page: OpenPage, warehouse: FakeBigQuery
) -> None:
    page = open_page()
    expect(page.locator("#source")).to_contain_text("✓")
    expect(page.locator("#source")).to_contain_text("2 records quarantined in the last 7 days (bad_value)")
    text = page.locator("#source").text_content() or ""
    tick = warehouse.now.replace(second=0)
    assert re.search(
        rf"feed=vlille_ods/date={tick:%Y-%m-%d}/hour={tick:%H}/{tick:%Y%m%dT%H%M}00Z\.json\.gz", text
    )


def test_a_whole_day_is_replayed_to_its_last_minute(open_page: OpenPage, warehouse: FakeBigQuery) -> None:
    page = open_page(f"#day={get_today(warehouse).day - timedelta(days=1)}&t=0")
    page.locator("#speed").evaluate("s => { s.append(new Option('all', '1440')); s.value = '1440'; }")
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_attribute("aria-pressed", "false", timeout=60_000)
    expect(page.locator("#clock")).to_have_text("23:59")


def read_marks(page: Page, styles: str) -> dict[str, tuple[str, ...]]:
    """Return computed styles of the shape that is shown for each state of a station, from the legend."""
    marks: dict[str, list[str]] = page.evaluate(
        """styles => Object.fromEntries([...document.querySelectorAll("#legend .s")].map(mark => {
            const shape = mark.querySelector({ f: "rect", x: "path" }[mark.dataset.s] || "circle");
            return [mark.dataset.s, [shape.tagName, ...styles.split(" ").map(each => getComputedStyle(shape)[each])]];
        }))""",
        styles,
    )
    return {state: tuple(values) for state, values in marks.items()}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_states_differ_with_forced_colors(open_page: OpenPage, theme: str) -> None:
    page = open_page(f"#theme={theme}", forced_colors="active")
    marks = read_marks(page, "display fill stroke")
    assert sorted(marks) == ["0", "1", "2", "3", "4", "e", "f", "x"]
    assert len(set(marks.values())) == len(marks)
    [text, canvas] = page.evaluate(
        """() => ["CanvasText", "Canvas"].map(color => {
            document.body.style.cssText = `background: ${color}`;
            return getComputedStyle(document.body).backgroundColor;
        })"""
    )
    assert {mark[3] for state, mark in marks.items() if state != "f"} == {text}, (
        "outlines are seen on any canvas"
    )
    assert marks["e"][2] == canvas


@pytest.mark.parametrize(("motion", "seconds"), [("reduce", "0s"), ("no-preference", "0.18s")])
def test_colours_change_at_once_with_reduced_motion(open_page: OpenPage, motion: str, seconds: str) -> None:
    page = open_page(reduced_motion=motion)
    assert {mark[1] for state, mark in read_marks(page, "transitionDuration").items() if state != "x"} == {
        seconds
    }


def test_a_print_has_all_rows_on_white_and_no_controls(open_page: OpenPage, warehouse: FakeBigQuery) -> None:
    page = open_page("#theme=dark")
    page.emulate_media(media="print")
    for control in ("#play", "#minute", "#zoom-in", "#plan", "#search", "#theme"):
        expect(page.locator(control)).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    [height, rows] = page.evaluate(
        "[document.querySelector('.scroll').clientHeight, document.getElementById('table').offsetHeight]"
    )
    assert height >= rows > 20 * len(warehouse.stations)


def test_silent_stations_are_marked(open_page: OpenPage) -> None:
    quiet = FakeBigQuery(find_last_evening())
    quiet.silent = quiet.stations[0]
    with serve_dashboard(quiet) as url:
        for ready, enabled in (("html[data-ready]", True), ("#table", False)):
            page = open_page(url=url, ready=ready, java_script_enabled=enabled)
            row = page.locator(f"#table tr[data-id='{quiet.silent.number}']")
            expect(row).to_contain_text("silent for an hour")
            expect(page.locator("#table tr", has_text="silent for an hour")).to_have_count(1)
        page = open_page(url=url)
        expect(page.locator(f"#map .s[data-id='{quiet.silent.number}']")).to_have_attribute("data-s", "x")


def test_a_feed_without_changes_is_named_with_its_minutes(open_page: OpenPage) -> None:
    frozen = FakeBigQuery(find_last_evening())
    frozen.frozen_since = frozen.now - timedelta(minutes=90)
    with serve_dashboard(frozen) as url:
        page = open_page(url=url)
        expect(page.locator("#health")).to_contain_text(
            re.compile(r"no station has changed for (8\d|9\d) min")
        )


def test_a_newer_response_replaces_the_shown_one(open_page: OpenPage) -> None:
    growing = FakeBigQuery(find_last_evening())
    with serve_dashboard(growing) as url:
        page = open_page(url=url)
        page.clock.install()
        page.reload()
        page.wait_for_selector("html[data-ready]")
        before = read_table(page)
        growing.now += timedelta(minutes=5)
        page.clock.run_for(61_000)
        expect(page.locator("#age")).to_contain_text(growing.now.astimezone(ZONE).strftime("%H:%M"))
        expected = {}
        for each in growing.stations:
            bikes, docks = growing.values(each, growing.now) or ("", "")
            expected[str(each.number)] = (str(bikes), str(docks))
        changed = next(each for each in before if before[each] != expected[each])
        row = page.locator(f"#table tr[data-id='{changed}'] td")
        expect(row.nth(2)).to_have_text(expected[changed][0])
        assert read_table(page) == expected
