"""Compress and decompress raw responses: gzip, with equal bytes for equal responses."""

import zlib

_GZIP = 31  # wbits: a window of 32 KiB, with gzip's header and checksum
GZIP_MAGIC = b"\x1f\x8b"
MIB = 1024 * 1024
MAX_MEMBERS = (
    100  # of one gzip file: empty ones cost time and add no bytes, so a size limit does not stop them
)
MAX_LAYERS = 3  # gzip inside of gzip: a server and a proxy that both compress
_CHUNK = 64 * 1024  # at the end of each member zlib copies the rest of its input; this bounds it


class DecompressionError(ValueError):
    """Stored bytes that cannot be decompressed: damaged, truncated, or too large."""


class TooLargeError(DecompressionError):
    """Stored bytes whose decompressed size is over the limit."""


def compress(body: bytes) -> bytes:
    """Return gzip without a time or name in its header, so that equal responses give equal objects."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()


def decompress(data: bytes, limit: int = 64 * MIB) -> bytes:
    """Return the response in `data`, gzip or plain. Raises DecompressionError if damaged or too large."""
    if not data.startswith(GZIP_MAGIC):
        _check_size(limit, len(data))
        return data
    body, rest = bytearray(), memoryview(data)
    for _ in range(MAX_MEMBERS):  # a gzip file may have several members
        decompressor = zlib.decompressobj(_GZIP)
        while rest and not decompressor.eof:
            chunk = rest[:_CHUNK]
            try:
                body += decompressor.decompress(chunk, limit + 1 - len(body))
            except zlib.error as damage:
                raise DecompressionError(
                    f"damaged gzip: {damage}; expected a complete gzip file or plain bytes"
                ) from damage
            _check_size(limit, len(body))
            rest = rest[len(chunk) - len(decompressor.unused_data) :]
        if not decompressor.eof:
            raise DecompressionError(f"gzip truncated after {len(data)} bytes; expected its end and checksum")
        if not rest:
            return bytes(body)
    raise DecompressionError(f"more than {MAX_MEMBERS} gzip members; expected at most {MAX_MEMBERS}")


def decompress_body(body: bytes, limit: int = 64 * MIB) -> bytes:
    """Return a response body without gzip that no header declared, or that was applied more than once.

    Raises DecompressionError as `decompress`. After MAX_LAYERS layers, what is still gzip is returned as it is.
    """
    for _ in range(MAX_LAYERS):
        if not body.startswith(GZIP_MAGIC):
            break
        body = decompress(body, limit)
    return body


def _check_size(limit: int, size: int) -> None:
    if size > limit:
        raise TooLargeError(f"more than {limit} bytes decompressed; expected at most {limit}")
