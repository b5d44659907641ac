"""Publish a review in its pull request: one comment per environment, and a commit status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from delivery.github.client import GitHub
from delivery.github.comments import PURPOSE, upsert_comment
from delivery.github.marker import AUTHOR, MOST, MarkedPost, measure_length, render_marker
from delivery.github.run import Pull
from delivery.plan.acknowledgement import LABELS, find_acknowledgements, is_stale
from delivery.plan.outcome import PLAN, Outcome
from delivery.pushes import render_changes_since_push

MOST_DESCRIPTION = 140
SUCCESS, FAILURE, ERROR = "success", "failure", "error"


@dataclass(frozen=True)
class Verdict:
    """Whether a pull request may be merged: the state of the commit status, and why."""

    state: str
    description: str


def publish(
    github: GitHub, pull: Pull, environment: str, outcome: Outcome, *, run_url: str, author: str = AUTHOR
) -> tuple[MarkedPost, Verdict]:
    """Write the comment and the status of one environment. Raises DeliveryError."""
    events = list(github.list_items(f"issues/{pull.number}/events")) if outcome.acknowledge else []
    now = github.now
    verdict = Verdict(ERROR, "")

    def compose(present: MarkedPost | None) -> str:
        nonlocal verdict
        shown = find_first_shown(present, outcome, now)
        found = find_acknowledgements(pull.labels, events, shown)
        verdict = judge_outcome(outcome, found, pull.labels)
        since_push = ""
        if present and outcome.markdown:
            same_plan = present.fields.get(outcome.kind) == outcome.digest
            since_push = render_changes_since_push(present.body, outcome.markdown, same_plan=same_plan)
        return render_comment(
            pull,
            environment,
            outcome,
            found=found,
            shown=shown,
            verdict=verdict,
            run_url=run_url,
            since_push=since_push,
        )

    comment = upsert_comment(github, pull.number, environment, compose, author)
    status = {
        "state": verdict.state,
        "context": f"{PURPOSE}/{environment}",
        "description": verdict.description[:MOST_DESCRIPTION],
        "target_url": comment.url or run_url,
    }
    github.post(f"statuses/{pull.sha}", status, again=True)
    return comment, verdict


def find_first_shown(present: MarkedPost | None, outcome: Outcome, now: datetime) -> datetime:
    """Return when the comment first showed this plan: a label that was set earlier was for another plan."""
    if present and outcome.digest and present.fields.get(outcome.kind) == outcome.digest:
        try:
            return datetime.fromisoformat(present.fields["shown"])
        except (KeyError, ValueError):
            return now
    return now


def judge_outcome(outcome: Outcome, found: Mapping[str, str], labels: Iterable[str] = ()) -> Verdict:
    """Return whether a pull request may be merged with these acknowledgements."""
    if not outcome.digest:
        return Verdict(ERROR, outcome.refused)
    if outcome.refused:
        return Verdict(ERROR, f"the plan must not be applied: {outcome.refused}")
    if missing := [each for each in outcome.acknowledge if each not in found]:
        verb = "set again" if any(is_stale(each, labels, found) for each in missing) else "set"
        return Verdict(
            FAILURE,
            f"{' and '.join(missing)}: {verb} the label {' and '.join(LABELS[each] for each in missing)}",
        )
    if outcome.acknowledge:
        return Verdict(SUCCESS, f"{' and '.join(outcome.acknowledge)}: acknowledged")
    return Verdict(SUCCESS, "no changes" if outcome.empty else "nothing to acknowledge")


def render_comment(
    pull: Pull,
    environment: str,
    outcome: Outcome,
    *,
    found: Mapping[str, str],
    shown: datetime,
    verdict: Verdict,
    run_url: str,
    since_push: str = "",
) -> str:
    """Return the comment, within GitHub's limit of length. `since_push` is the section about the last push."""
    fields = {outcome.kind: outcome.digest, "shown": f"{shown.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    marker = render_marker(PURPOSE, environment, **({} if not outcome.digest else fields))
    run = f"[the run]({run_url})" if run_url else "the run"
    review = (
        outcome.markdown.strip()
        or f"### `{environment}`: no review\n\n{outcome.refused}; {run} shows which step."
    )
    ending = "\n\n".join([*_render_gate(outcome, found, pull.labels), _render_footer(pull, outcome, run)])
    for content in (f"{review}\n\n{since_push}", review) if since_push else (review,):
        comment = f"{marker}\n{content}\n\n{ending}\n"
        if measure_length(comment) <= MOST:
            return comment
    headline = review.partition("\n")[0]
    if measure_length(headline) > MOST // 2:
        headline = f"### `{environment}`"
    return f"{marker}\n{headline}\n\nThe review is longer than a comment may be; {run} has all of it.\n\n{ending}\n"


def _render_gate(outcome: Outcome, found: Mapping[str, str], labels: Iterable[str]) -> list[str]:
    lines = []
    for what in outcome.acknowledge:
        label = LABELS[what]
        if what in found:
            lines.append(f"✅ **{what}**: acknowledged by `{found[what]}`, by the label `{label}`.")
        elif is_stale(what, labels, found):
            lines.append(
                f"⛔ **{what}**: the label `{label}` was set while another plan was shown. Read this one, then remove "
                "the label and set it again."
            )
        else:
            lines.append(
                f"⛔ **{what}** needs an acknowledgement: read the review above, then set the label `{label}`."
            )
    return lines


def _render_footer(pull: Pull, outcome: Outcome, run: str) -> str:
    source = f"{pull.sha[:12]}, planned in {run}"
    if outcome.kind != PLAN:
        source = (
            f"{pull.sha[:12]}, synthesized by the fork's own run, compared with main in {run}. It is not "
            "deployed until somebody has read a plan"
        )
    return f"<sub>{source}. This comment is updated in place.</sub>"


def render_summary(outcome: Outcome, verdict: Verdict) -> str:
    """Return the summary for the run's page."""
    return (
        f"{outcome.markdown.strip()}\n\n**{verdict.description}**\n"
        if outcome.markdown
        else f"**{verdict.description}**\n"
    )
