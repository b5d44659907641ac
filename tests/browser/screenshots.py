"""`python -m tests.browser.screenshots`: take the screenshots of the dashboard for the documentation."""

import logging
import sys
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, expect

from local.feeds.generated_day import Station
from tests.browser.chromium import NoChromiumError, open_browser
from tests.browser.site import ZONE, FakeBigQuery, find_last_evening, serve_dashboard

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
SIZE = ViewportSize(width=1280, height=900)


def main() -> int:
    """Write the screenshots; return 0, or 1 without Chromium."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    FOLDER.mkdir(exist_ok=True)
    warehouse = FakeBigQuery(find_last_evening())
    day = warehouse.now.astimezone(ZONE).date() - timedelta(days=1)
    number = _find_busiest_station(warehouse, warehouse.now - timedelta(days=1))
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


def _find_busiest_station(warehouse: FakeBigQuery, day: datetime) -> int:
    """Return the number of the station that is empty at times and whose bikes change most."""
    hours = [day.replace(hour=0, minute=0) + timedelta(minutes=20 * n) for n in range(72)]

    def measure_change(station: Station) -> int:
        bikes = [station.bikes(hour) for hour in hours]
        return max(bikes) if 8 < bikes.count(0) < 40 else 0

    return max(warehouse.stations, key=measure_change).number


def _take_screenshot(browser: Browser, url: str, file: Path, now: datetime, *, needs_week: bool) -> None:
    page = browser.new_page(viewport=SIZE, locale="en-GB")
    page.clock.set_fixed_time(now)
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    if needs_week:
        page.wait_for_selector("#station-body .odds")
    expect(page.locator("#source")).to_contain_text("✓")
    page.wait_for_timeout(400)  # until colour transitions end
    page.screenshot(path=file)
    page.close()
    sys.stdout.write(f"{file.relative_to(Path.cwd(), walk_up=True)}\n")


if __name__ == "__main__":
    sys.exit(main())
