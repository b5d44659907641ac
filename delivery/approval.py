"""On main: require that the plan to be applied is the reviewed one."""

from dataclasses import dataclass

from delivery.errors import DeliveryError
from delivery.github.client import GitHub
from delivery.github.comments import find_comments
from delivery.github.marker import AUTHOR, MarkedPost
from delivery.github.run import find_merged_pull
from delivery.plan.acknowledgement import find_acknowledgements
from delivery.plan.outcome import PLAN, STACKS, Outcome
from delivery.publishing import SUCCESS, find_first_shown, judge_outcome

NO_PLAN = "only synthesized stacks were compared"

SHORT = 12


@dataclass(frozen=True)
class Approval:
    """Why a plan may be applied, in one sentence; `changes` is False for an empty plan."""

    sentence: str
    changes: bool = True


def approve(
    github: GitHub, sha: str, environment: str, outcome: Outcome, *, named: str = "", author: str = AUTHOR
) -> Approval:
    """Return why the plan of a commit on main may be applied. Raises DeliveryError if it may not.

    `named` is a digest that a person typed after reading that plan's review; it replaces the pull request's.
    """
    if not outcome.digest or outcome.refused or outcome.kind != PLAN:
        raise DeliveryError(f"there is no plan of {environment} to apply: {outcome.refused or NO_PLAN}")
    if outcome.empty:
        return Approval(f"{environment}: no changes, so there is nothing to apply", changes=False)
    by_hand = (
        f"read the review of this run; if it is what you want, run the workflow Deploy manually with {environment} "
        f"and the digest {outcome.digest}"
    )
    if named:
        if named.strip().lower() != outcome.digest:
            raise DeliveryError(
                f"the plan of {environment} is not the named one: found {outcome.digest[:SHORT]}…, named "
                f"{named.strip()[:SHORT]!r}; {by_hand}"
            )
        return Approval(f"{environment}: this is the plan {outcome.digest[:SHORT]}… that was named")
    pull = find_merged_pull(github, sha)
    if pull is None:
        raise DeliveryError(
            f"{sha[:SHORT]} came to main without a pull request, so nobody reviewed the plan of {environment}: "
            f"{by_hand}"
        )
    comment = _find_comment(github, pull.number, environment, author)
    if comment is None or PLAN not in comment.fields:
        only = NO_PLAN if comment and STACKS in comment.fields else "no plan was reviewed"
        raise DeliveryError(f"in #{pull.number} {only} for {environment}: {by_hand}")
    if comment.fields[PLAN] != outcome.digest:
        raise DeliveryError(
            f"the plan of {environment} has changed since it was reviewed in #{pull.number} (found "
            f"{outcome.digest[:SHORT]}…, reviewed {comment.fields[PLAN][:SHORT]}…): main or the deployed "
            f"resources have changed; {by_hand}"
        )
    shown = find_first_shown(comment, outcome, github.now)
    events = list(github.list_items(f"issues/{pull.number}/events")) if outcome.acknowledge else []
    found = find_acknowledgements(pull.labels, events, shown)
    if judge_outcome(outcome, found).state != SUCCESS:
        missing = " and ".join(each for each in outcome.acknowledge if each not in found)
        raise DeliveryError(f"nobody acknowledged {missing} of {environment} in #{pull.number}: {by_hand}")
    return Approval(
        f"{environment}: this is the plan {outcome.digest[:SHORT]}… that was reviewed in #{pull.number}"
    )


def find_reviewed_pull(
    github: GitHub, sha: str, environment: str, outcome: Outcome, author: str = AUTHOR
) -> int | None:
    """Return the merged pull request of a commit on main, if this plan was reviewed in it."""
    pull = find_merged_pull(github, sha)
    comment = _find_comment(github, pull.number, environment, author) if pull else None
    return pull.number if pull and comment and comment.fields.get(PLAN) == outcome.digest else None


def _find_comment(github: GitHub, pull: int, environment: str, author: str) -> MarkedPost | None:
    found = find_comments(github, pull, environment, author)
    return found[0] if found else None
