"""Keep one issue per environment about infrastructure drift: opened, updated, closed when there is none."""

from delivery.approval import find_reviewed_pull
from delivery.errors import DeliveryError
from delivery.github.client import GitHub
from delivery.github.marker import (
    AUTHOR,
    MOST,
    MarkedPost,
    is_same_body,
    measure_length,
    parse_own_post,
    render_marker,
)
from delivery.plan.outcome import Outcome

PURPOSE = "drift"


def find_issues(github: GitHub, environment: str, author: str = AUTHOR) -> list[MarkedPost]:
    """Return the workflow's open issues of an environment, oldest first."""
    found = [
        post
        for each in github.list_items("issues", state="open", sort="created", direction="asc")
        if "pull_request" not in each
        and (post := parse_own_post(each, "number", PURPOSE, environment, author))
    ]
    return sorted(found, key=lambda post: post.number)


def report_drift(
    github: GitHub, sha: str, environment: str, outcome: Outcome, *, run_url: str, author: str = AUTHOR
) -> str:
    """Open, update or close the issue, and return what was done. `sha` is main's head. Raises DeliveryError."""
    if not outcome.digest or outcome.refused:
        raise DeliveryError(f"it is unknown whether {environment} has drifted: {outcome.refused}")
    found = find_issues(github, environment, author)
    run = f"[a run]({run_url})" if run_url else "a run"
    waiting = None if outcome.empty else find_reviewed_pull(github, sha, environment, outcome, author)
    if outcome.empty or waiting:
        finding = "no drift" if outcome.empty else f"no drift; what #{waiting} changes is not deployed yet"
        for each in found:
            _close_issue(github, each.number, f"Resolved: {run} found {finding}.")
        return f"{environment}: {finding}" + (f"; #{found[0].number} is closed" if found else "")
    text = _render_issue(environment, outcome, run)
    if not found:
        title = f"{environment} differs from main"
        created = github.post("issues", {"title": title, "body": text})
        return f"{environment}: drift; #{created['number']} is opened"
    first = found[0]
    if not is_same_body(first.body, text):
        github.patch(f"issues/{first.number}", {"body": text})
    for each in found[1:]:
        _close_issue(github, each.number, f"Duplicate of #{first.number}.")
    return f"{environment}: drift; #{first.number} reports it"


def _close_issue(github: GitHub, number: int, why: str) -> None:
    github.post(f"issues/{number}/comments", {"body": why})
    github.patch(f"issues/{number}", {"state": "closed", "state_reason": "completed"})


def _render_issue(environment: str, outcome: Outcome, run: str) -> str:
    first = render_marker(PURPOSE, environment, plan=outcome.digest)
    why = (
        f"The plan of main would change `{environment}`: either it was changed outside of Terraform, or main is not "
        "deployed yet. To keep a change, add it to the code; to revert it, run the workflow Deploy manually with the "
        f"digest `{outcome.digest}`. This issue is updated each night and closed when nothing differs."
    )
    text = f"{first}\n{why}\n\n{outcome.markdown.strip()}\n\n<sub>Found by {run}.</sub>\n"
    return (
        text
        if measure_length(text) <= MOST
        else f"{first}\n{why}\n\nThe review is longer than an issue may be; see {run}.\n"
    )
