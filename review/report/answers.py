"""Answer the five questions of a reviewer: yes; no, if everything was examined; or not examined."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from review.assessment.grouping import Group, group_findings
from review.assessment.review import Review
from review.assessment.unexamined import format_names
from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import truncate_sentence

INCOMPLETE = "not known: the plan is incomplete"
NOT_KNOWN = "not known"
NOBODY = "nobody"
NO_CODE = "none found"
NO_COST = "nothing: no changed resource has a cost of its own"
REVERTIBLE = "yes, by reverting the change and applying again"
# The beginning of sentences that name who gains access.
SUBJECT = re.compile(
    r"anyone|service account|user|every|the (?:workload|deleted|group|domain)|whoever|a member|member|"
    r"principal|firewall (?:rule|policy)|external identities",
)


class Verdict(Enum):
    """The answer to a question; `no` only if everything was examined."""

    YES = "yes"
    NO = "no"
    NOT_EXAMINED = "not examined"


@dataclass(frozen=True)
class Answer:
    """One answer: `text` ends with what was not examined, and `unexamined` lists it for programs."""

    question: str
    verdict: Verdict
    text: str
    unexamined: tuple[str, ...] = ()


def answer_questions(review: Review) -> Iterator[Answer]:
    """Yield the five answers; about an incomplete plan none of them is no."""
    for answer in _answer_each(review):
        if not review.is_partial:
            yield answer
        elif answer.verdict is Verdict.NO or answer.text == REVERTIBLE:
            yield Answer(answer.question, Verdict.NOT_EXAMINED, INCOMPLETE)
        elif answer.text.startswith(f"{NOT_KNOWN};"):
            yield replace(answer, text=f"{INCOMPLETE}{answer.text.removeprefix(NOT_KNOWN)}")
        else:
            yield answer


def _answer_each(review: Review) -> Iterator[Answer]:
    unexamined = review.unexamined
    lost = [each for each in review.findings if each.severity >= Severity.POSSIBLE_LOSS]
    yield _build_answer("Is data lost?", _describe_losses(lost), "no", unexamined.data)
    widened = [each for each in review.findings if each.severity is Severity.WIDENED and not each.unexamined]
    yield _build_answer(
        "Who gains access?", _join_sentences(widened), NOBODY, unexamined.access, what="for access"
    )
    code = [each for each in review.findings if each.kind is Kind.CODE]
    yield _build_answer(
        "What code goes live?", _join_sentences(code), NO_CODE, unexamined.code, what="for code"
    )
    yield _answer_cost(review)
    yield _answer_revert(review)


def _build_answer(
    question: str, found: str, none: str, unexamined: tuple[str, ...], what: str = ""
) -> Answer:
    """Return `found` as yes; `none` as no, if everything was examined."""
    verdict = Verdict.YES if found else Verdict.NOT_EXAMINED if unexamined else Verdict.NO
    text = found or (NOT_KNOWN if unexamined else none)
    if unexamined:
        text = f"{text}; not examined{f' {what}' if what else ''}: {format_names(unexamined)}"
    return Answer(question, verdict, text, unexamined)


def _describe_losses(found: list[Finding]) -> str:
    """Return where data is lost, or may be."""
    if not found:
        return ""
    possible = all(each.severity is Severity.POSSIBLE_LOSS for each in found)
    return (
        f"{'possibly' if possible else '**yes**'}: "
        f"{_truncate_names(list(dict.fromkeys(each.where for each in found)))}"
    )


def _join_sentences(found: list[Finding]) -> str:
    rows = group_findings(found)
    more = [f"and {len(rows) - 3} more"] if len(rows) > 3 else []
    return "; ".join([*(_shorten_row(each) for each in rows[:3]), *more])


def _shorten_row(row: Group) -> str:
    """Return a row for a list: its resource, if the sentence does not name one, and without the previous state."""
    sentence = row.sentence.partition("; before: ")[0]
    whose = row.first.kind is Kind.CODE or not SUBJECT.match(sentence)
    return truncate_sentence(f"{row.where}: {sentence}" if whose else sentence, 400)


def _answer_cost(review: Review) -> Answer:
    question, month = "What does it cost?", review.cost
    if month is None and (opaque := tuple(sorted({each.opaque for each in review.findings} - {""}))):
        return Answer(
            question, Verdict.NOT_EXAMINED, f"{NOT_KNOWN}; not examined: {format_names(opaque)}", opaque
        )
    if month is None:
        return Answer(question, Verdict.NO, NO_COST)
    missing = (*month.unknown, *month.not_counted_changed)
    counted = max(month.totals) > 0
    verdict = Verdict.YES if counted else Verdict.NOT_EXAMINED if missing else Verdict.NO
    return Answer(question, verdict, month.answer, missing)


def _answer_revert(review: Review) -> Answer:
    """Return which resources cannot be reverted, which only manually, and of which that is not known."""
    question, unexamined = "Can it be reverted?", review.unexamined.data
    names: dict[str, set[str]] = {"**no**": set(), NOT_KNOWN: set(), "only manually": set()}
    for each in review.findings:
        if not each.recovery.startswith(YES):
            kind = {NO: "**no**", NOT_KNOWN: NOT_KNOWN}.get(each.recovery, "only manually")
            names[kind].add(each.where)
    parts, said = [], set[str]()
    for kind, found in names.items():
        if rest := [
            where for where in dict.fromkeys(each.where for each in review.findings) if where in found - said
        ]:
            parts.append(f"{kind}: {_truncate_names(rest)}")
            said |= found
    if parts:
        return Answer(question, Verdict.NO, "; ".join(parts), unexamined)
    if unexamined:
        return Answer(
            question,
            Verdict.NOT_EXAMINED,
            f"{NOT_KNOWN}; not examined: {format_names(unexamined)}",
            unexamined,
        )
    return Answer(question, Verdict.YES, REVERTIBLE)


def _truncate_names(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
