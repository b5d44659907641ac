"""A review laid out once, for every format: a headline, answers, a table by weight, and what is folded away."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from review.findings import NO, YES, Detail, Finding, Kind, Weight
from review.reviewing import Review, summary
from review.text import CLOSE, OPEN, plural, rendered, span, spans

LONGEST_SENTENCE = 900
MOST_NEW = 12  # names of what is made new, in one row
LONGEST_FOLD = 7000
NO_CODE = "none that is seen here"
NO_COST = "nothing: what changes is free by itself"
UNDONE = "yes, by reverting the change and applying again"


@dataclass(frozen=True)
class Row:
    """One row of the table by weight."""

    weight: Weight
    where: str
    sentence: str
    undo: str


@dataclass(frozen=True)
class Document:
    """All of a review, texts with spans in them. `folds` come in order: what is cut is cut from their end."""

    headline: str
    refused: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    rows: tuple[Row, ...] = ()
    folds: tuple[Detail, ...] = ()
    notes: tuple[str, ...] = ()


def lay_out(review: Review, name: str = "") -> Document:
    """Return the document of a review; `name` says of what, such as an environment."""
    prefix = f"{span(name, 60)}: " if name else ""
    if review.empty:
        return Document(f"{prefix}no changes." if prefix else "No changes.")
    return Document(
        headline=f"{prefix}{headline(review)}",
        refused=review.refused,
        answers=tuple(answers(review)),
        rows=tuple(_rows(review.findings)),
        folds=tuple(_folds(review)),
        notes=review.notes,
    )


def headline(review: Review) -> str:
    """Return the weight of a review in one line."""
    parts = []
    for weight in sorted(Weight, reverse=True):
        count = sum(1 for each in review.findings if each.weight is weight)
        if count and weight >= Weight.CODE:
            parts.append(f"{weight.words} ({count})" if count > 1 else weight.words)
    told = ", ".join(parts) or "nothing of weight"
    if review.refused:
        told = f"do not apply; {told}"
    costs = f"; {review.cost.headline}" if review.cost else ""
    return f"{told}: {summary(review.counts)}{costs}"


def answers(review: Review) -> Iterator[tuple[str, str]]:
    """Yield the five questions of a reviewer, each with its answer; of a plan that is a part, nothing good is known."""
    good = {"no", "nobody", NO_CODE, UNDONE} if review.partial else set()
    for question, answer in _answers(review):
        yield (
            question,
            "not known: the plan is only a part of what would happen" if answer in good else answer,
        )


def _answers(review: Review) -> Iterator[tuple[str, str]]:
    yield "Is data lost?", _of(review, lambda each: each.weight >= Weight.POSSIBLE_LOSS, "no")
    yield "Who gains access?", _access(review)
    code = _of(review, lambda each: each.kind is Kind.CODE, NO_CODE, whole=True)
    yield "What code goes live?", code
    yield "What does it cost?", review.cost.answer if review.cost else NO_COST
    yield "Can it be undone?", _undone(review)


def _access(review: Review) -> str:
    if not review.unexamined:
        return _of(review, lambda each: each.weight is Weight.WIDENED, "nobody", whole=True)
    found = _of(review, lambda each: each.weight is Weight.WIDENED, "not known", whole=True)
    return f"{found}; not examined for access: {spans(list(review.unexamined), 6)}"


def _of(review: Review, which: Callable[[Finding], bool], none: str, *, whole: bool = False) -> str:
    found = [each for each in review.findings if which(each)]
    if not found:
        return none
    if whole:
        shown = [_short(each) for each in found[:3]]
    else:
        possible = all(each.weight is Weight.POSSIBLE_LOSS for each in found)
        places = list(dict.fromkeys(each.where for each in found))
        shown = [f"{'perhaps' if possible else '**yes**'}: {', '.join(places[:6])}"]
        if len(places) > 6:
            shown.append(f"{len(places) - 6} more")
        return "; ".join(shown)
    more = [f"and {len(found) - 3} more"] if len(found) > 3 else []
    return "; ".join([*shown, *more])


def _short(finding: Finding) -> str:
    """Return a finding for a list: its place, where the sentence needs one, and not what was before."""
    sentence = finding.sentence.partition("; before: ")[0]
    whose = finding.kind is Kind.CODE or sentence.startswith(("runs as ", "can be reached "))
    return bounded(f"{finding.where}: {sentence}" if whose else sentence, 400)


def _undone(review: Review) -> str:
    never = list(dict.fromkeys(each.where for each in review.findings if each.undo in (NO, "not known")))
    partly = list(
        dict.fromkeys(
            each.where
            for each in review.findings
            if each.undo not in (NO, "not known") and not each.undo.startswith(YES)
        )
    )
    if not never and not partly:
        return UNDONE
    parts = [f"**not**: {_some(never)}"] if never else []
    parts += (
        [f"only by hand: {_some([each for each in partly if each not in never])}"]
        if set(partly) - set(never)
        else []
    )
    return "; ".join(parts)


def _some(places: list[str]) -> str:
    return ", ".join(places[:6]) + (f" and {len(places) - 6} more" if len(places) > 6 else "")


def _rows(findings: tuple[Finding, ...]) -> Iterator[Row]:
    """Yield a row for each finding, and one for all that is only made new of one noun."""
    new: dict[str, list[str]] = {}
    for each in findings:
        if each.new:
            noun, _, name = each.where.partition(OPEN)
            new.setdefault(noun.strip(), []).append(f"{OPEN}{name}")
        else:
            yield Row(each.weight, each.where, bounded(each.sentence), each.undo)
    for noun, names in sorted(new.items()):
        shown = ", ".join(names[:MOST_NEW]) + (
            f" and {len(names) - MOST_NEW} more" if len(names) > MOST_NEW else ""
        )
        yield Row(
            Weight.NOTE,
            f"{plural(len(names), noun)}" if len(names) > 1 else noun,
            f"made new: {shown}",
            YES,
        )


def _folds(review: Review) -> Iterator[Detail]:
    for finding in review.findings:
        for detail in finding.details:
            yield _fold(detail, "" if finding.kind is Kind.CODE else finding.where)
    if review.cost:
        for detail in review.cost.details:
            yield _fold(detail)
    for section in review.sections:
        if section.lines:
            yield _cut(Detail(section.title, section.lines))
        for detail in section.details:
            yield _fold(detail, section.title.removeprefix("Arguments of "))


def _fold(detail: Detail, where: str = "") -> Detail:
    return _cut(Detail(f"{where}: {detail.title}" if where else detail.title, detail.lines, detail.language))


def _cut(fold: Detail) -> Detail:
    """Bound a fold's size, and say in it what was left out."""
    size = 0
    kept: list[str] = []
    for line in fold.lines:
        shown = bounded(line) if not fold.language else line
        size += len(shown) + 1
        if size > LONGEST_FOLD:
            kept.append(f"(and {plural(len(fold.lines) - len(kept), 'more line')})")
            break
        kept.append(shown)
    return Detail(fold.title, tuple(kept), fold.language)


def bounded(sentence: str, longest: int = LONGEST_SENTENCE) -> str:
    """Return a sentence of bounded length; no span is cut in two."""
    if len(sentence) <= longest:
        return sentence
    cut = sentence[:longest]
    if cut.count(OPEN) > cut.count(CLOSE):
        cut = cut[: cut.rindex(OPEN)]
    return f"{cut.rstrip()} …"


def masked(document: Document, mask: Callable[[str], str]) -> Document:
    """Return the document with every span and every line of code masked once more, at the very end."""

    def told(sentence: str) -> str:
        return rendered(sentence, lambda data: f"{OPEN}{mask(data)}{CLOSE}")

    return Document(
        told(document.headline),
        told(document.refused),
        tuple((question, told(answer)) for question, answer in document.answers),
        tuple(
            Row(each.weight, told(each.where), told(each.sentence), told(each.undo)) for each in document.rows
        ),
        tuple(
            Detail(
                told(each.title),
                tuple((mask if each.language else told)(line) for line in each.lines),
                each.language,
            )
            for each in document.folds
        ),
        tuple(told(each) for each in document.notes),
    )
