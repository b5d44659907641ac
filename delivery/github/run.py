"""The run of a workflow, read from GitHub's environment variables and the event file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.errors import DeliveryError
from delivery.github.client import GitHub

MOST_BYTES = 32 * 1024 * 1024
NEEDED = ("GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_SHA")


@dataclass(frozen=True)
class Pull:
    """A pull request. `sha` is the run's commit, `labels` are the current ones."""

    number: int
    sha: str
    labels: tuple[str, ...]
    fork: bool
    current: bool = True  # nothing was pushed since


@dataclass(frozen=True)
class Run:
    """One run. `summary` and `outputs` are the files that GitHub reads, None outside of a workflow."""

    repository: str
    token: str
    event_name: str
    event: Mapping[str, Any]
    sha: str
    api: str = "https://api.github.com"
    url: str = ""
    summary: Path | None = None
    outputs: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Run":
        """Read the variables that GitHub sets. Raises DeliveryError."""
        if missing := [name for name in NEEDED if not environ.get(name)]:
            raise DeliveryError(
                f"{', '.join(missing)} is not set: this is a step of a workflow (docs/ci.md), which sets GITHUB_TOKEN "
                "to `${{ github.token }}`, and GitHub the rest"
            )
        event = Path(environ["GITHUB_EVENT_PATH"])
        try:
            found = json.loads(_read_event_file(event))
        except (OSError, ValueError) as error:
            raise DeliveryError(f"the event's file {event} cannot be read ({type(error).__name__})") from None
        repository = environ["GITHUB_REPOSITORY"]
        server, number = environ.get("GITHUB_SERVER_URL", "https://github.com"), environ.get("GITHUB_RUN_ID")
        return cls(
            repository=repository,
            token=environ["GITHUB_TOKEN"],
            event_name=environ["GITHUB_EVENT_NAME"],
            event=found,
            sha=environ["GITHUB_SHA"],
            api=environ.get("GITHUB_API_URL") or cls.api,
            url=f"{server}/{repository}/actions/runs/{number}" if number else "",
            summary=_get_path(environ, "GITHUB_STEP_SUMMARY"),
            outputs=_get_path(environ, "GITHUB_OUTPUT"),
        )

    def make_client(self) -> GitHub:
        """Return a client of the API for the run's repository."""
        return GitHub(self.api, self.repository, self.token)

    def write_summary(self, text: str) -> None:
        """Append a text to the summary on the run's page."""
        _append_text(self.summary, f"{text.rstrip()}\n\n")

    def write_output(self, name: str, value: str) -> None:
        """Set an output for the jobs that follow."""
        _append_text(self.outputs, f"{name}={value}\n")

    def find_pull(self, github: GitHub) -> Pull | None:
        """Return the pull request of the run, None if it is closed. Raises DeliveryError."""
        try:
            if self.event_name == "pull_request":
                pull_request = self.event["pull_request"]
                found = github.get(f"pulls/{int(pull_request['number'])}")
                return (
                    _parse_pull(found, str(pull_request["head"]["sha"]))
                    if found.get("state") == "open"
                    else None
                )
            if self.event_name == "workflow_run":
                return self._find_pull_of_fork(github)
        except (KeyError, TypeError, ValueError) as error:
            raise DeliveryError(
                f"the event {self.event_name} names no existing pull request ({type(error).__name__})"
            ) from None
        raise DeliveryError(
            f"found the event {self.event_name!r}, expected pull_request, or workflow_run after one of a fork"
        )

    def _find_pull_of_fork(self, github: GitHub) -> Pull | None:
        """Find the pull request by GitHub's data about the run: files of a fork's run cannot be trusted."""
        workflow_run = self.event["workflow_run"]
        sha, owner = str(workflow_run["head_sha"]), str(workflow_run["head_repository"]["owner"]["login"])
        base = str(self.event["repository"]["default_branch"])
        query = {"state": "open", "base": base, "head": f"{owner}:{workflow_run['head_branch']}"}
        for each in github.list_items("pulls", **query):
            head = each["head"]
            same_repository = (head.get("repo") or {}).get("full_name") == workflow_run["head_repository"][
                "full_name"
            ]
            if same_repository and each["base"]["ref"] == base:
                return _parse_pull(each, sha)
        return None


def find_merged_pull(github: GitHub, sha: str) -> Pull | None:
    """Return the pull request that was merged as a commit, None if there is none. Raises DeliveryError."""
    for each in github.list_items(f"commits/{sha}/pulls"):
        if each.get("merged_at") and each.get("merge_commit_sha") == sha:
            return _parse_pull(github.get(f"pulls/{int(each['number'])}"), str(each["head"]["sha"]))
    return None


def _parse_pull(found: Mapping[str, Any], sha: str) -> Pull:
    head, base = found["head"], found["base"]
    return Pull(
        number=int(found["number"]),
        sha=sha,
        labels=tuple(str(each["name"]) for each in found.get("labels") or []),
        fork=(head.get("repo") or {}).get("full_name") != base["repo"]["full_name"],
        current=head["sha"] == sha,
    )


def _read_event_file(file: Path) -> bytes:
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    return content


def _get_path(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None


def _append_text(file: Path | None, text: str) -> None:
    if file is not None:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(text)
