"""Remove secrets that a response repeats, before it is stored.

Rows, quarantine, archive and every copy of them are made from the stored response, by the collector and by the batch,
which knows no secrets. So this is the one place at which a secret can be taken out of all of them.
"""

import re
from collections.abc import Iterable, Iterator

from feed.parsing.compression import DecompressionError, decompress_body
from feed.parsing.encoding import convert_to_utf8
from feed.request.redaction import redact_secrets

# A shorter secret, or a short number, could be a value of the data as well: the ID of a station, the name of a city.
MIN_LENGTH = 6
MIN_DIGITS = 12
# The most characters that a character of a secret takes where its escape is escaped in turn.
_WIDTH = 24
_PLAIN = re.compile(r"[A-Za-z0-9]+")


def redact_body(body: bytes, secrets: Iterable[str]) -> bytes:
    """Return the body with each distinctive secret replaced, in whichever way it is escaped; unchanged without one.

    A body that repeats a secret is returned decompressed, and in UTF-8 if it was in UTF-16 or UTF-32.
    """
    known = [secret for secret in secrets if is_distinctive(secret)]
    if not known:
        return body
    try:
        readable = convert_to_utf8(decompress_body(body))
    except DecompressionError:
        return body
    text = readable.decode("latin-1")  # a character for each byte: secrets are ASCII
    pieces, end = list[str](), 0
    for start, stop in _find_windows(text, known):
        pieces += [text[end:start], redact_secrets(text[start:stop], known)]
        end = stop
    clean = "".join(pieces) + text[end:]
    return body if clean == text else clean.encode("latin-1")


def is_distinctive(secret: str) -> bool:
    """Return whether a secret is too long to be a value of the data by chance."""
    return len(secret) >= (MIN_DIGITS if secret.isdigit() else MIN_LENGTH)


def _find_windows(text: str, secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the parts of the text that may have a secret: around its longest run of letters and digits, if it has any.

    No API escapes letters and digits; to resolve the escapes of megabytes would take seconds.
    """
    spans: list[tuple[int, int]] = []
    for secret in secrets:
        plain = max(_PLAIN.findall(secret), key=len, default="")
        reach = _WIDTH * len(secret)
        spans += (
            [
                (max(0, found.start() - reach), min(len(text), found.end() + reach))
                for found in re.finditer(re.escape(plain), text)
            ]
            if plain
            else [(0, len(text))]
        )
    last: tuple[int, int] | None = None
    for start, stop in sorted(spans):
        if last is not None and start <= last[1]:
            last = last[0], max(last[1], stop)
            continue
        if last is not None:
            yield last
        last = start, stop
    if last is not None:
        yield last
