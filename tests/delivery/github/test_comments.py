"""One comment per environment, whatever is written at the same time and whatever GitHub responds."""

import pytest

from delivery.errors import DeliveryError
from delivery.github.client import GitHub, GitHubError, NoResponseError
from delivery.github.comments import ROUNDS, find_comments, upsert_comment
from delivery.github.marker import MarkedPost, render_marker
from tests.delivery.conftest import ADA, BOT, Fault, Repository

pytestmark = pytest.mark.unit

MARKER = render_marker("review", "dev")
POST = "POST issues/7/comments"


@pytest.fixture(autouse=True)
def pull(repository: Repository) -> None:
    repository.pull()


def write(github: GitHub, text: str = "text", environment: str = "dev") -> MarkedPost:
    body = f"{render_marker('review', environment)}\n{text}\n"
    return upsert_comment(github, 7, environment, lambda _present: body)


def bodies(repository: Repository) -> list[str]:
    return [each["body"].strip() for each in repository.comments.values()]


def test_the_first_comment_is_created_and_then_updated(github: GitHub, repository: Repository) -> None:
    first = write(github, "one")
    assert first.url.endswith(f"issuecomment-{first.number}")
    assert write(github, "two").number == first.number
    assert bodies(repository) == [f"{MARKER}\ntwo"]
    assert [call for call in repository.calls if not call.startswith("GET")] == [
        POST,
        f"PATCH issues/comments/{first.number}",
    ]


def test_an_unchanged_comment_is_not_written_again(github: GitHub, repository: Repository) -> None:
    write(github)
    repository.calls.clear()
    write(github)
    assert repository.calls == ["GET issues/7/comments"]


def test_each_environment_has_its_own_comment(github: GitHub, repository: Repository) -> None:
    write(github, "d")
    write(github, "p", "prod")
    write(github, "e")
    assert bodies(repository) == [f"{MARKER}\ne", f"{render_marker('review', 'prod')}\np"]


def test_the_comment_is_found_behind_many_pages_of_others(github: GitHub, repository: Repository) -> None:
    for number in range(230):
        repository.comment(f"{number}", user=ADA)
    ours = repository.comment(f"{MARKER}\nold")
    for number in range(20):
        repository.comment(f"more {number}")
    assert write(github).number == ours
    assert len(repository.comments) == 251


def test_comments_of_others_are_not_changed(github: GitHub, repository: Repository) -> None:
    others = [
        repository.comment(f"{MARKER}\nnot ours", user=ADA),
        repository.comment(f"look:\n{MARKER}"),
        repository.comment(f"{MARKER}\nof another pull request", issue=8),
    ]
    before = {number: dict(repository.comments[number]) for number in others}
    made = write(github).number
    assert {number: repository.comments[number] for number in others} == before
    assert set(repository.comments) == {*others, made}


def test_of_two_comments_the_older_is_kept(github: GitHub, repository: Repository) -> None:
    older, newer = (repository.comment(f"{MARKER}\n{word}") for word in ("older", "newer"))
    assert write(github).number == older
    assert bodies(repository) == [f"{MARKER}\ntext"]
    assert f"DELETE issues/comments/{newer}" in repository.calls


def test_two_jobs_at_the_same_time_leave_one_comment(github: GitHub, repository: Repository) -> None:
    """Two jobs found no comment, and the other one creates its comment first."""
    raced: list[int] = []

    def compose(present: MarkedPost | None) -> str:
        if present is None and not raced:
            raced.append(repository.comment(f"{MARKER}\nthe other job's"))
        return f"{MARKER}\nours"

    assert upsert_comment(github, 7, "dev", compose).number == raced[0]
    assert bodies(repository) == [f"{MARKER}\nours"]


def test_a_comment_that_the_list_lacks_is_not_created_twice(github: GitHub, repository: Repository) -> None:
    repository.faults["GET issues/7/comments"] = [Fault(200, []), Fault(200, [])]
    write(github)
    assert bodies(repository) == [f"{MARKER}\ntext"]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("fault", ["502", "cut"])
def test_a_post_without_a_response_is_looked_up(
    github: GitHub, repository: Repository, fault: str, *, done: bool
) -> None:
    repository.faults[POST] = [Fault(502, done=done, cut=fault == "cut")]
    write(github)
    assert bodies(repository) == [f"{MARKER}\ntext"]


def test_a_post_that_never_gets_a_response_fails(github: GitHub, repository: Repository) -> None:
    repository.faults[POST] = [Fault(502)] * 20
    with pytest.raises(NoResponseError, match=r"^GitHub responded to POST issues/7/comments with status 502"):
        write(github)
    assert repository.calls.count(POST) == ROUNDS


def test_a_deleted_comment_is_created_again(github: GitHub, repository: Repository) -> None:
    gone = repository.comment(f"{MARKER}\nold")

    def compose(present: MarkedPost | None) -> str:
        if present and present.number == gone:
            repository.comments.pop(gone, None)
        return f"{MARKER}\nnew"

    assert upsert_comment(github, 7, "dev", compose).number != gone
    assert bodies(repository) == [f"{MARKER}\nnew"]


def test_a_duplicate_that_another_job_deleted_is_no_error(github: GitHub, repository: Repository) -> None:
    repository.comment(f"{MARKER}\nfirst")
    second = repository.comment(f"{MARKER}\nsecond")
    repository.faults[f"DELETE issues/comments/{second}"] = [Fault(404, {"message": "Not Found"}, done=True)]
    write(github)
    assert bodies(repository) == [f"{MARKER}\ntext"]


@pytest.mark.parametrize(("status", "word"), [(403, "permissions"), (404, "does not exist"), (422, "422")])
def test_a_rejected_call_is_reported_and_not_retried(
    github: GitHub, repository: Repository, status: int, word: str
) -> None:
    repository.faults[POST] = [Fault(status, {"message": "no"})]
    with pytest.raises(GitHubError, match=word):
        write(github)
    assert repository.calls.count(POST) == 1


def test_a_token_of_another_author_is_reported(github: GitHub, repository: Repository) -> None:
    repository.identity = ADA
    with pytest.raises(DeliveryError, match=r"was written as ada, not as github-actions\[bot\]"):
        write(github)


def test_the_body_is_made_from_what_is_there(github: GitHub, repository: Repository) -> None:
    repository.comment(render_marker("review", "dev", plan="ab"), user=BOT)
    seen: list[MarkedPost | None] = []

    def compose(present: MarkedPost | None) -> str:
        seen.append(present)
        return f"{MARKER}\nnew"

    upsert_comment(github, 7, "dev", compose)
    assert [each.fields if each else None for each in seen] == [{"plan": "ab"}]
    assert [each.fields for each in find_comments(github, 7, "dev")] == [{}]
