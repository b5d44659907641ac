"""Join the records of two documents by an ID.

GBFS has the number of bikes of a station in one file (station_status), its name and coordinates in another
(station_information). Both are requested in the same minute and stored in one raw response, each unchanged.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from feed.parsing.encoding import convert_to_utf8
from feed.parsing.json_decoding import decode_utf8
from feed.paths import FieldPath, find_values

_RESPONSE, _JOINED = "response", "joined"
_ID_BITS = 63  # Python refuses to format very long integers


@dataclass(frozen=True)
class Join:
    """The second document: its address, the path of its records, and the field that both documents have."""

    reference: str  # path and query, on the host of the feed's `url`
    records: FieldPath
    on: str

    def url(self, feed_url: str) -> str:
        """Return the URL of the second document, on the host of the first."""
        return urljoin(feed_url, self.reference)


@dataclass(frozen=True)
class JoinedRecords:
    """The records of the first document with the fields of the second, and how many have no counterpart."""

    records: list[Any]
    unmatched: int = 0  # records of the first document
    unused: int = 0  # of the second


def make_relative_reference(url: str, joined_url: str) -> str:
    """Return the path and query of the second document. Raises ValueError if it is not on the host of `url`."""
    first, second = urlsplit(url), urlsplit(urljoin(url, joined_url))
    if first[:2] != second[:2] or not second.path.startswith("/"):
        raise ValueError(f"{joined_url} is not on {first.hostname}")
    return urlunsplit(("", "", second.path, second.query, ""))


def combine_responses(body: bytes, joined: bytes | None) -> bytes:
    """Return one JSON document that contains both, byte for byte as received (in UTF-8).

    A second document that is not JSON in UTF-8 becomes a string with a character for each byte; None becomes null.
    """
    second = b"null" if joined is None else _encode_document(convert_to_utf8(joined))
    return b'{"%s": %s,\n"%s": %s}' % (_RESPONSE.encode(), convert_to_utf8(body), _JOINED.encode(), second)


def _encode_document(body: bytes) -> bytes:
    try:
        decode_utf8(body)
    except ValueError:
        return json.dumps(body.decode("latin-1")).encode()
    return body


def split_response(document: Any) -> tuple[Any, Any]:
    """Return both documents of a combined one; any other document is the first, without a second."""
    if type(document) is dict and set(document) == {_RESPONSE, _JOINED}:
        return document[_RESPONSE], document[_JOINED]
    return document, None


def join_records(join: Join, records: list[Any], document: Any, most: int) -> JoinedRecords:
    """Add to each record the fields of the second document's record with the same ID, the first of several.

    A record without a counterpart stays as it is. If both have a field, the first document's value is used. At most
    `most` records of the second document are read.
    """
    others: dict[str, dict[str, Any]] = {}
    for other in _list_joined_records(join, document, most):
        if type(other) is dict and (key := _to_id_text(other.get(join.on))) is not None:
            others.setdefault(key, other)
    joined: list[Any] = []
    matched: set[str] = set()
    unmatched = 0
    for record in records:
        key = _to_id_text(record.get(join.on)) if type(record) is dict else None
        if key is None or key not in others:
            unmatched += 1
            joined.append(record)
            continue
        matched.add(key)
        joined.append(
            {**record, **{name: value for name, value in others[key].items() if name not in record}}
        )
    return JoinedRecords(joined, unmatched, len(others) - len(matched))


def _list_joined_records(join: Join, document: Any, most: int) -> Iterator[Any]:
    found = next(find_values(document, join.records), None)
    yield from found[:most] if type(found) is list else ()


def _to_id_text(value: Any) -> str | None:
    """Return an ID as text, because one file may have numbers and the other strings; None for other values."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int and value.bit_length() <= _ID_BITS else None
