"""One browser and one dashboard for all tests; each test has its own page."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page

from tests.browser.chromium import NoChromiumError, open_browser
from tests.browser.site import FakeBigQuery, find_last_evening, serve_dashboard

READY = "html[data-ready]"
OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium; if there is none, the tests fail and say what to install."""
    try:
        with open_browser() as chromium:
            yield chromium
    except NoChromiumError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def warehouse() -> FakeBigQuery:
    return FakeBigQuery(find_last_evening())


@pytest.fixture(scope="session")
def address(warehouse: FakeBigQuery) -> Iterator[str]:
    with serve_dashboard(warehouse) as url:
        yield url


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[OpenPage]:
    """Open the dashboard at a URL fragment; errors of the page fail the test."""
    pages: list[Page] = []
    errors: list[str] = []

    def open_at(fragment: str = "", *, url: str | None = None, ready: str = READY, **context: Any) -> Page:
        page = browser.new_page(**({"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"} | context))
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        page.goto((url or address) + fragment)
        page.wait_for_selector(ready)
        return page

    yield open_at
    for page in pages:
        page.close()
    assert errors == []


def copy_sql(page: Page) -> str:
    """Return the SQL that the page offers to copy; without access to the clipboard, it does so in a prompt."""
    prompts: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        prompts.append(dialog.default_value)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.locator("#sql").click()
    page.wait_for_timeout(200)
    return prompts[0]
