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
    machine, text, plan = (folder / name for name in ("review.json", "review.md", "plan.json"))
    if not (machine.is_file() and text.is_file()):
        return Outcome(refused="there is no plan, as a step before this one failed")
    told = machine.read_text("utf-8")
    try:
        review = json.loads(told)
        if review["format"] != FORMAT:
            raise DeliveryError(f"{machine} has the format {review['format']}, expected {FORMAT}")
        acknowledge, refused, empty = (
            tuple(review["acknowledge"]),
            str(review["refused"]),
            review["empty"] is True,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DeliveryError(f"{machine} is no review ({type(error).__name__}): plan again") from None
    if unknown := [each for each in acknowledge if each not in LABELS]:
        raise DeliveryError(f"{machine} asks to acknowledge {unknown[0]!r}, known: {', '.join(LABELS)}")
    found = Outcome(text.read_text("utf-8"), STACKS, compute_text_digest(told), acknowledge, refused, empty)
    if not plan.is_file():
        return (
            found  # two stacks have the same review until one changes, so the digest of the review suffices
        )
    of_plan = compute_plan_digest(plan.read_bytes())
    # A review also lists differences that the plan does not apply.
    return replace(found, kind=PLAN, digest=of_plan.digest, empty=of_plan.idle)
