"""The outcome of a review, read from the files that `make plan` or `make compare` wrote."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from delivery.errors import DeliveryError
from delivery.plan.acknowledgement import LABELS
from delivery.plan.digest import compute_plan_digest, compute_text_digest

FORMAT = 2
PLAN, STACKS = "plan", "stacks"


@dataclass(frozen=True)
class Outcome:
    """A review and its digest. `kind` says what was reviewed: PLAN, or STACKS without credentials.

    Without a `digest` there was no review. `refused` says why, or why the plan must not be applied.
    """

    markdown: str = ""
    kind: str = PLAN
    digest: str = ""
    acknowledge: tuple[str, ...] = ()
    refused: str = ""
    empty: bool = False


def read_outcome(folder: Path) -> Outcome:
    """Read `review.md`, `review.json` and, if there was a plan, `plan.json`. Raises DeliveryError."""
    data, markdown, plan = (folder / name for name in ("review.json", "review.md", "plan.json"))
    if not (data.is_file() and markdown.is_file()):
        return Outcome(refused="there is no plan, because a previous step failed")
    content = data.read_text("utf-8")
    try:
        review = json.loads(content)
        if review["format"] != FORMAT:
            raise DeliveryError(
                f"{data} has the format {review['format']}, expected {FORMAT}: run `make plan` again"
            )
        acknowledge, refused, empty = (
            tuple(review["acknowledge"]),
            str(review["refused"]),
            review["empty"] is True,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DeliveryError(
            f"{data} is not a valid review ({type(error).__name__}): run `make plan` again"
        ) from None
    if unknown := [each for each in acknowledge if each not in LABELS]:
        raise DeliveryError(
            f"{data} asks for an acknowledgement of {unknown[0]!r}; known are {', '.join(LABELS)}"
        )
    found = Outcome(
        markdown.read_text("utf-8"), STACKS, compute_text_digest(content), acknowledge, refused, empty
    )
    if not plan.is_file():
        return found  # equal stacks have equal reviews, so the review's digest suffices
    plan_digest = compute_plan_digest(plan.read_bytes())
    # A review also lists differences that the plan does not apply.
    return replace(found, kind=PLAN, digest=plan_digest.digest, empty=plan_digest.idle)
