"""`python -m tests.browser.screenshots`: take the screenshots of the dashboard for the documentation."""

import logging
import math
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, expect

from local.feeds.generated_day import Station, make_stations
from tests.browser.chromium import NoChromiumError, open_browser
from tests.browser.site import ZONE, FakeBigQuery, find_last_evening, serve_dashboard

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
SIZE = ViewportSize(width=1280, height=900)
CENTRE = 50.634, 3.062  # of Lille: latitude, longitude
WORK_KM = 2.2  # from the centre; bikes are ridden there in the morning
KM_PER_DEGREE = 111.32
TUESDAY, FRIDAY = 1, 4


def main() -> int:
    """Write the screenshots; return 0, or 1 without Chromium."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    FOLDER.mkdir(exist_ok=True)
    evening = find_last_evening()
    while not TUESDAY <= evening.weekday() <= FRIDAY:  # two working days: the replay is of the previous one
        evening -= timedelta(days=1)
    warehouse = FakeBigQuery(evening, stations=[_place(each) for each in make_stations()])
    day = warehouse.now.astimezone(ZONE).date() - timedelta(days=1)
    number = _find_commuter_station(warehouse, warehouse.now - timedelta(days=1))
    pictures = {
        "now": "",
        "replay": f"#day={day}&t=510&theme=dark",
        "station": f"#day={day}&t=510&station={number}",
    }
    try:
        with serve_dashboard(warehouse) as address, open_browser() as browser:
            for name, fragment in pictures.items():
                _take_screenshot(
                    browser,
                    f"{address}{fragment}",
                    FOLDER / f"dashboard-{name}.png",
                    warehouse.now,
                    needs_week="station" in fragment,
                )
    except NoChromiumError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _place(station: Station) -> Station:
    """Return a station whose bikes follow its place: parked where people live at night, near the centre by day."""
    north = (station.latitude - CENTRE[0]) * KM_PER_DEGREE
    east = (station.longitude - CENTRE[1]) * KM_PER_DEGREE * math.cos(math.radians(CENTRE[0]))
    centrality = 1 / (1 + (math.hypot(north, east) / WORK_KM) ** 2)
    own = (station.rest + station.phase) % 1  # what differs between neighbours
    rest = 0.8 - 0.76 * centrality + 0.36 * (own - 0.5)
    return replace(
        station,
        rest=rest,
        swing=(1.2 * centrality - 0.4) * (0.6 + 0.8 * own),
        period=240 + 13 * (station.number % 29),  # minutes of the small waves
    )


def _find_commuter_station(warehouse: FakeBigQuery, day: datetime) -> int:
    """Return the number of the station with most bikes by day of those that are empty for half of the night."""
    midnight = day.replace(hour=0, minute=0)

    def rate(station: Station) -> int:
        bikes = [station.bikes(midnight + timedelta(minutes=20 * n)) for n in range(72)]
        return max(bikes) if bikes[: 6 * 3].count(0) > 9 else 0

    return max(warehouse.stations, key=rate).number


def _take_screenshot(browser: Browser, url: str, file: Path, now: datetime, *, needs_week: bool) -> None:
    page = browser.new_page(viewport=SIZE, locale="en-GB")
    page.clock.set_fixed_time(now)
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    if needs_week:
        page.wait_for_selector("#station-body .odds")
        page.wait_for_selector("#station-body .h4")  # of the week
    expect(page.locator("#source")).to_contain_text("✓")
    page.wait_for_timeout(400)  # until colour transitions end
    page.screenshot(path=file)
    page.close()
    sys.stdout.write(f"{file.relative_to(Path.cwd(), walk_up=True)}\n")


if __name__ == "__main__":
    sys.exit(main())
