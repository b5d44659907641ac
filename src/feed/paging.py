"""Responses that come in pages: which page is next, and one raw response of all of them."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from feed.paths import FieldPath, values_at

_PAGES, _IS_COMPLETE, _UNREADABLE = "pages", "is_complete", "unreadable"


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


@dataclass(frozen=True)
class Pages:
    """What a joined document has: the pages' documents, whether they are all, and a further one that is no page."""

    documents: list[Any]
    is_complete: bool = True
    unreadable: str = ""


def joined_pages(pages: list[bytes], *, is_complete: bool, unreadable: bytes = b"") -> bytes:
    """One JSON document of all pages, each as it came (in UTF-8), and as text what came in place of a further one."""
    end = json.dumps(is_complete)
    if unreadable:
        end += f', "{_UNREADABLE}": {json.dumps(unreadable.decode("latin-1"))}'
    return b'{"%s": [\n%s\n], "%s": %s}' % (
        _PAGES.encode(),
        b",\n".join(pages),
        _IS_COMPLETE.encode(),
        end.encode(),
    )


def pages_of(document: Any) -> Pages:
    """The pages of a joined document; any other document is one page."""
    if type(document) is not dict or set(document) - {_UNREADABLE} != {_PAGES, _IS_COMPLETE}:
        return Pages([document])
    pages, unreadable = document[_PAGES], document.get(_UNREADABLE, "")
    if type(pages) is not list or type(unreadable) is not str:
        return Pages([document])
    return Pages(pages, document[_IS_COMPLETE] is not False, unreadable)


def _with_parameters(url: str, parameters: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = [
        (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in parameters
    ]
    return urlunsplit(parts._replace(query=urlencode([*query, *parameters.items()])))
