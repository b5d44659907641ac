"""Fetch all pages of a response, or both documents of a joined one, within the limits of one response."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from collector.api import RETRYABLE_STATUSES, ApiError, Response
from feed import (
    FaultError,
    Feed,
    Page,
    combine_pages,
    combine_responses,
    has_all_records,
    parse_charset,
    read_page,
)
from feed.parsing.encoding import convert_to_utf8
from feed.parsing.join import Join
from feed.parsing.json_decoding import decode_utf8
from telemetry import log

FetchUrl = Callable[[str, float, int], Response]  # URL, seconds, bytes


def fetch_pages(feed: Feed, fetch_url: FetchUrl, url: str, *, timeout_s: float, max_bytes: int) -> Response:
    """Return the response. For a feed with pages or a join it is one document that contains all of them.

    `timeout_s` and `max_bytes` limit all pages together; the feed's `max_requests` limits their number. The document is
    marked as incomplete if pages are missing, or if a page has no records, repeats those of an earlier page or is
    refused for good. A first page without records is the response itself. Raises ApiError.
    """
    paging = feed.paging
    if feed.join is not None:
        return _fetch_both_documents(
            feed, feed.join, fetch_url, url, timeout_s=timeout_s, max_bytes=max_bytes
        )
    if paging is None:
        return fetch_url(url, timeout_s, max_bytes)
    deadline, bytes_left = time.monotonic() + timeout_s, max_bytes
    pages: list[Page] = []
    first: Response | None = None
    unreadable = b""
    address: str | None = paging.first_url(url)
    while address is not None and len(pages) < paging.max_requests:
        if urlsplit(address)[:2] != urlsplit(url)[:2]:
            found, expected = urlsplit(address).hostname, urlsplit(url).hostname
            raise ApiError(
                f"page {len(pages) + 1}: found a URL on another host, {found}; expected {expected}"
            )
        left_s = deadline - time.monotonic()
        if left_s <= 0 or bytes_left <= 0:
            raise ApiError(
                f"only {len(pages)} pages were read within {timeout_s:g} s and {max_bytes} bytes, and there are more: "
                "raise collector.api_timeout_seconds or collector.api_max_mebibytes"
            )
        try:
            response = fetch_url(address, left_s, bytes_left)
        except ApiError as error:
            # Another delivery would receive the same status: Opendatasoft refuses an offset above 10,000, for example.
            if not pages or error.status is None or error.status in RETRYABLE_STATUSES:
                raise
            unreadable = str(error).encode()
            break
        first = first or response
        bytes_left -= len(response.body)
        try:
            page = read_page(feed, response.body, parse_charset(response.headers.get("content-type", "")))
        except FaultError:
            if not pages:
                return response
            unreadable = response.body
            break
        if page.records and any(page.records == each.records for each in pages):
            break  # the API ignores the paging parameters, or its `next` URLs form a loop
        pages.append(page)
        try:
            counts = [len(each.records) for each in pages]
            address = paging.next_url(address if paging.next else url, counts, page.document)
        except ValueError:
            break
    is_complete = not unreadable and (address is None or has_all_records(feed, pages))
    body = combine_pages([page.body for page in pages], is_complete=is_complete, unreadable=unreadable)
    return replace(first or Response(b""), body=body)


def _fetch_both_documents(
    feed: Feed, join: Join, fetch_url: FetchUrl, url: str, *, timeout_s: float, max_bytes: int
) -> Response:
    """Return one document that contains both, or the first one alone if it is no JSON. Raises ApiError.

    The first document alone still gives rows, so a second one that cannot be fetched is left out, unless the API sent
    Retry-After: then the error is raised, because nothing more may be requested.
    """
    deadline = time.monotonic() + timeout_s
    first = fetch_url(url, timeout_s, max_bytes)
    try:
        decode_utf8(convert_to_utf8(first.body))
    except ValueError:
        return first
    left_s, bytes_left = deadline - time.monotonic(), max_bytes - len(first.body)
    second: bytes | None = None
    if left_s > 0 and bytes_left > 0:
        try:
            second = fetch_url(join.url(url), left_s, bytes_left).body
        except ApiError as error:
            if error.retry_after_s:
                raise
            message = f"rows will lack the fields of {join.reference}: {error}"
            log(logging.WARNING, message, event="not_joined", feed=feed.name)
    return replace(first, body=combine_responses(first.body, second))
