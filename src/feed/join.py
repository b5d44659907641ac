"""Records of two documents as one: what a station does, joined with what it is.

GBFS says how many bikes a station has in one file (station_status), its name and place in another
(station_information). Both are requested in the same minute and kept in one raw response, each as it came.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from feed.decoding import decode_utf8
from feed.encoding import as_utf8
from feed.paths import FieldPath, values_at

_RESPONSE, _JOINED = "response", "joined"
_ID_BITS = 63  # Python writes no integer of any length


@dataclass(frozen=True)
class Join:
    """The second document: where it is, where its records are, and the field that both have."""

    reference: str  # path and query on the host of the feed's url
    records: FieldPath
    on: str

    def url(self, feed_url: str) -> str:
        """Its address, on the host of the first document."""
        return urljoin(feed_url, self.reference)


@dataclass(frozen=True)
class Joined:
    """The records of the first document with the fields of the second, and how many found no other."""

    records: list[Any]
    unmatched: int = 0  # records of the first document
    unused: int = 0  # of the second


def reference_of(url: str, joined_url: str) -> str:
    """The reference of the second document on the host of `url`; ValueError where it is on another one."""
    first, second = urlsplit(url), urlsplit(urljoin(url, joined_url))
    if first[:2] != second[:2] or not second.path.startswith("/"):
        raise ValueError(f"{joined_url} is not on {first.hostname}")
    return urlunsplit(("", "", second.path, second.query, ""))


def joined_response(body: bytes, joined: bytes | None) -> bytes:
    """One JSON document of two, each byte for byte as it came (in UTF-8).

    A second one that is no JSON in UTF-8 is kept as a text, a character for each byte, None as null.
    """
    second = b"null" if joined is None else _as_json(as_utf8(joined))
    return b'{"%s": %s,\n"%s": %s}' % (_RESPONSE.encode(), as_utf8(body), _JOINED.encode(), second)


def _as_json(body: bytes) -> bytes:
    try:
        decode_utf8(body)
    except ValueError:
        return json.dumps(body.decode("latin-1")).encode()
    return body


def split_response(document: Any) -> tuple[Any, Any]:
    """The two documents of a joined one; any other document is the first, and there is no second."""
    if type(document) is dict and set(document) == {_RESPONSE, _JOINED}:
        return document[_RESPONSE], document[_JOINED]
    return document, None


def join_records(join: Join, records: list[Any], document: Any, most: int) -> Joined:
    """Each record with the fields of the other document's record of the same id, the first one of several.

    No record is lost: one without another stays as it is. A field that both have is the first document's. At most
    `most` records of the second document are looked at.
    """
    others: dict[str, dict[str, Any]] = {}
    for other in _others(join, document, most):
        if type(other) is dict and (key := _id(other.get(join.on))) is not None:
            others.setdefault(key, other)
    joined: list[Any] = []
    matched: set[str] = set()
    unmatched = 0
    for record in records:
        key = _id(record.get(join.on)) if type(record) is dict else None
        if key is None or key not in others:
            unmatched += 1
            joined.append(record)
            continue
        matched.add(key)
        joined.append(
            {**record, **{name: value for name, value in others[key].items() if name not in record}}
        )
    return Joined(joined, unmatched, len(others) - len(matched))


def _others(join: Join, document: Any, most: int) -> Iterator[Any]:
    found = next(values_at(document, join.records), None)
    yield from found[:most] if type(found) is list else ()


def _id(value: Any) -> str | None:
    """An id as text: one file may have numbers where the other has texts."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int and value.bit_length() <= _ID_BITS else None
