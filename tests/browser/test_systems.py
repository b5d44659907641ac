"""The GBFS systems on the page: choose one, share its URL, export it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dashboard.data.day_file import LocalDay
from local.feeds.generated_day import make_stations
from tests.browser.conftest import OpenPage, copy_sql
from tests.browser.site import ZONE, FakeBigQuery, find_last_evening, serve_dashboard

pytestmark = pytest.mark.browser

ODD = "dott bodø/x'\"?#50%"
INTERVAL = 5
ROWS = "#table tbody tr"


@pytest.fixture(scope="module")
def city() -> FakeBigQuery:
    """An environment with a feed and three GBFS systems."""
    now, stations = find_last_evening(), make_stations()
    about: dict[str, dict[str, Any]] = {
        ODD: {
            "name": "Dott",
            "country": "NO",
            "location": "Bodø",
            "licence": "ODbL-1.0",
            "licence_url": "https://example.org/odbl",
            "attribution": "Dott",
            "attribution_url": "javascript:alert(1)",
            "time_zone": "Europe/Oslo",
        },
        "velib": {"name": "Vélib", "country": "FR", "time_zone": "Europe/Paris"},
        "slow": {"name": "Slow", "country": "FR", "time_zone": "Europe/Paris"},
    }
    counts = {ODD: 7, "velib": 12, "slow": 3}
    systems = {
        feed: FakeBigQuery(
            now, stations[: counts[feed]], about=values, interval=INTERVAL if feed == "slow" else 1
        )
        for feed, values in about.items()
    }
    return FakeBigQuery(now, stations[20:40], systems=systems)


@pytest.fixture(scope="module")
def url(city: FakeBigQuery) -> Iterator[str]:
    with serve_dashboard(city) as address:
        yield address


def read_hash(page: Page) -> str:
    return str(page.evaluate("decodeURIComponent(location.hash)"))


def test_choosing_a_system_changes_map_table_and_title(open_page: OpenPage, url: str) -> None:
    page = open_page(url=url)
    expect(page.locator("#system option")).to_have_count(4)
    assert page.locator("#system optgroup").evaluate_all("all => all.map(each => each.label)") == ["NO", "FR"]
    expect(page.locator(ROWS)).to_have_count(20)
    page.get_by_label("Bike-share system").select_option(label="Dott (Bodø)")
    expect(page.locator("h1")).to_have_text("Dott")
    expect(page.locator(ROWS)).to_have_count(7)
    expect(page.locator("#map .s")).to_have_count(7)
    expect(page.locator("#licence")).to_have_text("ODbL-1.0 · Dott")
    links = page.locator("#licence a").evaluate_all("all => all.map(each => each.href)")
    assert links == ["https://example.org/odbl"], "a URL with another scheme is no link"
    expect(page).to_have_title("Dott")
    assert read_hash(page) == f"#system={ODD.replace(' ', '+')}"
    page.locator(f"{ROWS} button").first.click()
    expect(page.locator("#station-title")).not_to_have_text("")
    expect(page.locator("#source")).to_have_text("")
    page.get_by_label("Bike-share system").select_option("")
    expect(page.locator("h1")).to_have_text("V'Lille")
    expect(page.locator(ROWS)).to_have_count(20)
    expect(page.locator("#source")).to_contain_text("feed=vlille_ods")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Dott")


def test_a_url_restores_system_day_and_language(open_page: OpenPage, url: str, city: FakeBigQuery) -> None:
    yesterday = LocalDay.from_date(city.now.astimezone(ZONE).date(), ZONE).day - timedelta(days=1)
    fragment = f"#system=velib&day={yesterday}&t=510&lang=fr"
    page = open_page(fragment, url=url)
    expect(page.locator("h1")).to_have_text("Vélib")
    expect(page.locator("#clock")).to_have_text("08:30")
    expect(page.get_by_label("Réseau de vélos")).to_have_value("velib")
    assert page.evaluate("location.hash") == fragment
    expect(page.locator(ROWS)).to_have_count(12)


def test_csv_and_sql_are_those_of_the_system(open_page: OpenPage, url: str) -> None:
    page = open_page("#system=" + ODD.replace("%", "%25").replace("#", "%23"), url=url)
    expect(page.locator("h1")).to_have_text("Dott")
    with page.expect_download() as download:
        page.locator("#csv").click()
    assert re.fullmatch(r"dott_bodø_x_50__\d{8}T\d{6}Z\.csv", download.value.suggested_filename)
    sql, quoted = copy_sql(page), ODD.replace("'", "\\'")
    assert "FROM `demo.vlille_views.gbfs_availability`" in sql
    assert f"' AND feed = '{quoted}' AND collected_at = TIMESTAMP '" in sql


def test_a_station_of_a_system_has_its_usual_week(open_page: OpenPage, url: str, city: FakeBigQuery) -> None:
    page = open_page(f"#system=velib&station={city.systems['velib'].stations[0].number}", url=url)
    expect(page.get_by_role("img", name="A usual week, share of minutes with a bike")).to_be_visible()


def test_values_hold_until_the_next_response_of_a_slow_system(open_page: OpenPage, url: str) -> None:
    page = open_page("#system=slow", url=url)
    expect(page.locator("#clock")).to_have_text("18:30")
    page.locator("#minute").fill(str(10 * 60 + 3))
    expect(page.locator("#clock")).to_have_text("10:03")
    cells = page.locator(f"{ROWS} td:nth-child(3)").all_text_contents()
    assert len(cells) == 3
    assert "–" not in cells
    page.locator("#minute").fill(str(9 * 60 + 2))  # the response of 9:00 is missing
    assert page.locator(f"{ROWS} td:nth-child(3)").all_text_contents() == ["–"] * 3


def test_an_unknown_system_shows_the_feed_and_an_alert(open_page: OpenPage, url: str) -> None:
    page = open_page("#system=gone", url=url)
    expect(page.locator("h1")).to_have_text("V'Lille")
    expect(page.locator("#alert")).to_contain_text("systems/gone/")
    expect(page.locator("#alert")).to_contain_text("found system 'gone', expected one of the 3 systems")
    expect(page.locator(ROWS)).to_have_count(20)


def test_a_step_through_the_list_loads_only_the_last_system(
    open_page: OpenPage, url: str, city: FakeBigQuery
) -> None:
    page = open_page(url=url)
    expect(page.locator("#system option")).to_have_count(4)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.locator("#system").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.locator("h1")).to_have_text(city.systems[list(city.systems)[-1]].about["name"])
    assert {each.split("/systems/")[1].split("/")[0] for each in requested if "/systems/" in each} == {"slow"}


def test_an_environment_without_systems_has_no_picker(open_page: OpenPage, address: str) -> None:
    page = open_page("#system=velib")
    assert page.locator("#system").count() == 0
    expect(page.locator("h1")).to_have_text("V'Lille")


@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_no_violation_in_a_system(open_page: OpenPage, url: str, width: int) -> None:
    page = open_page("#system=velib", url=url, viewport={"width": width, "height": 800})
    expect(page.locator("#system")).to_have_value("velib")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
