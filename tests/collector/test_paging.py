"""Pages of a response become one raw response, within bounds."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.api import Answer, ApiError
from collector.paging import fetch_pages
from feed import Feed, load_feed, parse

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
        )
        return load_feed(folder)

    return make


class Api:
    """Records in pages, by the parameters of the request; remembers what was asked."""

    def __init__(self, *pages: Any) -> None:
        self.pages, self.asked = list(pages), list[str]()

    def __call__(self, url: str, seconds: float, size: int) -> Answer:
        assert seconds > 0
        assert size > 0
        self.asked.append(url)
        page = self.pages[len(self.asked) - 1]
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        return Answer(body, {"content-type": "application/json"})


def page(first: int, count: int, total: int = 5, **more: Any) -> dict[str, Any]:
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
    feed, api = paged(paging), Api(*pages)
    answer = fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000)
    expected = [each if each.startswith("https") else f"{URL}{'&' if each else ''}{each}" for each in queries]
    assert api.asked == expected
    assert answer.headers == {"content-type": "application/json"}
    outcome = parse(feed, answer.body, TICK)
    assert [row["id"] for row in outcome.rows] == [0, 1, 2, 3, 4]
    assert (outcome.rejections, outcome.drifts) == ((), ())
    assert parse(feed, answer.body, TICK, decode=msgspec.json.decode) == outcome


OFFSET = 'offset = "offset", size = 2, max_requests = 2'


def test_pages_beyond_the_bound_are_noticed(paged: MakePaged) -> None:
    feed, api = paged(OFFSET), Api(page(0, 2), page(2, 2))
    outcome = parse(feed, fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body, TICK)
    assert len(outcome.rows) == 4
    assert [(drift.kind, drift.is_severe) for drift in outcome.drifts] == [("incomplete", True)]
    assert (
        "found 4 records in 2 pages, and more pages; expected the 5 that it says" in outcome.drifts[0].message
    )


def test_a_total_above_the_records_is_noticed_without_pages_too(paged: MakePaged) -> None:
    feed = paged(OFFSET)
    outcome = parse(feed, json.dumps(page(0, 2, total=1_500)).encode(), TICK)
    assert [drift.found for drift in outcome.drifts] == ["2 records"]
    assert outcome.drifts[0].expected == "the 1,500 that it says there are"


def test_a_page_that_is_none_is_kept_and_quarantined(paged: MakePaged) -> None:
    feed, api = paged(OFFSET), Api(page(0, 2), b"<html>")
    answer = fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000)
    assert b"<html>" in answer.body
    assert [each.scope for each in parse(feed, answer.body, TICK).rejections] == ["response"]


def test_pages_that_are_no_utf8_are_read_as_the_response_is(paged: MakePaged) -> None:
    pages = [json.dumps(page(n, 2 if n < 4 else 1, name="Hôtel"), ensure_ascii=False) for n in (0, 2, 4)]
    feed, api = paged(WAYS[0][0]), Api(*(each.encode("latin-1") for each in pages))
    outcome = parse(feed, fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body, TICK)
    assert (len(api.asked), len(outcome.rows)) == (3, 5)


@pytest.mark.parametrize(
    "second", [b"<html>", json.dumps(page(2, 2, next="https://[")).encode()], ids=["no page", "no address"]
)
def test_pages_that_lead_nowhere_are_not_complete(paged: MakePaged, second: bytes) -> None:
    feed, api = paged('next = "next"'), Api(page(0, 2, next="?cursor=b"), second)
    body = fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000).body
    assert body.rstrip().endswith(b"false}")


def test_no_other_host_is_asked(paged: MakePaged) -> None:
    feed, api = paged('next = "next"'), Api(page(0, 2, next="https://evil.example/"))
    with pytest.raises(ApiError, match=r"page 2 is at another host; expected data\.example"):
        fetch_pages(feed, api, URL, timeout_s=30, max_bytes=10_000)


def test_all_pages_share_the_bytes_that_are_allowed(paged: MakePaged) -> None:
    feed, api = paged(OFFSET), Api(page(0, 2), page(2, 2))
    with pytest.raises(ApiError, match="1 pages in 30 s and 20 bytes, and there are more"):
        fetch_pages(feed, api, URL, timeout_s=30, max_bytes=20)


def test_a_feed_without_pages_is_asked_once(feeds: dict[str, Feed]) -> None:
    api = Api({"records": []})
    assert fetch_pages(feeds["vlille_ogc"], api, URL, timeout_s=30, max_bytes=100).body == b'{"records": []}'
    assert api.asked == [URL]
