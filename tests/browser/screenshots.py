"""`python -m tests.browser.screenshots`: the pictures of the documents, of the dashboard over a made day."""

import logging
import sys
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.chromium import NoChromiumError, open_browser
from tests.browser.site import ZONE, MadeWarehouse, evening, serve_dashboard

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
STATION = 20  # of the made ones: it empties every morning
SIZE = {"width": 1280, "height": 900}


def main() -> int:
    """Write the pictures and return 0, or 1 where there is no Chromium."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    FOLDER.mkdir(exist_ok=True)
    warehouse = MadeWarehouse(evening())
    day = warehouse.now.astimezone(ZONE).date() - timedelta(days=1)
    number = warehouse.stations[STATION].number
    pictures = {
        "now": "",
        "replay": f"#day={day}&t=510&theme=dark",
        "station": f"#day={day}&t=510&station={number}&odds=bike,08:30,1",
    }
    try:
        with serve_dashboard(warehouse) as address, open_browser() as browser:
            for name, fragment in pictures.items():
                _take(
                    browser,
                    f"{address}{fragment}",
                    FOLDER / f"dashboard-{name}.png",
                    needs_week="station" in fragment,
                )
    except NoChromiumError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _take(browser: Browser, url: str, file: Path, *, needs_week: bool) -> None:
    page = browser.new_page(viewport=SIZE, locale="en-GB")
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    if needs_week:
        page.wait_for_selector("#station-body .odds")
    expect(page.locator("#source")).to_contain_text("✓")
    page.wait_for_timeout(400)  # colours fade in
    page.screenshot(path=file)
    page.close()
    sys.stdout.write(f"{file.relative_to(Path.cwd(), walk_up=True)}\n")


if __name__ == "__main__":
    sys.exit(main())
