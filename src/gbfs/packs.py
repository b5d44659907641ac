"""Packs: all responses of a shard and minute in one WARC file (ISO 28500, version 1.1), each record a gzip member.

Any reader of WARC opens a pack, and so does `zcat`. docs/decisions/0003-packs-are-warc-files.md says why.
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
# Of the transfer, which is over, or of a body that is stored decoded.
_OF_TRANSFER = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}
)
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f]+")
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([1-5][0-9]{2})(?: .*)?")


@dataclass(frozen=True)
class Fetched:
    """What one request of a tick gave: a response, or the error that left it without one.

    `body` is as the server sent it, after transfer and content encodings; a response 304 has none, and means the body
    in the pack of the tick `unchanged_since`, of the same UTC day. Exactly one of `status` and `error` is None.
    """

    system_id: str
    file: str  # such as station_status
    url: str
    fetched_at: datetime  # UTC, to the microsecond
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str | None = None
    unchanged_since: datetime | None = None  # a tick (UTC), where the request had a condition


def pack_name(tick: datetime, shard: int) -> str:
    """Return the name of a shard's pack: `gbfs/date=2026-05-01/hour=10/20260501T1007Z_0003.warc.gz`."""
    moment = tick.astimezone(UTC)
    return f"gbfs/date={moment:%Y-%m-%d}/hour={moment:%H}/{moment:%Y%m%dT%H%MZ}_{shard:04d}{SUFFIX}"


def minute_prefix(tick: datetime) -> str:
    """Return what the names of all shards' packs of a minute begin with."""
    return pack_name(tick, 0).removesuffix(f"0000{SUFFIX}")


def write_pack(tick: datetime, shard: int, fetched: Iterable[Fetched]) -> bytes:
    """Return a pack; the same results give the same bytes."""
    name = pack_name(tick, shard)
    about = f"software: vlille\r\nformat: WARC File Format 1.1\r\ntick: {_time(tick)}\r\nshard: {shard}\r\n"
    info = {
        "WARC-Type": "warcinfo",
        "WARC-Date": _time(tick),
        "WARC-Filename": name,
        "Content-Type": "application/warc-fields",
    }
    records = [_member(_record_id(name, ""), info, about.encode())]
    for number, each in enumerate(fetched):
        records.append(_member(_record_id(name, f"{number} {each.system_id} {each.file}"), *_record(each)))
    return b"".join(records)


def read_pack(data: bytes) -> Iterator[Fetched]:
    """Yield what `write_pack` was given, in order. Raises GbfsError: damaged, where a byte is wrong or missing."""
    number = 0
    for number, content in enumerate(_contents(data), start=1):
        try:
            found = _read_record(content)
        except (ValueError, KeyError) as error:
            raise _damaged(number, str(error)) from error
        if found is not None:
            yield found
    if not number:
        raise _damaged(1, "no bytes")


def _contents(data: bytes) -> Iterator[bytes]:
    """Yield the content of each gzip member, whose rest is copied a chunk at a time only."""
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
                raise _damaged(number, str(error)) from error
            if len(content) > MAX_RECORD_BYTES:
                raise _damaged(number, f"more than {MAX_RECORD_BYTES} bytes")
            rest = rest[len(chunk) - len(unpacker.unused_data) :]
        if not unpacker.eof:
            raise _damaged(number, "cut")
        yield bytes(content)


def _damaged(number: int, what: str) -> GbfsError:
    return GbfsError(
        "damaged", f"record {number} of the pack: {what}; expected a WARC 1.1 record in a gzip member"
    )


# --- writing ----------------------------------------------------------------------------------------


def _record(each: Fetched) -> tuple[dict[str, str], bytes]:
    """Return the named fields and the block of one result's record."""
    fields = {"WARC-Date": _time(each.fetched_at), "WARC-Target-URI": _clean(each.url)}
    fields |= {"GBFS-System": _clean(each.system_id), "GBFS-File": _clean(each.file)}
    if each.status is None:
        block = f"fetch-error: {_clean(each.error or '')}\r\n".encode()
        return fields | {"WARC-Type": "metadata", "Content-Type": "application/warc-fields"}, block
    fields |= {"Content-Type": "application/http; msgtype=response"}
    if each.status == HTTPStatus.NOT_MODIFIED:
        fields |= {"WARC-Type": "revisit", "WARC-Profile": _NOT_MODIFIED}
        if each.unchanged_since is not None:
            fields |= {_UNCHANGED_SINCE: _time(each.unchanged_since)}
    else:
        fields |= {"WARC-Type": "response", "WARC-Payload-Digest": _digest(each.body)}
    return fields, _http_block(each.status, each.headers, each.body)


def _http_block(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus else ""
    lines = [f"HTTP/1.1 {status} {phrase}".rstrip()]
    kept = [(name, value) for name, value in headers if name.lower() not in _OF_TRANSFER]
    lines += [f"{_clean(name)}: {_clean(value)}" for name, value in kept]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _member(record_id: str, fields: dict[str, str], block: bytes) -> bytes:
    first = {"WARC-Record-ID": f"<urn:uuid:{record_id}>"}
    last = {"WARC-Block-Digest": _digest(block), "Content-Length": str(len(block))}
    lines = [_VERSION, *(f"{name}: {value}" for name, value in (first | fields | last).items())]
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    head = "\r\n".join([*lines, "", ""]).encode()
    return packer.compress(head + block + b"\r\n\r\n") + packer.flush()


def _record_id(name: str, what: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{name} {what}"))


def _digest(content: bytes) -> str:
    """Return the digest as readers of WARC check it: SHA-1 in base 32."""
    return "sha1:" + base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _clean(text: str) -> str:
    """Return the text without what would end a field's line."""
    return _NO_TEXT.sub(" ", text).strip()


# --- reading ----------------------------------------------------------------------------------------


def _read_record(content: bytes) -> Fetched | None:
    """Return the result of a record, None for the file's own. Raises ValueError and KeyError."""
    head, separator, rest = content.partition(b"\r\n\r\n")
    version, *lines = head.decode().split("\r\n")
    if not separator or version != _VERSION:
        raise ValueError(f"begins with {version[:40]!r}")
    fields = _fields(lines)
    block = rest[: int(fields["Content-Length"])]
    if rest[len(block) :] != b"\r\n\r\n" or _digest(block) != fields["WARC-Block-Digest"]:
        raise ValueError("the block is not the one of its digest")
    if fields["WARC-Type"] == "warcinfo":
        return None
    request = Fetched(
        fields["GBFS-System"],
        fields["GBFS-File"],
        fields["WARC-Target-URI"],
        datetime.fromisoformat(fields["WARC-Date"]),
    )
    if fields["WARC-Type"] == "metadata":
        return replace(
            request, error=_fields(block.decode().removesuffix("\r\n").split("\r\n"))["fetch-error"]
        )
    http_head, _, body = block.partition(b"\r\n\r\n")
    status_line, *header_lines = http_head.decode().split("\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise ValueError(f"status line {status_line[:40]!r}")
    headers = [line.partition(": ") for line in header_lines]
    kept = tuple((name, value) for name, _, value in headers if name.lower() not in _OF_TRANSFER)
    since = fields.get(_UNCHANGED_SINCE)
    unchanged_since = None if since is None else datetime.fromisoformat(since)
    return replace(request, status=int(match[1]), headers=kept, body=body, unchanged_since=unchanged_since)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}
