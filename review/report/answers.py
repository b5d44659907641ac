"""The five questions of a reviewer, each with one of three answers: yes; no, and it was looked at; not looked at."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from review.assessment.grouping import Group, grouped
from review.assessment.review import Review
from review.assessment.unexamined import told
from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import bounded

PARTIAL = "not known: the plan is incomplete"
NOT_KNOWN = "not known"
NOBODY = "nobody"
NO_CODE = "none found"
NO_COST = "nothing: what changes has no cost of its own"
UNDONE = "yes, by reverting the change and applying again"
# What a sentence begins with that says itself who gains access.
SUBJECT = re.compile(
    r"anyone|service account|user|every|the (?:workload|deleted|group|domain)|whoever|a member|member|"
    r"principal|firewall rule",
)


class Verdict(Enum):
    """What is answered: of what was not looked at nothing good is said."""

    YES = "yes"
    NO = "no"
    NOT_EXAMINED = "not examined"


@dataclass(frozen=True)
class Answer:
    """One answer: `text` for a reader, with what was not looked at at its end; `unexamined` names it for machines."""

    question: str
    verdict: Verdict
    text: str
    unexamined: tuple[str, ...] = ()


def answers(review: Review) -> Iterator[Answer]:
    """Yield the five answers; of a plan that is a part, nothing good is known."""
    for answer in _answers(review):
        if not review.partial:
            yield answer
        elif answer.verdict is Verdict.NO or answer.text == UNDONE:
            yield Answer(answer.question, Verdict.NOT_EXAMINED, PARTIAL)
        elif answer.text.startswith(f"{NOT_KNOWN};"):
            yield replace(answer, text=f"{PARTIAL}{answer.text.removeprefix(NOT_KNOWN)}")
        else:
            yield answer


def _answers(review: Review) -> Iterator[Answer]:
    unexamined = review.unexamined
    lost = [each for each in review.findings if each.severity >= Severity.POSSIBLE_LOSS]
    yield _answer("Is data lost?", _places(lost), "no", unexamined.data)
    widened = [each for each in review.findings if each.severity is Severity.WIDENED and not each.unexamined]
    yield _answer("Who gains access?", _sentences(widened), NOBODY, unexamined.access, what="for access")
    code = [each for each in review.findings if each.kind is Kind.CODE]
    yield _answer("What code goes live?", _sentences(code), NO_CODE, unexamined.code, what="for code")
    yield _cost(review)
    yield _undone(review)


def _answer(question: str, found: str, none: str, unexamined: tuple[str, ...], what: str = "") -> Answer:
    """Return `found` as a yes; `none` as a no, where everything was looked at."""
    verdict = Verdict.YES if found else Verdict.NOT_EXAMINED if unexamined else Verdict.NO
    text = found or (NOT_KNOWN if unexamined else none)
    if unexamined:
        text = f"{text}; not examined{f' {what}' if what else ''}: {told(unexamined)}"
    return Answer(question, verdict, text, unexamined)


def _places(found: list[Finding]) -> str:
    """Return where data is lost, or perhaps is."""
    if not found:
        return ""
    possible = all(each.severity is Severity.POSSIBLE_LOSS for each in found)
    return (
        f"{'possibly' if possible else '**yes**'}: {_some(list(dict.fromkeys(each.where for each in found)))}"
    )


def _sentences(found: list[Finding]) -> str:
    rows = grouped(found)
    more = [f"and {len(rows) - 3} more"] if len(rows) > 3 else []
    return "; ".join([*(_short(each) for each in rows[:3]), *more])


def _short(row: Group) -> str:
    """Return a row for a list: its place, where the sentence has no subject, and not what was before."""
    sentence = row.sentence.partition("; before: ")[0]
    whose = row.first.kind is Kind.CODE or not SUBJECT.match(sentence)
    return bounded(f"{row.where}: {sentence}" if whose else sentence, 400)


def _cost(review: Review) -> Answer:
    question, month = "What does it cost?", review.cost
    if month is None and (opaque := tuple(sorted({each.opaque for each in review.findings} - {""}))):
        return Answer(question, Verdict.NOT_EXAMINED, f"{NOT_KNOWN}; not examined: {told(opaque)}", opaque)
    if month is None:
        return Answer(question, Verdict.NO, NO_COST)
    missing = (*month.unknown, *month.pending)
    counted = max(month.totals) > 0
    verdict = Verdict.YES if counted else Verdict.NOT_EXAMINED if missing else Verdict.NO
    return Answer(question, verdict, month.answer, missing)


def _undone(review: Review) -> Answer:
    """Return what cannot be taken back, what only by hand, and of what that is not known."""
    question, unexamined = "Can it be undone?", review.unexamined.data
    places: dict[str, set[str]] = {"**no**": set(), NOT_KNOWN: set(), "only manually": set()}
    for each in review.findings:
        if not each.undo.startswith(YES):
            kind = {NO: "**no**", NOT_KNOWN: NOT_KNOWN}.get(each.undo, "only manually")
            places[kind].add(each.where)
    parts, said = [], set[str]()
    for kind, found in places.items():
        if rest := [
            where for where in dict.fromkeys(each.where for each in review.findings) if where in found - said
        ]:
            parts.append(f"{kind}: {_some(rest)}")
            said |= found
    if parts:
        return Answer(question, Verdict.NO, "; ".join(parts), unexamined)
    if unexamined:
        return Answer(
            question, Verdict.NOT_EXAMINED, f"{NOT_KNOWN}; not examined: {told(unexamined)}", unexamined
        )
    return Answer(question, Verdict.YES, UNDONE)


def _some(places: list[str]) -> str:
    return ", ".join(places[:6]) + (f" and {len(places) - 6} more" if len(places) > 6 else "")
