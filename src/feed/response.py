"""From the bytes of one response to its records, or to the reason why there are none."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from feed.arrangement import MAX_RECORDS, ArrangementError
from feed.conversion import MisfitError, describe, to_integer
from feed.decoding import MAX_DEPTH, DepthError, check_depth, decode_json
from feed.drift import Drift
from feed.encoding import as_utf8, text_of
from feed.join import Join, join_records, split_response
from feed.model import ROOT, Feed
from feed.outcome import FaultError, clipped
from feed.paging import Pages, pages_of
from feed.paths import FieldPath, path_text, values_at
from feed.raw import RawError, unpack_body

_HTML = re.compile(rb"<!doctype\s+html|<html|<head|<body", re.IGNORECASE)
_CUT_TOKEN = re.compile(r"[-+.eE0-9]*|t(r(ue?)?)?|f(a(l(se?)?)?)?|n(u(ll?)?)?|N(aN?)?|-?I[a-z]*")
# What is left of a cut escape; whether its first letters are in it differs between versions of the decoder.
_CUT_ESCAPE = re.compile(r"\\?u?[0-9a-fA-F]{0,4}")

Decode = Callable[[bytes], Any]


def decode_plain(body: bytes) -> Any:
    """The document of JSON in UTF-8, by the standard library alone; ValueError or RecursionError.

    Given bytes, `json.loads` would look for their encoding once more, and drop a second byte order mark.
    """
    return json.loads(body.decode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Response:
    """What was read of one response: its records, of any JSON values, and what is odd about its bytes."""

    records: list[Any]
    drifts: tuple[Drift, ...] = ()
    unmatched: int = 0  # records that the joined document has nothing of
    unused: int = 0  # records of the joined document that belong to none


def read_response(feed: Feed, body: bytes, decode: Decode, charset: str = "") -> Response:
    """The response's array of records; FaultError where it has none.

    `charset` is what the Content-Type says; it counts only where the body is no UTF-8.
    """
    where = place_of_records(feed)
    document, drifts = _decoded(feed, body, decode, charset)
    document, other = split_response(document) if feed.join else (document, None)
    pages = pages_of(document) if feed.paging else Pages([document])
    records = [record for page in pages.documents for record in _records(feed, page, body)]
    if not records and not feed.empty_is_ok:
        found = "an empty array" if feed.arrangement.format == "json" else "no record"
        raise unusable("empty", where, found, "at least one record")
    if len(records) > MAX_RECORDS:
        raise unusable("too_many", where, f"more than {MAX_RECORDS} records", f"at most {MAX_RECORDS}")
    drifts = (*drifts, *_missing_records(feed, pages, len(records)))
    if feed.join is None:
        return Response(records, drifts)
    joined = join_records(feed.join, records, other, MAX_RECORDS)
    if records and joined.unmatched == len(records):
        drifts = (*drifts, _nothing_joined(feed, feed.join, len(records)))
    return Response(joined.records, drifts, joined.unmatched, joined.unused)


def with_response(records: list[Any], document: Any, path: FieldPath) -> list[Any]:
    """Records that have what is beside them in their document under ROOT."""
    if type(document) is not dict:
        return records
    beside = {key: value for key, value in document.items() if key not in path[:1]}
    return [{**record, ROOT: beside} if type(record) is dict else record for record in records]


def _nothing_joined(feed: Feed, join: Join, count: int) -> Drift:
    where = f"{join.reference}, {path_text(join.records)}"
    found, expected = f"nothing for any of {count} records", f"records of the same {join.on}"
    message = f"{feed.name}: unmatched {where}: found {found}; expected {expected}"
    return Drift("unmatched", where, found, expected, message, is_severe=True)


@dataclass(frozen=True)
class Page:
    """One page as it was read: its JSON (in UTF-8 where its encoding is known), document and records."""

    body: bytes
    document: Any
    records: list[Any]


def read_page(feed: Feed, body: bytes, charset: str = "") -> Page:
    """One page, read as `read_response` reads a whole response; FaultError where it has no records."""
    document, drifts = _decoded(feed, body, decode_plain, charset)
    unpacked = as_utf8(_decompressed(body))
    if not drifts:
        with suppress(UnicodeDecodeError):
            unpacked.decode("utf-8", "surrogatepass")
            return Page(unpacked, document, _records(feed, document, body))
        unpacked = text_of(unpacked, feed.encoding or charset)[0].encode()
    return Page(unpacked, document, _records(feed, document, body))


def has_all_records(feed: Feed, pages: Sequence[Page]) -> bool:
    """Whether there are as many records as the pages themselves say there are; False where they do not say it."""
    total = _total(feed, [page.document for page in pages])
    return 0 < total <= sum(len(page.records) for page in pages)


def _records(feed: Feed, document: Any, body: bytes) -> list[Any]:
    """The records of a document, of which `body` is for a message; FaultError."""
    try:
        records = feed.arrangement.records(document, feed.records)
    except ArrangementError as error:
        found = error.found
        if found == "nothing there":
            found += ": " + beginning(body)
        elif feed.arrangement.is_plain:
            found = describe(next(values_at(document, feed.records)))
        raise unusable("no_records", place_of_records(feed), found, error.expected) from None
    return with_response(records, document, feed.records) if feed.takes_of_response else records


def _total(feed: Feed, documents: Sequence[Any]) -> int:
    """How many records the response says there are; 0 where it does not say it."""
    total = 0
    for one in documents if feed.total is not None else ():
        for each in values_at(one, feed.total or ()):
            with suppress(MisfitError):
                total = max(total, to_integer(each))
    return total


def _missing_records(feed: Feed, pages: Pages, count: int) -> Iterator[Drift]:
    """A drift where the response itself says that there are more records than it has."""
    total = _total(feed, pages.documents)
    if count < total or not pages.is_complete:
        found = f"{count:,} record{'s' * (count != 1)}"
        if not pages.is_complete:
            number = len(pages.documents)
            found += f" in {number} page{'s' * (number != 1)}, and "
            found += f"then no page: {_text_of_page(pages)}" if pages.unreadable else "more pages"
        expected = f"the {total:,} that it says there are" if count < total else "all pages"
        where = path_text(feed.total or ())
        message = f"{feed.name}: incomplete {where}: found {found}; expected {expected}"
        yield Drift("incomplete", where, found, expected, message, is_severe=True)


def _text_of_page(pages: Pages) -> str:
    return beginning(pages.unreadable.encode("latin-1", "replace"))


def place_of_records(feed: Feed) -> str:
    """Where the records are, for messages."""
    return path_text(feed.records) or "the answer"


def unusable(reason: str, field: str, found: str, expected: str) -> FaultError:
    """The fault of a whole response."""
    return FaultError(reason, field, found, expected, "response")


def _decoded(feed: Feed, body: bytes, decode: Decode, charset: str) -> tuple[Any, tuple[Drift, ...]]:
    """The JSON document. The collector and the batch have other decoders and must read the same of any bytes.

    So what decoders differ in is settled before and after them: compression, encoding, depth, and what one of
    them refuses is read by the standard library's, whichever `decode` is.
    """
    body = as_utf8(_decompressed(body))
    is_json = feed.arrangement.format == "json"
    if is_json:
        try:
            check_depth(body)
        except DepthError:
            raise _too_deep() from None
        with suppress(ValueError, RecursionError):
            return decode(body), ()
    drifts: tuple[Drift, ...] = ()
    try:
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text, is_known = text_of(body, feed.encoding or charset)
        drifts = () if is_known else (_unknown_encoding(feed),)
    if not is_json:
        return _document(feed, body, text), drifts
    try:
        return decode_json(text), drifts
    except DepthError:
        raise _too_deep() from None
    except ValueError as error:
        raise _not_json(body, error) from None


def _document(feed: Feed, body: bytes, text: str) -> Any:
    """The records of CSV or NDJSON; FaultError."""
    kind = feed.arrangement.format.upper()
    if not text.strip():
        raise unusable("empty", "", "no bytes" if not body else "only blanks", kind)
    if text.lstrip().startswith("<") and _HTML.search(body[:1_000]):
        raise unusable("html", "", "an HTML page: " + beginning(body.lstrip()), kind)
    try:
        return feed.arrangement.document(text)
    except ValueError as error:
        raise unusable("not_csv", "", f"{beginning(body)} ({clipped(str(error))})", kind) from None


def _decompressed(body: bytes) -> bytes:
    """The body without a compression that no header announced."""
    try:
        return unpack_body(body)
    except RawError as error:
        raise unusable("not_json", "", str(error), "JSON, or whole gzip of it") from None


def _too_deep() -> FaultError:
    return unusable("not_json", "", "JSON nested too deeply", f"JSON of at most {MAX_DEPTH} levels")


def _unknown_encoding(feed: Feed) -> Drift:
    found, expected = "bytes that are no UTF-8", "UTF-8, a charset in the Content-Type, or `encoding`"
    message = f"{feed.name}: encoding: found {found}; expected {expected}"
    return Drift("encoding", "", found, expected, message)


def _not_json(body: bytes, error: ValueError) -> FaultError:
    start = body.lstrip()[:1_000]
    if not start:
        return unusable("empty", "", "no bytes" if not body else "only blanks", "JSON")
    if start.startswith(b"<") and _HTML.search(start):
        return unusable("html", "", "an HTML page: " + beginning(start), "JSON")
    if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data" and start[:1] in b"{[":
        rest = error.doc[error.pos :]
        found = f"JSON, then {len(rest)} characters: {beginning(rest[:160].encode(errors='replace'))}"
        return unusable("trailing_data", "", found, "nothing after the JSON")
    if start[:1] in b"{[" and _is_cut(error):
        return unusable(
            "truncated", "", f"JSON that ends after {len(body)} bytes", "JSON to its last bracket"
        )
    return unusable("not_json", "", f"{beginning(start)} ({clipped(str(error))})", "JSON")


def _is_cut(error: ValueError) -> bool:
    if not isinstance(error, json.JSONDecodeError):
        return False
    if error.msg.startswith("Unterminated string"):
        return True
    cut = _CUT_ESCAPE if error.msg.startswith("Invalid \\") else _CUT_TOKEN
    return bool(cut.fullmatch(error.doc[error.pos :].strip()))


def beginning(body: bytes) -> str:
    """The first of a body, for messages."""
    words = " ".join(body[:160].decode("utf-8", "replace").split())
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)
