"""Render a whole review as plain text, for a terminal."""

import textwrap
from collections.abc import Iterator

from review.findings.finding import YES, Severity
from review.findings.text import render_sentence
from review.report.document import Document

WIDTH = 100


def render_terminal(document: Document) -> str:
    """Return the review as text of at most 100 columns; lines of code and long names can be longer."""
    return "\n".join(_list_lines(document)) + "\n"


def _list_lines(document: Document) -> Iterator[str]:
    yield from _wrap(_render_text(document.headline))
    if document.refused:
        yield from _wrap(f"NOT TO BE APPLIED AS IT IS: {_render_text(document.refused)}.")
    if document.answers:
        yield ""
        width = max(len(question) for question, _ in document.answers) + 2
        for question, answer in document.answers:
            yield from _wrap(f"{question:<{width}}{_render_text(answer).replace('**', '')}", " " * width)
    if document.rows:
        yield ""
        for row in document.rows:
            mark = row.severity.label.upper() if row.severity >= Severity.CARE else row.severity.label
            recovery = "" if row.recovery == YES else f" [can it be reverted: {_render_text(row.recovery)}]"
            yield from _wrap(
                f"{mark}: {_render_text(row.where)}: {_render_text(row.sentence)}{recovery}", "    "
            )
    for fold in document.folds:
        yield ""
        yield f"--- {_render_text(fold.title)}"
        for line in fold.lines:
            if fold.language:
                yield f"    {line}"
            else:
                yield from _wrap(f"  · {_render_text(line)}", "    ")
    if document.notes:
        yield ""
        for note in document.notes:
            yield from _wrap(_render_text(note))


def _render_text(sentence: str) -> str:
    return render_sentence(sentence, lambda data: data or "(empty)")


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]
