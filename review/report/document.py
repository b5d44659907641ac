"""Lay out a review for every format: a headline, answers, a table by severity, and collapsed sections."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from review.assessment.grouping import group_findings
from review.assessment.review import Review, format_counts
from review.findings.finding import YES, Detail, Finding, Kind, Severity
from review.findings.text import CLOSE, OPEN, plural, render_sentence, span, truncate_sentence
from review.report.answers import answer_questions

MOST_NEW = 12  # names of created resources in one row
LONGEST_FOLD = 7000


@dataclass(frozen=True)
class Row:
    """One row of the table by severity."""

    severity: Severity
    where: str
    sentence: str
    recovery: str


@dataclass(frozen=True)
class Document:
    """A review as texts with spans. `folds` are collapsed sections; the last ones are left out first."""

    headline: str
    refused: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    rows: tuple[Row, ...] = ()
    folds: tuple[Detail, ...] = ()
    notes: tuple[str, ...] = ()


def lay_out_review(review: Review, name: str = "") -> Document:
    """Return the document of a review; `name` is what was reviewed, such as an environment."""
    prefix = f"{span(name, 60)}: " if name else ""
    if review.empty:
        return Document(f"{prefix}no changes." if prefix else "No changes.")
    return Document(
        headline=f"{prefix}{format_headline(review)}",
        refused=review.refused,
        answers=tuple((each.question, each.text) for each in answer_questions(review)),
        rows=tuple(_list_rows(review.findings)),
        folds=tuple(_list_folds(review)),
        notes=review.notes,
    )


def format_headline(review: Review) -> str:
    """Return the severity of a review in one line."""
    parts = []
    for severity in sorted(Severity, reverse=True):
        count = sum(1 for each in review.findings if each.severity is severity)
        if count and severity >= Severity.CODE:
            parts.append(f"{severity.label} ({count})" if count > 1 else severity.label)
    sentence = ", ".join(parts) or "minor changes only"
    if review.refused:
        sentence = f"do not apply; {sentence}"
    costs = f"; {review.cost.headline}" if review.cost else ""
    return f"{sentence}: {format_counts(review.counts)}{costs}"


def _list_rows(findings: tuple[Finding, ...]) -> Iterator[Row]:
    """Yield a row for each finding or group, and one for all created resources of a kind."""
    new: dict[str, list[str]] = {}
    rest = []
    for each in findings:
        if each.new:
            noun, _, name = each.where.partition(OPEN)
            new.setdefault(noun.strip(), []).append(f"{OPEN}{name}")
        else:
            rest.append(each)
    for row in group_findings(rest):
        yield Row(row.first.severity, row.where, truncate_sentence(row.sentence), row.first.recovery)
    for noun, names in sorted(new.items()):
        shown = ", ".join(names[:MOST_NEW]) + (
            f" and {len(names) - MOST_NEW} more" if len(names) > MOST_NEW else ""
        )
        yield Row(
            Severity.NOTE,
            f"{plural(len(names), noun)}" if len(names) > 1 else noun,
            f"created: {shown}",
            YES,
        )


def _list_folds(review: Review) -> Iterator[Detail]:
    for row in group_findings([each for each in review.findings if not each.new]):
        if row.detail:
            yield _truncate_fold(row.detail)
    for finding in review.findings:
        for detail in finding.details:
            yield _make_fold(detail, "" if finding.kind is Kind.CODE else finding.where)
    if review.cost:
        for detail in review.cost.details:
            yield _make_fold(detail)
    for section in review.sections:
        if section.lines:
            yield _truncate_fold(Detail(section.title, section.lines))
        for detail in section.details:
            yield _make_fold(detail, section.title.removeprefix("Arguments of "))


def _make_fold(detail: Detail, where: str = "") -> Detail:
    return _truncate_fold(
        Detail(f"{where}: {detail.title}" if where else detail.title, detail.lines, detail.language)
    )


def _truncate_fold(fold: Detail) -> Detail:
    """Return a section of bounded size, which says how much was left out."""
    size = 0
    kept: list[str] = []
    for line in fold.lines:
        shown = truncate_sentence(line) if not fold.language else line
        size += len(shown) + 1
        if size > LONGEST_FOLD:
            kept.append(f"(and {plural(len(fold.lines) - len(kept), 'more line')})")
            break
        kept.append(shown)
    return Detail(fold.title, tuple(kept), fold.language)


def mask_document(document: Document, mask: Callable[[str], str]) -> Document:
    """Return the document with every span and every line of code masked once more, at the very end."""

    def mask_sentence(sentence: str) -> str:
        return render_sentence(sentence, lambda data: f"{OPEN}{mask(data)}{CLOSE}")

    return Document(
        mask_sentence(document.headline),
        mask_sentence(document.refused),
        tuple((question, mask_sentence(answer)) for question, answer in document.answers),
        tuple(
            Row(
                each.severity,
                mask_sentence(each.where),
                mask_sentence(each.sentence),
                mask_sentence(each.recovery),
            )
            for each in document.rows
        ),
        tuple(
            Detail(
                mask_sentence(each.title),
                tuple((mask if each.language else mask_sentence)(line) for line in each.lines),
                each.language,
            )
            for each in document.folds
        ),
        tuple(mask_sentence(each) for each in document.notes),
    )
