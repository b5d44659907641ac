"""Render a review as JSON; docs/review.md describes its shape."""

import json
from collections.abc import Callable
from typing import Any

from review.assessment.review import Review
from review.findings.finding import Finding
from review.findings.text import render_sentence, strip_markup
from review.report.answers import answer_questions

FORMAT = 2


def render_json(review: Review, headline: str, name: str, mask: Callable[[str], str]) -> str:
    """Return the review as one JSON object; texts are plain, and masked once more."""

    def render(sentence: str) -> str:
        return render_sentence(sentence, mask)

    document: dict[str, Any] = {
        "format": FORMAT,
        "name": mask(name),
        "headline": render(headline),
        "severity": review.severity.label,
        "acknowledge": list(review.acknowledgements),
        "refused": render(review.refused),
        "empty": review.empty,
        "compared": review.is_comparison,
        "drift": review.drift,
        "counts": dict(review.counts),
        "answers": [
            {
                "question": each.question,
                "answer": each.verdict.value,
                "text": render(each.text),
                "not_examined": [render(name) for name in each.unexamined],
            }
            for each in answer_questions(review)
        ],
        "findings": [_finding_as_json(each, render, mask) for each in review.findings],
        "cost": review.cost.as_json(mask) if review.cost else None,
        "sections": [
            {
                "title": render(each.title),
                "lines": [render(line) for line in each.lines],
                "details": [
                    _detail_as_json(detail.title, detail.lines, detail.language, render, mask)
                    for detail in each.details
                ],
            }
            for each in review.sections
        ],
        "notes": [strip_markup(each) for each in review.notes],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _finding_as_json(
    finding: Finding, sentence: Callable[[str], str], mask: Callable[[str], str]
) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "severity": finding.severity.label,
        "address": mask_address(finding.address, mask),
        "where": sentence(finding.where),
        "sentence": sentence(finding.sentence),
        "recovery": sentence(finding.recovery),
        "details": [
            _detail_as_json(each.title, each.lines, each.language, sentence, mask) for each in finding.details
        ],
    }


def _detail_as_json(
    title: str,
    lines: tuple[str, ...],
    language: str,
    sentence: Callable[[str], str],
    mask: Callable[[str], str],
) -> dict[str, Any]:
    return {
        "title": sentence(title),
        "lines": [mask(line) if language else sentence(line) for line in lines],
        "language": language,
    }


def mask_address(address: str, mask: Callable[[str], str]) -> str:
    """Return an address with secrets hidden; it is not shortened, so that programs can look it up."""
    from review.findings.text import escape_invisible  # noqa: PLC0415

    return escape_invisible(mask(address))
