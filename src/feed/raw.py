"""Raw answers as they are stored: gzip, the same bytes for the same answer."""

import zlib

_GZIP = 31  # wbits: a 32 KiB window, with gzip's header and checksum
MIB = 1024 * 1024


class RawError(ValueError):
    """Stored bytes that cannot be unpacked: damaged, cut, or larger than allowed."""


def pack(body: bytes) -> bytes:
    """Gzip without a time or a name in its header, so that equal answers give equal objects."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def unpack(data: bytes, limit: int = 64 * MIB) -> bytes:
    """The answer in `data`, gzip or plain; RawError where it is damaged or more than `limit` bytes."""
    if not data.startswith(b"\x1f\x8b"):
        return _within(data, limit)
    body = b""
    while data:  # gzip allows several members one after the other
        unpacker = zlib.decompressobj(_GZIP)
        try:
            body += unpacker.decompress(data, limit + 1 - len(body))
        except zlib.error as damage:
            raise RawError(f"damaged gzip: {damage}; expected a whole gzip file or plain bytes") from damage
        _within(body, limit)
        if not unpacker.eof:
            raise RawError(f"gzip cut after {len(data)} bytes; expected its end and checksum")
        data = unpacker.unused_data
    return body


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise RawError(f"more than {limit} bytes unpacked; expected at most {limit}")
    return body
