"""Texts of a review: words of the review, with values of the plan marked as spans.

A sentence is a string. `span` puts each value of the plan between the signs OPEN and CLOSE; a
renderer turns a span into code of its format, so that a name full of Markdown, HTML or control characters stays
a name. More signs stand for values: UNKNOWN until apply, HIDDEN…END around the number of a secret, and NAME…NAME around
a resource's name that equals a secret; masking leaves such a name and removes the signs.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

OPEN, CLOSE, UNKNOWN, HIDDEN, END, NAME = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004", "\ue005"
SIGNS = re.compile("[\ue000-\ue005]")
MORE = "…"
SENSITIVE = "(sensitive)"
LATER = "(known after apply)"
LONGEST = 160  # characters of a value in a sentence
LONGEST_SENTENCE = 900
_SPAN = re.compile(f"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
_SECRET = re.compile(f"{HIDDEN}[^{END}]*{END}")
_PLAIN = re.compile(r"[ -~]*\Z")
_ESCAPED = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
)  # control, format (bidi), surrogates, separators


def escape_invisible(text: str) -> str:
    """Return `text` with secrets and unknown values in words, and invisible characters escaped."""
    if _PLAIN.match(text):
        return text
    text = _SECRET.sub(SENSITIVE, text).replace(UNKNOWN, LATER)
    return "".join(_escape(c) if unicodedata.category(c) in _ESCAPED and c != NAME else c for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def truncate(text: str, longest: int = LONGEST) -> str:
    """Return at most `longest` characters; the last one is an ellipsis if there were more."""
    return text if len(text) <= longest else f"{text[: longest - 1]}{MORE}"


def span(value: Any, longest: int = LONGEST) -> str:
    """Return a value of the plan as a span: a text unchanged, anything else as JSON."""
    text = value if isinstance(value, str) else format_value(value)
    return f"{OPEN}{truncate(escape_invisible(text), longest)}{CLOSE}"


def format_value(value: Any) -> str:
    """Return a value of the plan as text: texts unchanged, null as `unset`, anything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "unset"
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (ValueError, TypeError, RecursionError):
        return "(cannot be shown)"


def spans(values: list[str], most: int = 8) -> str:
    """Return a list in words, `a, b and c`, with the number of those left out."""
    shown = [span(value) for value in values[:most]]
    if len(values) > most:
        return f"{', '.join(shown)} and {len(values) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def plural(count: int, noun: str, many: str = "") -> str:
    """Return `1 table`, `2 tables`, `2 branches`, `2 policies`."""
    if not many and noun.endswith(("s", "x", "z", "ch", "sh")):
        many = f"{noun}es"
    many = many or (f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s")
    return f"{count:,} {noun if count == 1 else many}"


def render_sentence(sentence: str, code: Callable[[str], str]) -> str:
    """Return the sentence with each span as `code` writes it."""
    return _SPAN.sub(lambda found: code(found[1]), sentence)


def strip_markup(sentence: str) -> str:
    """Return the sentence as plain text."""
    return render_sentence(sentence, str)


def truncate_sentence(sentence: str, longest: int = LONGEST_SENTENCE) -> str:
    """Return a sentence of bounded length; it is not cut within a span."""
    if len(sentence) <= longest:
        return sentence
    cut = sentence[:longest]
    if cut.count(OPEN) > cut.count(CLOSE):
        cut = cut[: cut.rindex(OPEN)]
    return f"{cut.rstrip()} …"
