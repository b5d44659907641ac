"""A review as plain text, for a terminal: no markup, no colours, all of it."""

import textwrap
from collections.abc import Iterator

from review.findings.finding import YES, Severity
from review.findings.text import rendered
from review.report.document import Document

WIDTH = 100


def terminal(document: Document) -> str:
    """Return the review as text of at most 100 columns, but for lines of code and names that are longer."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield from _wrapped(_told(document.headline))
    if document.refused:
        yield from _wrapped(f"NOT TO BE APPLIED AS IT IS: {_told(document.refused)}.")
    if document.answers:
        yield ""
        width = max(len(question) for question, _ in document.answers) + 2
        for question, answer in document.answers:
            yield from _wrapped(f"{question:<{width}}{_told(answer).replace('**', '')}", " " * width)
    if document.rows:
        yield ""
        for row in document.rows:
            mark = row.severity.words.upper() if row.severity >= Severity.CARE else row.severity.words
            undo = "" if row.undo == YES else f" [can it be undone: {_told(row.undo)}]"
            yield from _wrapped(f"{mark}: {_told(row.where)}: {_told(row.sentence)}{undo}", "    ")
    for fold in document.folds:
        yield ""
        yield f"--- {_told(fold.title)}"
        for line in fold.lines:
            if fold.language:
                yield f"    {line}"
            else:
                yield from _wrapped(f"  · {_told(line)}", "    ")
    if document.notes:
        yield ""
        for note in document.notes:
            yield from _wrapped(_told(note))


def _told(sentence: str) -> str:
    return rendered(sentence, lambda data: data or "(empty)")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]
