"""Responses that come in pages: which page is next, and one raw response of all of them."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from feed.encoding import as_utf8
from feed.paths import FieldPath, values_at

_PAGES, _IS_COMPLETE = "pages", "is_complete"


@dataclass(frozen=True)
class Paging:
    """How the next page is asked for: by a parameter that counts records or pages, or by an address in the page."""

    size: int = 100  # records of a full page
    limit: str = ""  # parameter that takes the size
    offset: str = ""  # parameter that takes the number of records before the page
    page: str = ""  # parameter that takes the number of the page, from 1
    next: FieldPath | None = None  # where a page has the address of the next one
    max_requests: int = 20

    def first_url(self, url: str) -> str:
        """The address of the first page."""
        return _with_parameters(url, self._parameters(0))

    def next_url(self, url: str, records: list[int], last: Any) -> str | None:
        """The address after the pages of so many `records` each, of which `last` is the last one's document.

        None where there is no further page. ValueError where the response names no address that can be one.
        """
        if self.next is not None:
            address = next(values_at(last, self.next), None)
            if not isinstance(address, str) or not address:
                return None
            following = urljoin(url, address)
            urlsplit(following)
            return following
        if records[-1] < self.size:
            return None
        return _with_parameters(url, self._parameters(len(records), sum(records)))

    def _parameters(self, pages: int, records: int = 0) -> dict[str, str]:
        values = {self.limit: self.size, self.offset: records, self.page: pages + 1}
        return {name: str(value) for name, value in values.items() if name}


def joined_pages(pages: list[bytes], *, is_complete: bool) -> bytes:
    """One JSON document of all pages, each byte for byte as it came (in UTF-8)."""
    bodies = b",\n".join(as_utf8(page) for page in pages)
    return b'{"%s": [\n%s\n], "%s": %s}' % (
        _PAGES.encode(),
        bodies,
        _IS_COMPLETE.encode(),
        json.dumps(is_complete).encode(),
    )


def pages_of(document: Any) -> tuple[list[Any], bool]:
    """The pages of a joined document, and whether they are all; any other document is one page."""
    if type(document) is dict and set(document) == {_PAGES, _IS_COMPLETE} and type(document[_PAGES]) is list:
        return document[_PAGES], document[_IS_COMPLETE] is not False
    return [document], True


def _with_parameters(url: str, parameters: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = [
        (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in parameters
    ]
    return urlunsplit(parts._replace(query=urlencode([*query, *parameters.items()])))
