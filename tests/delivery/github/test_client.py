"""The REST client: paging, retries, and the messages for calls that GitHub refuses."""

import json
from typing import Any

import pytest

from delivery.errors import DeliveryError
from delivery.github.client import ATTEMPTS, GitHub, GitHubError, NoResponseError
from tests.delivery.conftest import BEGIN, REPOSITORY, TOKEN, Fault, Repository

pytestmark = pytest.mark.unit

PULL, COMMENTS = "GET pulls/7", "GET issues/7/comments"


def test_every_page_is_read_from_one_host(github: GitHub, repository: Repository) -> None:
    """The fake's links name another host: the token must not be sent there."""
    repository.pull()
    for number in range(250):
        repository.comment(str(number))
    assert [each["body"] for each in github.list_items("issues/7/comments")] == [str(n) for n in range(250)]
    assert repository.calls == [COMMENTS] * 3
    assert repository.tokens == {f"Bearer {TOKEN}"}


def test_a_short_page_is_not_the_last(github: GitHub, repository: Repository) -> None:
    repository.pull()
    repository.longest_page = 3
    for number in range(7):
        repository.comment(str(number))
    assert len(list(github.list_items("issues/7/comments"))) == 7


def test_pages_without_end_are_ended(github: GitHub, repository: Repository) -> None:
    more = Fault(200, [{}], {"Link": '<u>; rel="next"'})
    repository.faults[COMMENTS] = [more] * 200
    with pytest.raises(DeliveryError, match="has more than 100 pages"):
        list(github.list_items("issues/7/comments"))


@pytest.mark.parametrize(
    "fault", [Fault(500), Fault(502), Fault(503), Fault(504), Fault(0, cut=True), Fault(200, b"<html>")]
)
def test_reads_are_retried(github: GitHub, repository: Repository, waits: list[float], fault: Fault) -> None:
    repository.pull()
    repository.faults[PULL] = [fault, fault]
    assert github.get("pulls/7")["number"] == 7
    assert waits == [1.0, 2.0]


def test_retries_are_limited(github: GitHub, repository: Repository, waits: list[float]) -> None:
    repository.faults[PULL] = [Fault(502)] * 20
    with pytest.raises(
        NoResponseError, match=r"^GitHub responded to GET pulls/7 with status 502: run the job again$"
    ):
        github.get("pulls/7")
    assert (len(repository.calls), waits) == (ATTEMPTS, [1.0, 2.0, 4.0, 8.0])


def test_writes_are_not_retried_blindly(github: GitHub, repository: Repository) -> None:
    repository.pull()
    repository.faults["POST issues/7/comments"] = [Fault(502, done=True)]
    with pytest.raises(NoResponseError):
        github.post("issues/7/comments", {"body": "b"})
    assert len(repository.comments) == 1


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (Fault(429, {"message": "slow"}, {"Retry-After": "7"}), [7.0]),
        (Fault(403, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "2"}), [2.0]),
        (Fault(403, {"message": "secondary rate limit"}), [60.0]),
        (Fault(429), [60.0]),
        (
            Fault(
                403,
                {"message": "API rate limit exceeded"},
                {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(BEGIN.timestamp()) + 30)},
            ),
            [30.0],
        ),
    ],
)
def test_writes_wait_for_a_rate_limit(
    github: GitHub, repository: Repository, waits: list[float], fault: Fault, waited: list[float]
) -> None:
    """A call over the rate limit was not executed, so it can be repeated."""
    repository.pull()
    repository.faults["POST issues/7/comments"] = [fault]
    assert github.post("issues/7/comments", {"body": "b"})["body"] == "b"
    assert (waits, len(repository.comments)) == (waited, 1)


def test_a_rate_limit_that_lasts_too_long_is_reported(
    github: GitHub, repository: Repository, waits: list[float]
) -> None:
    reset = str(int(BEGIN.timestamp()) + 1800)
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    repository.faults[PULL] = [Fault(403, {"message": "API rate limit exceeded"}, limit)]
    with pytest.raises(GitHubError, match=r"rate limit is reached .* run the job again in 30 minutes$"):
        github.get("pulls/7")
    assert waits == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            Fault(401, {"message": "Bad credentials"}),
            "GitHub refused GET pulls/7 (401 Bad credentials): the token is not valid: set GITHUB_TOKEN to the "
            "job's `${{ github.token }}`",
        ),
        (
            Fault(
                403,
                {"message": "Resource not accessible by integration"},
                {"X-Accepted-GitHub-Permissions": "pull_requests=write"},
            ),
            "GitHub refused GET pulls/7 (403 Resource not accessible by integration): the job's `permissions` "
            "do not allow it, which must have pull_requests=write",
        ),
        (
            Fault(404, {"message": "Not Found"}),
            "GitHub refused GET pulls/7 (404 Not Found): it does not exist, or the "
            "job's `permissions` do not include reading it",
        ),
        (
            Fault(422, {"message": "Validation Failed\n::set-env name=PATH::/tmp"}),
            "GitHub refused GET pulls/7 (422 Validation Failed ::set-env name=PATH::/tmp)",
        ),
        (
            Fault(301, {"message": "Moved"}, {"Location": "https://elsewhere.invalid/"}),
            "GitHub refused GET pulls/7 (301): the repository was renamed or moved: GITHUB_REPOSITORY "
            "must be its new name",
        ),
        (Fault(400, b"<html>no"), "GitHub refused GET pulls/7 (400)"),
    ],
)
def test_a_rejected_call_is_reported_with_its_remedy(
    github: GitHub, repository: Repository, waits: list[float], fault: Fault, sentence: str
) -> None:
    repository.faults[PULL] = [fault]
    with pytest.raises(GitHubError) as caught:
        github.get("pulls/7")
    assert str(caught.value) == sentence
    assert waits == []


def test_a_response_that_is_too_large_is_not_read_to_its_end(
    github: GitHub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery.github.client.MOST_BYTES", 1000)
    repository.faults[PULL] = [Fault(200, {"text": "x" * 100_000})]
    with pytest.raises(DeliveryError, match="is larger than 1000 bytes"):
        github.get("pulls/7")


def test_an_unreachable_server_is_one_message(waits: list[float]) -> None:
    client = GitHub("http://127.0.0.1:9", REPOSITORY, TOKEN, wait=waits.append)
    with pytest.raises(
        NoResponseError, match=r"^GitHub's response to GET pulls/7 was incomplete \(ConnectionError\)"
    ):
        client.get("pulls/7")
    assert len(waits) == ATTEMPTS - 1


def test_no_error_shows_the_token(github: GitHub, repository: Repository) -> None:
    messages: list[Any] = [repr(vars(github)), str(github)]
    for status in (400, 401, 403, 404, 410, 422, 500):
        repository.faults[PULL] = [Fault(status, {"message": f"bad token {TOKEN}"})] * ATTEMPTS
        with pytest.raises(DeliveryError) as caught:
            github.get("pulls/7")
        messages += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    assert TOKEN not in json.dumps(messages)


def test_no_netrc_replaces_the_token(
    github: GitHub, repository: Repository, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    repository.pull()
    github.get("pulls/7")
    assert repository.tokens == {f"Bearer {TOKEN}"}
