"""Responses in pages: the URL of the next page, and one raw response of all pages."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from feed.paths import FieldPath, find_values

_PAGES, _IS_COMPLETE, _UNREADABLE = "pages", "is_complete", "unreadable"


@dataclass(frozen=True)
class Paging:
    """How the next page is requested: by an offset or page number, or by a URL that the page contains."""

    size: int = 100  # records of a full page
    limit: str = ""  # query parameter for the size
    offset: str = ""  # query parameter for the number of records before the page
    page: str = ""  # query parameter for the page number, from 1
    next: FieldPath | None = None  # path of the next page's URL
    max_requests: int = 20

    def first_url(self, url: str) -> str:
        """Return the URL of the first page."""
        return _set_parameters(url, self._parameters(0))

    def next_url(self, url: str, records: list[int], last: Any) -> str | None:
        """Return the URL of the next page, None after the last one.

        `records` are the counts of the pages so far, `last` is the document of the last page. Raises ValueError if the
        response contains an invalid URL.
        """
        if self.next is not None:
            address = next(find_values(last, self.next), None)
            if not isinstance(address, str) or not address:
                return None
            following = urljoin(url, address)
            urlsplit(following)
            return following
        if records[-1] < self.size:
            return None
        return _set_parameters(url, self._parameters(len(records), sum(records)))

    def _parameters(self, pages: int, records: int = 0) -> dict[str, str]:
        values = {self.limit: self.size, self.offset: records, self.page: pages + 1}
        return {name: str(value) for name, value in values.items() if name}


@dataclass(frozen=True)
class Pages:
    """The documents of all pages, whether they are complete, and the text of a response that is no page."""

    documents: list[Any]
    is_complete: bool = True
    unreadable: str = ""


def combine_pages(pages: list[bytes], *, is_complete: bool, unreadable: bytes = b"") -> bytes:
    """Return one JSON document of all pages, as received (in UTF-8); `unreadable` is added as text."""
    end = json.dumps(is_complete)
    if unreadable:
        end += f', "{_UNREADABLE}": {json.dumps(unreadable.decode("latin-1"))}'
    return b'{"%s": [\n%s\n], "%s": %s}' % (
        _PAGES.encode(),
        b",\n".join(pages),
        _IS_COMPLETE.encode(),
        end.encode(),
    )


def split_pages(document: Any) -> Pages:
    """Return the pages of a combined document; any other document is one page."""
    if type(document) is not dict or set(document) - {_UNREADABLE} != {_PAGES, _IS_COMPLETE}:
        return Pages([document])
    pages, unreadable = document[_PAGES], document.get(_UNREADABLE, "")
    if type(pages) is not list or type(unreadable) is not str:
        return Pages([document])
    return Pages(pages, document[_IS_COMPLETE] is not False, unreadable)


def _set_parameters(url: str, parameters: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = [
        (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in parameters
    ]
    return urlunsplit(parts._replace(query=urlencode([*query, *parameters.items()])))
