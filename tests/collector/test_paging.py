"""Pages of a response become one raw response, within bounds."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.api import ApiError, Response
from collector.paging import fetch_pages
from feed import Feed, load_feed, parse_response, split_response

pytestmark = pytest.mark.unit

TICK = datetime(2026, 11, 1, tzinfo=UTC)
URL = "https://data.example/records?lang=fr"
MakePaged = Callable[[str], Feed]


@pytest.fixture
def paged(tmp_path: Path) -> MakePaged:
    def make(paging: str) -> Feed:
        folder = tmp_path / "paged"
        folder.mkdir()
        (folder / "sample.json").write_text('{"total_count": 1, "results": [{"id": 1}]}')
        (folder / "source.toml").write_text(
            f'url = "{URL}"\nrecords = "results"\nkey = "id"\ntotal = "total_count"\npaging = {{ {paging} }}\n'
            'types = { id = "INTEGER" }\n'
        )
        return load_feed(folder)

    return make


class FakeApi:
    """Records in pages, by the parameters of the request; records the requested URLs."""

    def __init__(self, *pages: Any, content_type: str = "application/json") -> None:
        self.pages, self.urls, self.content_type = list(pages), list[str](), content_type

    def __call__(self, url: str, seconds: float, size: int) -> Response:
        assert seconds > 0
        assert size > 0
        self.urls.append(url)
        page = self.pages[len(self.urls) - 1]
        if isinstance(page, ApiError):
            raise page
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        return Response(body, {"content-type": self.content_type})


def page(first: int, count: int, total: Any = 5, **more: Any) -> dict[str, Any]:
    return {"total_count": total, "results": [{"id": first + n} for n in range(count)]} | more


WAYS: list[tuple[str, list[Any], list[str]]] = [
    (
        'offset = "offset", limit = "limit", size = 2',
        [page(0, 2), page(2, 2), page(4, 1)],
        ["limit=2&offset=0", "limit=2&offset=2", "limit=2&offset=4"],
    ),
    ('page = "page", size = 2', [page(0, 2), page(2, 2), page(4, 1)], ["page=1", "page=2", "page=3"]),
    (
        'next = "next"',
        [page(0, 2, next="?cursor=b"), page(2, 3, next=None)],
        ["", "https://data.example/records?cursor=b"],
    ),
]


@pytest.mark.parametrize(("paging", "pages", "queries"), WAYS)
def test_all_pages_are_one_response(
    paged: MakePaged, paging: str, pages: list[Any], queries: list[str]
) -> None:
    feed, api = paged(paging), FakeApi(*pages)
    response = fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000)
    expected = [each if each.startswith("https") else f"{URL}{'&' if each else ''}{each}" for each in queries]
    assert api.urls == expected
    assert response.headers == {"content-type": "application/json"}
    outcome = parse_response(feed, response.body, TICK)
    assert [row["id"] for row in outcome.rows] == [0, 1, 2, 3, 4]
    assert (outcome.rejections, outcome.drifts) == ((), ())
    assert parse_response(feed, response.body, TICK, decode=msgspec.json.decode) == outcome


OFFSET = 'offset = "offset", size = 2, max_requests = 2'


def test_pages_beyond_the_limit_are_reported(paged: MakePaged) -> None:
    feed, api = paged(OFFSET), FakeApi(page(0, 2), page(2, 2))
    outcome = parse_response(feed, fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body, TICK)
    assert len(outcome.rows) == 4
    assert [(drift.kind, drift.is_severe) for drift in outcome.drifts] == [("incomplete", True)]
    assert (
        "found 4 records in 2 pages, and there are more; expected the 5 that its total declares"
        in outcome.drifts[0].message
    )


@pytest.mark.parametrize("total", [1_500, "1500", 1_500.0])
def test_a_total_above_the_records_is_noticed_without_pages_too(paged: MakePaged, total: Any) -> None:
    feed = paged(OFFSET)
    outcome = parse_response(feed, json.dumps(page(0, 2, total=total)).encode(), TICK)
    assert [drift.found for drift in outcome.drifts] == ["2 records"]
    assert outcome.drifts[0].expected == "the 1,500 that its total declares"


def incomplete(feed: Feed, body: bytes) -> tuple[list[int], list[str], list[tuple[str, str]]]:
    """Return the IDs of the rows, the messages of drift that is logged, and the quarantine's scopes and reasons."""
    outcome = parse_response(feed, body, TICK)
    assert parse_response(feed, body, TICK, decode=msgspec.json.decode) == outcome
    assert outcome.is_usable
    assert outcome.records == len(outcome.rows) + outcome.rejected_records
    assert {(drift.kind, drift.is_severe) for drift in outcome.drifts} <= {("incomplete", True)}
    reasons = [(each.scope, each.reason) for each in outcome.rejections]
    return [row["id"] for row in outcome.rows], [drift.found for drift in outcome.drifts], reasons


REFUSED = ApiError("status 400 Bad Request; expected 200", status=400)
# The second page → the message about the response, and the reason of the quarantine.
NO_PAGES: dict[str, tuple[Any, str, str]] = {
    "an HTML page": (b"<html>Back soon", "2 records in 1 page, and then no page: <html>Back soon", "html"),
    "an error": (
        {"error": "quota"},
        '2 records in 1 page, and then no page: {"error": "quota"}',
        "no_records",
    ),
    "records that are none": (
        {"results": {}},
        '2 records in 1 page, and then no page: {"results": {}}',
        "no_records",
    ),
    "no UTF-8": (b"\xff\xfe\xfd", "2 records in 1 page, and then no page: \ufffd\ufffd\ufffd", "not_json"),
    "cut off": (b'{"results": [{"i', '2 records in 1 page, and then no page: {"results": [{"i', "truncated"),
    "a refused offset": (REFUSED, f"2 records in 1 page, and then no page: {REFUSED}", "not_json"),
    "the first one again": (page(0, 2, next="?cursor=b"), "2 records in 1 page, and there are more", ""),
    "no address of a third": (page(2, 2, next="https://["), "4 records in 2 pages, and there are more", ""),
}


BY = ('offset = "offset", size = 2', 'page = "page", size = 2', 'next = "next"')


@pytest.mark.parametrize(
    ("what", "paging"),
    [(what, paging) for what in NO_PAGES for paging in (BY[2:] if what.startswith("no address") else BY)],
)
def test_an_invalid_page_does_not_affect_the_rows_of_other_pages(
    paged: MakePaged, what: str, paging: str
) -> None:
    second, found, reason = NO_PAGES[what]
    feed, api = paged(paging), FakeApi(page(0, 2, next="?cursor=b"), second)
    body = fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body
    rows, problems, quarantine = incomplete(feed, body)
    assert (rows, problems) == (list(range(2 + 2 * found.startswith("4"))), [found])
    assert quarantine == ([("page", reason)] if reason else [])


@pytest.mark.parametrize("error", [ApiError("no response"), ApiError("down", status=503)])
def test_a_page_that_may_come_later_is_left_to_the_next_delivery(paged: MakePaged, error: ApiError) -> None:
    feed, api = paged(OFFSET), FakeApi(page(0, 2), error)
    with pytest.raises(ApiError, match=str(error)):
        fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000)


def test_an_invalid_first_page_is_the_response(paged: MakePaged) -> None:
    feed, api = paged(OFFSET), FakeApi(b"<!doctype html>")
    response = fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000)
    assert response.body == b"<!doctype html>"
    assert [each.reason for each in parse_response(feed, response.body, TICK).rejections] == ["html"]


@pytest.mark.parametrize("pages", [[page(0, 2), page(2, 2)], [page(0, 2), page(2, 2), page(2, 2)]])
def test_as_many_records_as_the_api_says_are_all(paged: MakePaged, pages: list[Any]) -> None:
    """Whether the maximum number of requests is reached, or the API repeats its last page."""
    pages = [each | {"total_count": 4} for each in pages]
    feed, api = paged(f'offset = "offset", size = 2, max_requests = {len(pages)}'), FakeApi(*pages)
    rows, problems, _ = incomplete(feed, fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body)
    assert (rows, problems) == ([0, 1, 2, 3], [])


def test_pages_in_a_circle_end(paged: MakePaged) -> None:
    circle = [page(0, 2, next="?cursor=b"), page(2, 2, next="?cursor=a"), page(0, 2, next="?cursor=b")]
    feed, api = paged('next = "next"'), FakeApi(*circle)
    rows, problems, _ = incomplete(feed, fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body)
    assert (rows, problems) == ([0, 1, 2, 3], ["4 records in 2 pages, and there are more"])


ENCODED: dict[str, Callable[[str], bytes]] = {
    "gzip": lambda text: gzip.compress(text.encode(), mtime=0),
    "UTF-16": lambda text: text.encode("utf-16"),
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
    "ISO-8859-1": lambda text: text.encode("latin-1"),
    "UTF-8": lambda text: text.encode(),
}


@pytest.mark.parametrize("first", ENCODED)
@pytest.mark.parametrize("second", ENCODED)
def test_each_page_is_read_as_a_response_is(paged: MakePaged, first: str, second: str) -> None:
    texts = [json.dumps(page(n, 2 - n // 4, name="Hôtel"), ensure_ascii=False) for n in (0, 2, 4)]
    encoded = [ENCODED[how](text) for how, text in zip((first, second, first), texts, strict=True)]
    feed, api = paged(WAYS[0][0]), FakeApi(*encoded, content_type="application/json; charset=ISO-8859-1")
    body = fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body
    assert incomplete(feed, body) == ([0, 1, 2, 3, 4], [], [])
    assert body.count("Hôtel".encode()) == 3


def test_pages_on_another_host_are_refused(paged: MakePaged) -> None:
    feed, api = paged('next = "next"'), FakeApi(page(0, 2, next="https://evil.example/"))
    with pytest.raises(ApiError, match=r"page 2: found a URL on another host, \S+; expected data\.example"):
        fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000)


def test_all_pages_share_the_byte_limit(paged: MakePaged) -> None:
    feed, api = paged(OFFSET), FakeApi(page(0, 2), page(2, 2))
    with pytest.raises(ApiError, match="only 1 pages were read within 30 s and 20 bytes, and there are more"):
        fetch_pages(feed, api, URL, timeout_s=30, max_bytes=20)


def test_a_feed_without_pages_is_requested_once(feeds: dict[str, Feed]) -> None:
    api = FakeApi({"records": []})
    assert fetch_pages(feeds["vlille_ogc"], api, URL, timeout_s=30, max_bytes=100).body == b'{"records": []}'
    assert api.urls == [URL]


@pytest.fixture
def joined(feeds: dict[str, Feed]) -> Feed:
    return feeds["vlille_gbfs"]


STATUS = "http://127.0.0.1:8080/"
INFORMATION = "http://127.0.0.1:8080/opendata/station_information.json"


def halves(feed: Feed) -> tuple[Any, Any]:
    return split_response(json.loads(feed.sample))


def test_both_documents_of_a_joined_feed_are_one_response(joined: Feed) -> None:
    api = FakeApi(*halves(joined))
    response = fetch_pages(joined, api, STATUS, timeout_s=30, max_bytes=10_000)
    assert api.urls == [STATUS, INFORMATION]
    first, second = (json.dumps(each).encode() for each in halves(joined))
    assert response.body == b'{"response": ' + first + b',\n"joined": ' + second + b"}"
    assert (
        parse_response(joined, response.body, TICK).rows == parse_response(joined, joined.sample, TICK).rows
    )


class Failing(FakeApi):
    """The second request fails."""

    def __init__(self, error: ApiError, *pages: Any) -> None:
        super().__init__(*pages)
        self.error = error

    def __call__(self, url: str, seconds: float, size: int) -> Response:
        if self.urls:
            raise self.error
        return super().__call__(url, seconds, size)


def test_without_the_second_document_there_are_rows(joined: Feed) -> None:
    api = Failing(ApiError("status 404", status=404), *halves(joined))
    response = fetch_pages(joined, api, STATUS, timeout_s=30, max_bytes=10_000)
    outcome = parse_response(joined, response.body, TICK)
    assert (len(outcome.rows), outcome.unmatched) == (5, 5)


def test_after_retry_after_nothing_more_is_requested(joined: Feed) -> None:
    api = Failing(ApiError("responded with 429", status=429, retry_after_s=60.0), *halves(joined))
    with pytest.raises(ApiError, match="429"):
        fetch_pages(joined, api, STATUS, timeout_s=30, max_bytes=10_000)


@pytest.mark.parametrize("first", [b"<html>", b"", b'{"data": {"stations": [{'])
def test_a_first_document_that_is_no_json_is_stored_alone(joined: Feed, first: bytes) -> None:
    api = FakeApi(first)
    assert fetch_pages(joined, api, STATUS, timeout_s=30, max_bytes=10_000).body == first
    assert api.urls == [STATUS]


def test_a_long_integer_in_the_first_document_is_joined(joined: Feed) -> None:
    first, second = halves(joined)
    body = json.dumps(first | {"long": 0}).encode().replace(b'"long": 0', b'"long": ' + b"9" * 5_000)
    api = FakeApi(body, second)
    outcome = parse_response(
        joined, fetch_pages(joined, api, STATUS, timeout_s=30, max_bytes=20_000).body, TICK
    )
    assert api.urls == [STATUS, INFORMATION]
    assert outcome.rows == parse_response(joined, joined.sample, TICK).rows
