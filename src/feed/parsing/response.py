"""Read the records of one response from its bytes, or find the reason why it has none."""

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from feed.model import ROOT, Feed
from feed.parsing.compression import DecompressionError, decompress_body
from feed.parsing.encoding import convert_to_utf8, decode_text
from feed.parsing.gbfs_upgrade import restore_former_fields
from feed.parsing.join import Join, join_records, split_response
from feed.parsing.json_decoding import MAX_DEPTH, DepthError, check_depth, decode_json
from feed.parsing.outcome import FaultError, truncate_text
from feed.parsing.paging import Pages, split_pages
from feed.parsing.response_format import MAX_RECORDS, ResponseFormatError
from feed.paths import FieldPath, find_values, format_path
from feed.quality.drift import SchemaDrift
from feed.quality.gbfs_version import find_version_change
from feed.values.description import describe_value
from feed.values.errors import ConversionError
from feed.values.scalars import to_integer

_HTML = re.compile(rb"<!doctype\s+html|<html|<head|<body", re.IGNORECASE)
_CUT_TOKEN = re.compile(r"[-+.eE0-9]*|t(r(ue?)?)?|f(a(l(se?)?)?)?|n(u(ll?)?)?|N(aN?)?|-?I[a-z]*")
# The rest of a truncated escape; whether it includes the first characters depends on the Python version.
_CUT_ESCAPE = re.compile(r"\\?u?[0-9a-fA-F]{0,4}")

Decode = Callable[[bytes], Any]
_EXCERPT = 160  # bytes


def decode_json_utf8(body: bytes) -> Any:
    """Decode JSON in UTF-8 with the standard library. Raises ValueError or RecursionError.

    Given bytes, `json.loads` would detect their encoding once more, and drop a second byte order mark.
    """
    return json.loads(body.decode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class ResponseRecords:
    """The records of one response (any JSON values), and the schema drift that its document shows."""

    records: list[Any]
    drifts: tuple[SchemaDrift, ...] = ()
    unmatched: int = 0  # records without a counterpart in the joined document
    unused: int = 0  # records of the joined document without a counterpart
    lost_pages: tuple[FaultError, ...] = ()  # why a page has no records; the other pages have


def read_response(feed: Feed, body: bytes, decode: Decode, charset: str = "") -> ResponseRecords:
    """Return the records of a response. Raises FaultError if it has none.

    `charset` is that of the Content-Type; it is used only if the body is not UTF-8.
    """
    location = describe_records_path(feed)
    document, drifts = _decode_document(feed, body, decode, charset)
    document, other = split_response(document) if feed.join else (document, None)
    pages = split_pages(document) if feed.paging else Pages([document])
    first_version, joined_version = feed.gbfs_versions
    records = [record for page in pages.documents for record in _extract_records(feed, page, body)]
    if not records and not feed.empty_is_ok:
        found = "an empty array" if feed.response_format.syntax == "json" else "no record"
        raise make_response_fault("empty", location, found, "at least one record")
    if len(records) > MAX_RECORDS:
        raise make_response_fault(
            "too_many", location, f"more than {MAX_RECORDS} records", f"at most {MAX_RECORDS}"
        )
    drifts = (
        *drifts,
        *_find_missing_records(feed, pages, len(records)),
        *_find_version_changes(feed, pages.documents[0] if pages.documents else None, other),
    )
    records = restore_former_fields(records, pages.documents[0] if pages.documents else None, first_version)
    if feed.join is None:
        return ResponseRecords(records, drifts, lost_pages=tuple(_find_lost_pages(feed, pages, charset)))
    joined = join_records(feed.join, records, other, MAX_RECORDS)
    if records and joined.unmatched == len(records):
        drifts = (*drifts, _make_unmatched_drift(feed, feed.join, len(records)))
    records = restore_former_fields(joined.records, other, joined_version)
    return ResponseRecords(records, drifts, joined.unmatched, joined.unused)


def add_response_fields(records: list[Any], document: Any, path: FieldPath) -> list[Any]:
    """Return the records with the other fields of their document added under ROOT."""
    if type(document) is not dict:
        return records
    other_fields = {key: value for key, value in document.items() if key not in path[:1]}
    return [{**record, ROOT: other_fields} if type(record) is dict else record for record in records]


def _find_version_changes(feed: Feed, document: Any, other: Any) -> Iterator[SchemaDrift]:
    first, joined = feed.gbfs_versions
    for field, version, found in (("version", first, document), ("joined.version", joined, other)):
        if (drift := find_version_change(feed.name, field, version, found)) is not None:
            yield drift


def _make_unmatched_drift(feed: Feed, join: Join, count: int) -> SchemaDrift:
    where = f"{join.reference}, {format_path(join.records)}"
    found, expected = f"nothing for any of {count} records", f"records of the same {join.on}"
    message = f"{feed.name}: unmatched {where}: found {found}; expected {expected}"
    return SchemaDrift("unmatched", where, found, expected, message, is_severe=True)


@dataclass(frozen=True)
class Page:
    """One page: its JSON (in UTF-8 if its encoding is known), its document and its records."""

    body: bytes
    document: Any
    records: list[Any]


def read_page(feed: Feed, body: bytes, charset: str = "") -> Page:
    """Read one page as `read_response` reads a response. Raises FaultError if it has no records."""
    document, drifts = _decode_document(feed, body, decode_json_utf8, charset)
    unpacked = convert_to_utf8(_decompress(body))
    if not drifts:
        with suppress(UnicodeDecodeError):
            unpacked.decode("utf-8", "surrogatepass")
            return Page(unpacked, document, _extract_records(feed, document, body))
        unpacked = decode_text(unpacked, feed.encoding or charset)[0].encode()
    return Page(unpacked, document, _extract_records(feed, document, body))


def has_all_records(feed: Feed, pages: Sequence[Page]) -> bool:
    """Return whether the pages have as many records as their `total` says; False if they have no total."""
    total = _read_total(feed, [page.document for page in pages])
    return 0 < total <= sum(len(page.records) for page in pages)


def _extract_records(feed: Feed, document: Any, body: bytes) -> list[Any]:
    """Return the records of a document; `body` is for messages. Raises FaultError."""
    try:
        records = feed.response_format.extract_records(document, feed.records)
    except ResponseFormatError as error:
        found = error.found
        if found == "nothing there":
            found += ": " + make_excerpt(body)
        elif feed.response_format.is_json_array:
            found = describe_value(next(find_values(document, feed.records)))
        raise make_response_fault("no_records", describe_records_path(feed), found, error.expected) from None
    return add_response_fields(records, document, feed.records) if feed.has_response_columns else records


def _read_total(feed: Feed, documents: Sequence[Any]) -> int:
    """Return the total number of records that the response declares; 0 if it declares none."""
    total = 0
    for document in documents if feed.total is not None else ():
        for value in find_values(document, feed.total or ()):
            with suppress(ConversionError):
                total = max(total, to_integer(value))
    return total


def _find_missing_records(feed: Feed, pages: Pages, count: int) -> Iterator[SchemaDrift]:
    """Yield a drift if the response declares more records than it has, or pages are missing."""
    total = _read_total(feed, pages.documents)
    if count < total or not pages.is_complete:
        found = f"{count:,} record{'s' * (count != 1)}"
        if not pages.is_complete:
            number = len(pages.documents)
            found += f" in {number} page{'s' * (number != 1)}, and "
            found += (
                f"then no page: {_excerpt_unreadable_page(pages)}" if pages.unreadable else "there are more"
            )
        expected = f"the {total:,} that its total declares" if count < total else "all pages"
        where = format_path(feed.total or ())
        message = f"{feed.name}: incomplete {where}: found {found}; expected {expected}"
        yield SchemaDrift("incomplete", where, found, expected, message, is_severe=True)


def _find_lost_pages(feed: Feed, pages: Pages, charset: str) -> Iterator[FaultError]:
    """Yield why the text that came in place of a page is none."""
    if not pages.unreadable:
        return
    body = pages.unreadable.encode("latin-1", "replace")
    try:
        read_page(feed, body, charset)
    except FaultError as fault:
        fault.scope = "page"
        yield fault


def _excerpt_unreadable_page(pages: Pages) -> str:
    return make_excerpt(pages.unreadable.encode("latin-1", "replace"))


def describe_records_path(feed: Feed) -> str:
    """Return the path of the records, for messages."""
    return format_path(feed.records) or "the response"


def make_response_fault(reason: str, field: str, found: str, expected: str) -> FaultError:
    """Return a fault that makes the whole response unusable."""
    return FaultError(reason, field, found, expected, "response")


def _decode_document(
    feed: Feed, body: bytes, decode: Decode, charset: str
) -> tuple[Any, tuple[SchemaDrift, ...]]:
    """Decode the document. The collector and the batch use different decoders and must read the same from any bytes.

    So everything in which decoders differ is handled here: compression, encoding, depth; and what `decode` refuses is
    decoded by the standard library.
    """
    body = convert_to_utf8(_decompress(body))
    is_json = feed.response_format.syntax == "json"
    if is_json:
        try:
            check_depth(body)
        except DepthError:
            raise _make_depth_fault() from None
        with suppress(ValueError, RecursionError):
            return decode(body), ()
    drifts: tuple[SchemaDrift, ...] = ()
    try:
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text, is_known = decode_text(body, feed.encoding or charset)
        drifts = () if is_known else (_make_encoding_drift(feed),)
    if not is_json:
        return _parse_text(feed, body, text), drifts
    try:
        return decode_json(text), drifts
    except DepthError:
        raise _make_depth_fault() from None
    except ValueError as error:
        raise _make_json_fault(body, error) from None


def _parse_text(feed: Feed, body: bytes, text: str) -> Any:
    """Return the records of CSV or NDJSON. Raises FaultError."""
    kind = feed.response_format.syntax.upper()
    if not text.strip():
        raise make_response_fault("empty", "", "no bytes" if not body else "only whitespace", kind)
    if text.lstrip().startswith("<") and _HTML.search(body[:1_000]):
        raise make_response_fault("html", "", "an HTML page: " + make_excerpt(body.lstrip()), kind)
    try:
        return feed.response_format.parse_text(text)
    except ValueError as error:
        raise make_response_fault(
            "not_csv", "", f"{make_excerpt(body)} ({truncate_text(str(error))})", kind
        ) from None


def _decompress(body: bytes) -> bytes:
    """Return the body without gzip that no header declared."""
    try:
        return decompress_body(body)
    except DecompressionError as error:
        raise make_response_fault("not_json", "", str(error), "JSON, or complete gzip of it") from None


def _make_depth_fault() -> FaultError:
    return make_response_fault(
        "not_json", "", "JSON nested too deeply", f"JSON of at most {MAX_DEPTH} levels"
    )


def _make_encoding_drift(feed: Feed) -> SchemaDrift:
    found, expected = "bytes that are not UTF-8", "UTF-8, a charset in the Content-Type, or `encoding`"
    message = f"{feed.name}: encoding: found {found}; expected {expected}"
    return SchemaDrift("encoding", "", found, expected, message)


def _make_json_fault(body: bytes, error: ValueError) -> FaultError:
    start = body.lstrip()[:1_000]
    if not start:
        return make_response_fault("empty", "", "no bytes" if not body else "only whitespace", "JSON")
    if start.startswith(b"<") and _HTML.search(start):
        return make_response_fault("html", "", "an HTML page: " + make_excerpt(start), "JSON")
    if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data" and start[:1] in b"{[":
        rest = error.doc[error.pos :]
        found = f"JSON, then {len(rest)} characters: {make_excerpt(rest[:_EXCERPT].encode(errors='replace'))}"
        return make_response_fault("trailing_data", "", found, "nothing after the JSON")
    if start[:1] in b"{[" and _is_truncated(error):
        return make_response_fault(
            "truncated", "", f"JSON truncated after {len(body)} bytes", "complete JSON"
        )
    return make_response_fault("not_json", "", f"{make_excerpt(start)} ({truncate_text(str(error))})", "JSON")


def _is_truncated(error: ValueError) -> bool:
    if not isinstance(error, json.JSONDecodeError):
        return False
    if error.msg.startswith("Unterminated string"):
        return True
    cut = _CUT_ESCAPE if error.msg.startswith("Invalid \\") else _CUT_TOKEN
    return bool(cut.fullmatch(error.doc[error.pos :].strip()))


def make_excerpt(body: bytes) -> str:
    """Return the beginning of a body, for messages; it does not end within a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    words = " ".join(decoder.decode(body[:_EXCERPT], final=len(body) <= _EXCERPT).split())
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)
