"""Write and read packs: WARC 1.1 files (ISO 28500) with all responses of a shard and minute, a gzip member per record.

Any WARC reader can read a pack, and so can `zcat`. The reasons are in docs/decisions/0003-packs-are-warc-files.md.
"""

import base64
import hashlib
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

from gbfs.errors import GbfsError

SUFFIX = ".warc.gz"
MAX_RECORD_BYTES = 64 * 2**20
_CHUNK = 64 * 1024
_GZIP = 31  # wbits: a 32 KiB window, with gzip's header and checksum
_VERSION = "WARC/1.1"
_NAMESPACE = uuid.UUID("5d2c1f0e-6c0b-5f5e-9a53-0d6d1c5f7d11")
_NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
_UNCHANGED_SINCE = "GBFS-Unchanged-Since"
# Not stored: they describe the transfer, or the encoding of a body that is stored decoded.
_TRANSFER_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}
)
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]+")
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([1-5][0-9]{2})(?: .*)?")


@dataclass(frozen=True)
class FetchResult:
    """The result of one request of a tick: a response, or an error.

    `body` is decoded from transfer and content encodings. A 304 response has none; it refers to the body in the pack
    of the tick `unchanged_since`, on the same UTC day. Exactly one of `status` and `error` is None.
    """

    system_id: str
    file: str  # such as station_status
    url: str
    fetched_at: datetime  # UTC, to the microsecond
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str | None = None
    unchanged_since: datetime | None = None  # a tick (UTC), if the request was conditional


def pack_name(tick: datetime, shard: int) -> str:
    """Return the object name of a shard's pack: `gbfs/date=2026-05-01/hour=10/20260501T1007Z_0003.warc.gz`."""
    moment = tick.astimezone(UTC)
    return f"gbfs/date={moment:%Y-%m-%d}/hour={moment:%H}/{moment:%Y%m%dT%H%MZ}_{shard:04d}{SUFFIX}"


def minute_prefix(tick: datetime) -> str:
    """Return the common prefix of the names of all shards' packs of a minute."""
    return pack_name(tick, 0).removesuffix(f"0000{SUFFIX}")


def write_pack(tick: datetime, shard: int, fetched: Iterable[FetchResult]) -> bytes:
    """Return a pack of these results, deterministically."""
    name = pack_name(tick, shard)
    about = f"software: vlille\r\nformat: WARC File Format 1.1\r\ntick: {_format_time(tick)}\r\nshard: {shard}\r\n"
    info = {
        "WARC-Type": "warcinfo",
        "WARC-Date": _format_time(tick),
        "WARC-Filename": name,
        "Content-Type": "application/warc-fields",
    }
    records = [_compress_record(_make_record_id(name, ""), info, about.encode())]
    for number, each in enumerate(fetched):
        records.append(
            _compress_record(
                _make_record_id(name, f"{number} {each.system_id} {each.file}"), *_format_record(each)
            )
        )
    return b"".join(records)


def read_pack(data: bytes) -> Iterator[FetchResult]:
    """Yield the results of a pack, in order. Raises GbfsError (damaged) if a byte is wrong or missing."""
    number = 0
    for number, content in enumerate(_read_members(data), start=1):
        try:
            found = _read_record(content)
        except (ValueError, KeyError) as error:
            raise _damaged_error(number, str(error)) from error
        if found is not None:
            yield found
    if not number:
        raise _damaged_error(1, "the file is empty")


def _read_members(data: bytes) -> Iterator[bytes]:
    """Yield the content of each gzip member, in chunks so that the rest is not copied each time."""
    rest = memoryview(data)
    number = 0
    while rest:
        number += 1
        unpacker = zlib.decompressobj(_GZIP)
        content = bytearray()
        while rest and not unpacker.eof:
            chunk = rest[:_CHUNK]
            try:
                content += unpacker.decompress(chunk, MAX_RECORD_BYTES + 1 - len(content))
            except zlib.error as error:
                raise _damaged_error(number, str(error)) from error
            if len(content) > MAX_RECORD_BYTES:
                raise _damaged_error(number, f"more than {MAX_RECORD_BYTES} bytes")
            rest = rest[len(chunk) - len(unpacker.unused_data) :]
        if not unpacker.eof:
            raise _damaged_error(number, "truncated")
        yield bytes(content)


def _damaged_error(number: int, what: str) -> GbfsError:
    return GbfsError(
        "damaged", f"record {number} of the pack: {what}; expected a WARC 1.1 record in a gzip member"
    )


# --- writing ----------------------------------------------------------------------------------------


def _format_record(each: FetchResult) -> tuple[dict[str, str], bytes]:
    """Return the header fields and the block of a result's WARC record."""
    fields = {
        "WARC-Date": _format_time(each.fetched_at),
        "WARC-Target-URI": _strip_controls(each.url),
    }
    fields |= {
        "GBFS-System": _strip_controls(each.system_id),
        "GBFS-File": _strip_controls(each.file),
    }
    if each.status is None:
        block = f"fetch-error: {_strip_controls(each.error or '')}\r\n".encode()
        return fields | {"WARC-Type": "metadata", "Content-Type": "application/warc-fields"}, block
    fields |= {"Content-Type": "application/http; msgtype=response"}
    if each.status == HTTPStatus.NOT_MODIFIED:
        fields |= {"WARC-Type": "revisit", "WARC-Profile": _NOT_MODIFIED}
        if each.unchanged_since is not None:
            fields |= {_UNCHANGED_SINCE: _format_time(each.unchanged_since)}
    else:
        fields |= {"WARC-Type": "response", "WARC-Payload-Digest": _compute_digest(each.body)}
    return fields, _format_http_block(each.status, each.headers, each.body)


def _format_http_block(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus else ""
    lines = [f"HTTP/1.1 {status} {phrase}".rstrip()]
    kept = [(name, value) for name, value in headers if name.lower() not in _TRANSFER_HEADERS]
    lines += [f"{_strip_controls(name)}: {_strip_controls(value)}" for name, value in kept]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _compress_record(record_id: str, fields: dict[str, str], block: bytes) -> bytes:
    first = {"WARC-Record-ID": f"<urn:uuid:{record_id}>"}
    last = {"WARC-Block-Digest": _compute_digest(block), "Content-Length": str(len(block))}
    lines = [_VERSION, *(f"{name}: {value}" for name, value in (first | fields | last).items())]
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    head = "\r\n".join([*lines, "", ""]).encode()
    return packer.compress(head + block + b"\r\n\r\n") + packer.flush()


def _make_record_id(name: str, what: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{name} {what}"))


def _compute_digest(content: bytes) -> str:
    """Return the digest as WARC readers verify it: SHA-1 in base 32."""
    return "sha1:" + base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _strip_controls(text: str) -> str:
    """Replace control characters, which could end a header line."""
    return _CONTROL_CHARACTERS.sub(" ", text).strip()


# --- reading ----------------------------------------------------------------------------------------


def _read_record(content: bytes) -> FetchResult | None:
    """Return the result of a record, or None for the warcinfo record. Raises ValueError and KeyError."""
    head, separator, rest = content.partition(b"\r\n\r\n")
    version, *lines = head.decode().split("\r\n")
    if not separator or version != _VERSION:
        raise ValueError(f"begins with {version[:40]!r}")
    fields = _parse_fields(lines)
    block = rest[: int(fields["Content-Length"])]
    if rest[len(block) :] != b"\r\n\r\n" or _compute_digest(block) != fields["WARC-Block-Digest"]:
        raise ValueError("the block does not match its digest")
    if fields["WARC-Type"] == "warcinfo":
        return None
    request = FetchResult(
        fields["GBFS-System"],
        fields["GBFS-File"],
        fields["WARC-Target-URI"],
        datetime.fromisoformat(fields["WARC-Date"]),
    )
    if fields["WARC-Type"] == "metadata":
        return replace(
            request, error=_parse_fields(block.decode().removesuffix("\r\n").split("\r\n"))["fetch-error"]
        )
    http_head, _, body = block.partition(b"\r\n\r\n")
    status_line, *header_lines = http_head.decode().split("\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise ValueError(f"status line {status_line[:40]!r}")
    headers = [line.partition(": ") for line in header_lines]
    kept = tuple((name, value) for name, _, value in headers if name.lower() not in _TRANSFER_HEADERS)
    since = fields.get(_UNCHANGED_SINCE)
    unchanged_since = None if since is None else datetime.fromisoformat(since)
    return replace(request, status=int(match[1]), headers=kept, body=body, unchanged_since=unchanged_since)


def _parse_fields(lines: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}
