"""Decode the text of a response: as UTF-8 if it is valid, else as declared, else by a guess."""

import codecs
import json
import re

# Text encodings that an HTTP header may name; not Python-specific codecs such as `idna` or `unicode_escape`.
_KNOWN = re.compile(r"cp\d+|iso8859-\d+|koi8-[rtu]|mac-\w+|shift_jis\w*|euc_\w+|gb\w+|big5\w*|tis-620")
# Browsers decode these as windows-1252: https://encoding.spec.whatwg.org/#names-and-labels
_WINDOWS_1252 = frozenset({"ascii", "iso8859-1", "cp1252"})
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)


def parse_charset(content_type: str) -> str:
    """Return the charset of a Content-Type, "" if it has none."""
    found = _CHARSET.search(content_type)
    return found[1] if found else ""


def find_encoding(name: str) -> str | None:
    """Return Python's name of a text encoding, None for an unknown one."""
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    if codec in _WINDOWS_1252:
        return "cp1252"
    return codec if _KNOWN.fullmatch(codec) or codec in {"utf-8", "utf-16", "utf-32"} else None


def convert_to_utf8(body: bytes) -> bytes:
    """Return JSON in UTF-8 without a byte order mark, if it was UTF-16 or UTF-32 (RFC 4627); else unchanged."""
    encoding = json.detect_encoding(body)
    if encoding == "utf-8":
        return body
    if encoding == "utf-8-sig":
        return body[3:]
    try:
        return body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return body


def decode_text(body: bytes, declared: str) -> tuple[str, bool]:
    """Return the text of bytes that are not valid UTF-8, and whether its encoding is certain.

    In UTF-8 with some damaged bytes only these are replaced; anything else is decoded as browsers do.
    """
    encoding = find_encoding(declared) if declared else None
    if encoding is not None and encoding != "utf-8":
        try:
            return _decode_strictly(body, encoding), True
        except UnicodeDecodeError:
            pass
    text = body.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if sum(not character.isascii() for character in text) > 2 * damaged:
        return text, False
    return _decode_strictly(body, "cp1252"), False


def _decode_strictly(body: bytes, encoding: str) -> str:
    if encoding != "cp1252":
        return body.decode(encoding)
    try:
        return body.decode("cp1252")
    except (
        UnicodeDecodeError
    ):  # five bytes have no character in windows-1252; browsers read them as control characters
        return body.decode("latin-1")
