"""All pages of a response, or both documents of one that is joined, within the bounds of one."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from collector.api import Answer, ApiError
from feed import (
    FaultError,
    Feed,
    Page,
    charset_of,
    has_all_records,
    joined_pages,
    joined_response,
    read_page,
)
from feed.decoding import decode_utf8
from feed.encoding import as_utf8
from feed.join import Join
from telemetry import log

Ask = Callable[[str, float, int], Answer]  # address, seconds, bytes


def fetch_pages(feed: Feed, ask: Ask, url: str, *, timeout_s: float, max_bytes: int) -> Answer:
    """Return the response, of a feed in pages or joined one document of all of them.

    `timeout_s` and `max_bytes` bound all pages together, the feed's `max_requests` their number. Where pages are
    left, or one has no records or those of an earlier one, the document says that it is not complete. A first page
    without records is the response itself. Raises ApiError.
    """
    paging = feed.paging
    if feed.join is not None:
        return _fetch_joined(feed, feed.join, ask, url, timeout_s=timeout_s, max_bytes=max_bytes)
    if paging is None:
        return ask(url, timeout_s, max_bytes)
    ends_at, bytes_left = time.monotonic() + timeout_s, max_bytes
    pages: list[Page] = []
    first: Answer | None = None
    unreadable = b""
    address: str | None = paging.first_url(url)
    while address is not None and len(pages) < paging.max_requests:
        if urlsplit(address)[:2] != urlsplit(url)[:2]:
            raise ApiError(f"page {len(pages) + 1} is at another host; expected {urlsplit(url).hostname}")
        left_s = ends_at - time.monotonic()
        if left_s <= 0 or bytes_left <= 0:
            raise ApiError(f"{len(pages)} pages in {timeout_s:g} s and {max_bytes} bytes, and there are more")
        answer = ask(address, left_s, bytes_left)
        first = first or answer
        bytes_left -= len(answer.body)
        try:
            page = read_page(feed, answer.body, charset_of(answer.headers.get("content-type", "")))
        except FaultError:
            if not pages:
                return answer
            unreadable = answer.body
            break
        if page.records and any(page.records == each.records for each in pages):
            break  # an API that knows nothing of pages, or whose addresses lead back
        pages.append(page)
        try:
            counts = [len(each.records) for each in pages]
            address = paging.next_url(address if paging.next else url, counts, page.document)
        except ValueError:
            break
    is_complete = not unreadable and (address is None or has_all_records(feed, pages))
    body = joined_pages([page.body for page in pages], is_complete=is_complete, unreadable=unreadable)
    return replace(first or Answer(b""), body=body)


def _fetch_joined(feed: Feed, join: Join, ask: Ask, url: str, *, timeout_s: float, max_bytes: int) -> Answer:
    """One document of both, or the first one alone where it is no JSON. Raises ApiError.

    Without the second one there are rows still, so that it is left out where it cannot be fetched; but for an API that
    asks to wait, which is not to be asked for anything.
    """
    ends_at = time.monotonic() + timeout_s
    first = ask(url, timeout_s, max_bytes)
    try:
        decode_utf8(as_utf8(first.body))
    except ValueError:
        return first
    left_s, bytes_left = ends_at - time.monotonic(), max_bytes - len(first.body)
    second: bytes | None = None
    if left_s > 0 and bytes_left > 0:
        try:
            second = ask(join.url(url), left_s, bytes_left).body
        except ApiError as error:
            if error.retry_after_s:
                raise
            log(
                logging.WARNING, f"rows without {join.reference}: {error}", event="not_joined", feed=feed.name
            )
    return replace(first, body=joined_response(first.body, second))
