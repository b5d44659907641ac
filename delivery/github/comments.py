"""Keep one comment per environment in a pull request, and update it in place."""

from collections.abc import Callable

from delivery.errors import DeliveryError
from delivery.github.client import GitHub, GitHubError, NoResponseError
from delivery.github.marker import AUTHOR, MarkedPost, is_same_body, parse_own_post

PURPOSE = "review"
ROUNDS = 5
GONE = (404, 410)


def find_comments(github: GitHub, pull: int, environment: str, author: str = AUTHOR) -> list[MarkedPost]:
    """Return the workflow's comments of an environment, oldest first; more than one if two jobs wrote at once."""
    found = [
        post
        for each in github.list_items(f"issues/{pull}/comments")
        if (post := parse_own_post(each, "id", PURPOSE, environment, author))
    ]
    return sorted(found, key=lambda post: post.number)


def upsert_comment(
    github: GitHub,
    pull: int,
    environment: str,
    compose: Callable[[MarkedPost | None], str],
    author: str = AUTHOR,
) -> MarkedPost:
    """Create or update the comment and return it; `compose` renders the body from the existing comment.

    If several comments exist, after a race or a call whose response was lost, the oldest one is kept. Raises
    DeliveryError.
    """
    posted: MarkedPost | None = None
    no_response: NoResponseError | None = None
    for _ in range(ROUNDS):
        found = find_comments(github, pull, environment, author)
        if posted and all(each.number != posted.number for each in found):
            found = sorted(
                [*found, posted], key=lambda post: post.number
            )  # the list may be older than the comment
        first = found[0] if found else None
        body = compose(first)
        if first is None:
            try:
                created = github.post(f"issues/{pull}/comments", {"body": body})
            except NoResponseError as error:
                no_response = error
                continue  # the next round finds out whether it was created
            posted = parse_own_post(created, "id", PURPOSE, environment, author)
            if posted is None:
                raise DeliveryError(
                    f"the comment was written as {(created.get('user') or {}).get('login')}, not as {author}, so the "
                    "next run would not find it: use the job's own token, or pass its login as --author"
                )
            continue  # another job may have created one in the meantime
        try:
            if not is_same_body(first.body, body):
                github.patch(f"issues/comments/{first.number}", {"body": body})
        except GitHubError as error:
            if error.status not in GONE:
                raise
            posted = None
            continue
        for each in found[1:]:
            github.delete(f"issues/comments/{each.number}")
        return MarkedPost(first.number, body, first.url, first.fields)
    raise no_response or DeliveryError(
        f"the comment of {environment} is deleted as often as it is written: run the job again"
    )
