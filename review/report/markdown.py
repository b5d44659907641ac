"""Render a review as GitHub Markdown, for a comment of at most 60,000 characters."""

import html
import re
from collections import Counter
from collections.abc import Iterable

from review.findings.finding import Detail, Severity
from review.findings.text import plural, render_sentence
from review.report.document import Document, Row

MOST = 60_000
MOST_TABLE = 36_000
SIGNS = {
    Severity.LOSS: "🛑 ",
    Severity.POSSIBLE_LOSS: "🛑 ",
    Severity.WIDENED: "🔓 ",
    Severity.INTERRUPTED: "⏸️ ",
    Severity.CARE: "⚠️ ",
}


def render_markdown(document: Document) -> str:
    """Return the comment; the last rows and sections are left out if it is too long, and counted."""
    head = (
        [f"### {_render_text(document.headline)}"]
        if document.rows or document.refused or document.folds
        else []
    )
    if not head:
        return f"{_render_text(document.headline)}\n"
    if document.refused:
        head.append(f"> **Do not apply this plan:** {_render_text(document.refused)}.")
    if document.answers:
        lines = ["| | |", "|---|---|"]
        lines += [f"| **{question}** | {_render_cell(answer)} |" for question, answer in document.answers]
        head.append("\n".join(lines))
    if document.rows:
        head.append(_render_table(document.rows))
    foot = [f"<sub>{_render_html(note)}</sub>" for note in document.notes]
    used = len("\n\n".join([*head, *foot])) + 200
    folds, left_out = [], 0
    for fold in document.folds:
        text = _render_fold(fold)
        if used + len(text) + 2 > MOST:
            left_out += 1
            continue
        used += len(text) + 2
        folds.append(text)
    if left_out:
        folds.append(
            f"**Truncated:** {plural(left_out, 'section')} left out because of the comment's size limit; "
            "`--format json` has every finding and section."
        )
    return "\n\n".join([*head, *folds, *foot]) + "\n"


def _render_table(rows: Iterable[Row]) -> str:
    lines = ["| severity | where | what happens | can it be reverted? |", "|---|---|---|---|"]
    size = 0
    left_out: Counter[Severity] = Counter()
    for row in rows:
        bold = f"**{row.severity.label}**" if row.severity >= Severity.CARE else row.severity.label
        cells = (f"{SIGNS.get(row.severity, '')}{bold}", row.where, row.sentence, row.recovery)
        line = f"| {' | '.join(_render_cell(each) for each in cells)} |"
        size += len(line) + 1
        if size > MOST_TABLE:
            left_out[row.severity] += 1
            continue
        lines.append(line)
    if left_out:
        counted = ", ".join(
            f"{left_out[severity]} {severity.label}" for severity in sorted(left_out, reverse=True)
        )
        lines.append(f"| | | **truncated:** {plural(left_out.total(), 'more row')} left out: {counted} | |")
    return "\n".join(lines)


def _render_fold(fold: Detail) -> str:
    if fold.language:
        fence = "`" * max(
            3, 1 + max((len(run) for line in fold.lines for run in re.findall("`+", line)), default=0)
        )
        body = "\n".join([f"{fence}{fold.language}", *fold.lines, fence])
    else:
        body = "\n".join(f"- {_render_text(line)}" for line in fold.lines)
    return f"<details><summary>{_render_html(fold.title)}</summary>\n\n{body}\n\n</details>"


def _render_text(sentence: str) -> str:
    return render_sentence(sentence, code_span)


def _render_cell(sentence: str) -> str:
    return render_sentence(sentence, _code_span_in_cell)


def _render_html(sentence: str) -> str:
    return render_sentence(sentence, lambda data: f"<code>{html.escape(data, quote=False)}</code>")


def code_span(data: str) -> str:
    """Return a value as a code span; Markdown inside the value cannot end it."""
    if not data.strip():
        return "(empty)" if not data else "(blank)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", data)), default=0))
    pad = " " if "`" in (data[0], data[-1]) or (data[0] == data[-1] == " ") else ""
    return f"{fence}{pad}{data}{pad}{fence}"


def _code_span_in_cell(data: str) -> str:
    """Return a code span for a table cell: with a pipe, which would end the cell, it is written as HTML."""
    if "|" not in data:
        return code_span(data)
    return f"<code>{''.join(each if each.isalnum() or each == ' ' else f'&#{ord(each)};' for each in data)}</code>"
