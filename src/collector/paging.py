"""All pages of a response, within the bounds of one."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from collector.api import Answer, ApiError
from feed import FaultError, Feed, charset_of, joined_pages, read_page, records_of_page

Ask = Callable[[str, float, int], Answer]  # address, seconds, bytes


def fetch_pages(feed: Feed, ask: Ask, url: str, *, timeout_s: float, max_bytes: int) -> Answer:
    """Return the response, of a feed in pages one document of all of them.

    `timeout_s` and `max_bytes` bound all pages together, the feed's `max_requests` their number: where pages are
    left, the document says that it is not complete. Raises ApiError.
    """
    paging = feed.paging
    if paging is None:
        return ask(url, timeout_s, max_bytes)
    ends_at, bytes_left = time.monotonic() + timeout_s, max_bytes
    pages: list[Answer] = []
    counts: list[int] = []
    address: str | None = paging.first_url(url)
    while address is not None and len(pages) < paging.max_requests:
        if urlsplit(address)[:2] != urlsplit(url)[:2]:
            raise ApiError(f"page {len(pages) + 1} is at another host; expected {urlsplit(url).hostname}")
        left_s = ends_at - time.monotonic()
        if left_s <= 0 or bytes_left <= 0:
            raise ApiError(f"{len(pages)} pages in {timeout_s:g} s and {max_bytes} bytes, and there are more")
        pages.append(ask(address, left_s, bytes_left))
        bytes_left -= len(pages[-1].body)
        charset = charset_of(pages[-1].headers.get("content-type", ""))
        try:
            document = read_page(feed, pages[-1].body, charset)
            counts.append(records_of_page(feed, document))
            address = paging.next_url(address if paging.next else url, counts, document)
        except (FaultError, ValueError):
            break  # what there is so far is kept, and is not complete
    is_complete = address is None
    body = joined_pages([page.body for page in pages], is_complete=is_complete)
    return Answer(body, pages[0].headers, pages[0].metadata)
