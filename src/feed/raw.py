"""Raw answers as they are stored: gzip, the same bytes for the same answer."""

import zlib

_GZIP = 31  # wbits: a 32 KiB window, with gzip's header and checksum
GZIP_MAGIC = b"\x1f\x8b"
MIB = 1024 * 1024
MAX_MEMBERS = 100  # of one gzip file; empty ones would cost time and give no byte that a limit could count
MAX_LAYERS = 3  # gzip inside of gzip: a server and a proxy that both pack
_CHUNK = 64 * 1024  # what zlib copies of the rest at the end of each member is less


class RawError(ValueError):
    """Stored bytes that cannot be unpacked: damaged, cut, or larger than allowed."""


class TooLargeError(RawError):
    """Stored bytes that are larger than allowed when they are unpacked."""


def pack(body: bytes) -> bytes:
    """Gzip without a time or a name in its header, so that equal answers give equal objects."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def unpack(data: bytes, limit: int = 64 * MIB) -> bytes:
    """The answer in `data`, gzip or plain; RawError where it is damaged or more than `limit` bytes."""
    if not data.startswith(GZIP_MAGIC):
        _refuse_above(limit, len(data))
        return data
    body, rest = bytearray(), memoryview(data)
    for _ in range(MAX_MEMBERS):  # gzip allows several one after the other
        unpacker = zlib.decompressobj(_GZIP)
        while rest and not unpacker.eof:
            chunk = rest[:_CHUNK]
            try:
                body += unpacker.decompress(chunk, limit + 1 - len(body))
            except zlib.error as damage:
                raise RawError(
                    f"damaged gzip: {damage}; expected a whole gzip file or plain bytes"
                ) from damage
            _refuse_above(limit, len(body))
            rest = rest[len(chunk) - len(unpacker.unused_data) :]
        if not unpacker.eof:
            raise RawError(f"gzip cut after {len(data)} bytes; expected its end and checksum")
        if not rest:
            return bytes(body)
    raise RawError(f"more than {MAX_MEMBERS} gzip members; expected at most {MAX_MEMBERS}")


def unpack_body(body: bytes, limit: int = 64 * MIB) -> bytes:
    """The body of a response without gzip that no header announced, or that was applied more than once.

    RawError as `unpack`, for each of the first MAX_LAYERS; what is still gzip below them stays so.
    """
    for _ in range(MAX_LAYERS):
        if not body.startswith(GZIP_MAGIC):
            break
        body = unpack(body, limit)
    return body


def _refuse_above(limit: int, size: int) -> None:
    if size > limit:
        raise TooLargeError(f"more than {limit} bytes unpacked; expected at most {limit}")
