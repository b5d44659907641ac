"""The characters of a response: UTF-8 wherever its bytes are that, else what was declared, else a guess."""

import codecs
import json
import re

# Encodings of text that an HTTP header may name; not Python's own ones such as `idna` or `unicode_escape`.
_KNOWN = re.compile(r"cp\d+|iso8859-\d+|koi8-[rtu]|mac-\w+|shift_jis\w*|euc_\w+|gb\w+|big5\w*|tis-620")
# What browsers read under these names: https://encoding.spec.whatwg.org/#names-and-labels
_WINDOWS_1252 = frozenset({"ascii", "iso8859-1", "cp1252"})
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)


def charset_of(content_type: str) -> str:
    """The charset that a Content-Type names, "" where it names none."""
    found = _CHARSET.search(content_type)
    return found[1] if found else ""


def known_encoding(name: str) -> str | None:
    """Python's name of an encoding of text, None for a name that is none."""
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    if codec in _WINDOWS_1252:
        return "cp1252"
    return codec if _KNOWN.fullmatch(codec) or codec in {"utf-8", "utf-16", "utf-32"} else None


def as_utf8(body: bytes) -> bytes:
    """The same JSON in UTF-8 and without a byte order mark, where it is UTF-16 or UTF-32 (RFC 4627); else as it is."""
    encoding = json.detect_encoding(body)
    if encoding == "utf-8":
        return body
    if encoding == "utf-8-sig":
        return body[3:]
    try:
        return body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return body


def text_of(body: bytes, declared: str) -> tuple[str, bool]:
    """The text of bytes that are no UTF-8, and whether it is known to be right.

    UTF-8 with some damaged bytes keeps what is whole of it; anything else is read as browsers do.
    """
    encoding = known_encoding(declared) if declared else None
    if encoding is not None and encoding != "utf-8":
        try:
            return _strictly(body, encoding), True
        except UnicodeDecodeError:
            pass
    text = body.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if sum(not character.isascii() for character in text) > 2 * damaged:
        return text, False
    return _strictly(body, "cp1252"), False


def _strictly(body: bytes, encoding: str) -> str:
    if encoding != "cp1252":
        return body.decode(encoding)
    try:
        return body.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no character in it, but are controls to browsers
        return body.decode("latin-1")
