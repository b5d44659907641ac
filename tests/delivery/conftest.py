"""A fake of GitHub's API on loopback: the calls that the steps make, on one repository in memory."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from delivery.github.client import GitHub

REPOSITORY = "bikes-lille/vlille"
TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"  # noqa: S105 - the test looks for it in what is printed
BOT = {"login": "github-actions[bot]", "type": "Bot"}
ADA = {"login": "ada", "type": "User"}
BEGIN = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SHA, MERGE = "a" * 40, "b" * 40


@dataclass
class Fault:
    """A response that replaces the call's own; with `done` the call is executed all the same."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    done: bool = False
    cut: bool = False  # the connection ends without a response


class Repository:
    """One repository. `calls` holds method and path of each request, `faults` the faulty responses of a call."""

    def __init__(self) -> None:
        self.pulls: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, dict[str, Any]] = {}  # by id; "issue" is the number they belong to
        self.issues: dict[int, dict[str, Any]] = {}
        self.events: dict[int, list[dict[str, Any]]] = {}
        self.statuses: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.tokens: set[str] = set()
        self.faults: dict[str, list[Fault]] = {}
        self.now = BEGIN
        self.longest_page = 100
        self.identity = BOT
        self._next = 100
        repository = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two packets, and Nagle's algorithm would delay the second.
            disable_nagle_algorithm = True

            def respond(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                repository.tokens.add(self.headers.get("Authorization", ""))
                status, body, headers = repository.respond(
                    self.command, self.path, json.loads(content or b"null")
                )
                if not status:
                    self.close_connection = True
                    return
                data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = respond  # noqa: N815 - http.server's names

            def date_time_string(self, timestamp: float | None = None) -> str:
                return format_datetime(repository.now, usegmt=True)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- what tests put into the repository ---------------------------------------------------------

    def pull(
        self, number: int = 7, sha: str = SHA, *, fork: bool = False, merged: bool = False, **more: Any
    ) -> dict[str, Any]:
        owner = "grace" if fork else "bikes-lille"
        self.pulls[number] = {
            "number": number,
            "state": "closed" if merged else "open",
            "merged_at": "2026-11-25T13:00:00Z" if merged else None,
            "merge_commit_sha": MERGE if merged else None,
            "labels": [],
            "head": {
                "sha": sha,
                "ref": "change",
                "repo": {"full_name": f"{owner}/vlille"},
                "label": f"{owner}:change",
            },
            "base": {"ref": "main", "repo": {"full_name": REPOSITORY}},
            **more,
        }
        return self.pulls[number]

    def label(
        self, name: str, minutes: float, number: int = 7, actor: Mapping[str, str] = ADA, *, off: bool = False
    ) -> None:
        """Set or remove a label, some minutes after the beginning."""
        at = f"{BEGIN + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
        event = "unlabeled" if off else "labeled"
        self.events.setdefault(number, []).append(
            {"event": event, "label": {"name": name}, "actor": dict(actor), "created_at": at}
        )
        rest = [each for each in self.pulls[number]["labels"] if each["name"] != name]
        self.pulls[number]["labels"] = rest + ([] if off else [{"name": name}])

    def comment(self, body: str, issue: int = 7, user: Mapping[str, str] = BOT) -> int:
        self._next += 1
        self.comments[self._next] = {
            "id": self._next,
            "issue": issue,
            "body": body,
            "user": dict(user),
            "html_url": f"https://github.com/{REPOSITORY}/pull/{issue}#issuecomment-{self._next}",
        }
        return self._next

    def issue(self, body: str, user: Mapping[str, str] = BOT, **more: Any) -> int:
        self._next += 1
        self.issues[self._next] = {
            "number": self._next,
            "body": body,
            "user": dict(user),
            "state": "open",
            **more,
        }
        return self._next

    # --- responses ----------------------------------------------------------------------------------

    def respond(self, method: str, path: str, body: Any) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(path)
        where = parts.path.removeprefix(f"/repos/{REPOSITORY}/")
        call = f"{method} {where}"
        self.calls.append(call)
        if self.faults.get(call):
            fault = self.faults[call].pop(0)
            if fault.done:
                self._respond(method, where, {}, body)
            return (0 if fault.cut else fault.status), fault.body, dict(fault.headers)
        return self._respond(method, where, parse_qs(parts.query), body)

    def _respond(
        self, method: str, where: str, query: Mapping[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        for pattern, found in (
            (r"GET pulls/(\d+)", lambda number: self.pulls.get(int(number))),
            (r"POST issues/(\d+)/comments", lambda number: self._posted(int(number), body)),
            (
                r"PATCH issues/comments/(\d+)",
                lambda number: self._patched(self.comments.get(int(number)), body),
            ),
            (r"PATCH issues/(\d+)", lambda number: self._patched(self.issues.get(int(number)), body)),
            (r"POST issues", lambda: self.issues[self.issue(body["body"], title=body["title"])]),
            (r"POST statuses/(\w+)", lambda sha: self._status(sha, body)),
        ):
            if match := re.fullmatch(pattern, f"{method} {where}"):
                got = found(*match.groups())
                return (404, {"message": "Not Found"}, {}) if got is None else (200, got, {})
        if match := re.fullmatch(r"DELETE issues/comments/(\d+)", f"{method} {where}"):
            gone = self.comments.pop(int(match[1]), None)
            return (204, None, {}) if gone else (404, {"message": "Not Found"}, {})
        items = self._list(where, query) if method == "GET" else None
        return (404, {"message": "Not Found"}, {}) if items is None else self._page(where, items, query)

    def _posted(self, number: int, body: Any) -> dict[str, Any] | None:
        if number not in self.pulls and number not in self.issues:
            return None
        if len(body["body"].encode("utf-16-le")) // 2 > 65_536:
            raise AssertionError("a comment that GitHub would reject")
        return self.comments[self.comment(body["body"], number, self.identity)]

    def _status(self, sha: str, body: Any) -> dict[str, Any]:
        self.statuses.append({"sha": sha, **body})
        return self.statuses[-1]

    @staticmethod
    def _patched(found: dict[str, Any] | None, body: Any) -> dict[str, Any] | None:
        if found is not None:
            found.update(body)
        return found

    def _list(self, where: str, query: Mapping[str, list[str]]) -> list[dict[str, Any]] | None:
        if match := re.fullmatch(r"issues/(\d+)/comments", where):
            return [each for each in self.comments.values() if each["issue"] == int(match[1])]
        if match := re.fullmatch(r"issues/(\d+)/events", where):
            return self.events.get(int(match[1]), [])
        if match := re.fullmatch(r"commits/(\w+)/pulls", where):
            return [
                each
                for each in self.pulls.values()
                if match[1] in (each["merge_commit_sha"], each["head"]["sha"])
            ]
        if where == "issues":
            return [each for each in self.issues.values() if each["state"] == query["state"][0]]
        if where == "pulls":
            wanted = {name: query[name][0] for name in ("state", "base", "head")}
            return [
                each
                for each in self.pulls.values()
                if (each["state"], each["base"]["ref"], each["head"]["label"]) == tuple(wanted.values())
            ]
        return None

    def _page(
        self, where: str, items: list[dict[str, Any]], query: Mapping[str, list[str]]
    ) -> tuple[int, Any, dict[str, str]]:
        size, number = min(int(query["per_page"][0]), self.longest_page), int(query["page"][0])
        page, rest = items[(number - 1) * size : number * size], items[number * size :]
        link = {"Link": f'<https://elsewhere.invalid/{where}?page={number + 1}>; rel="next"'} if rest else {}
        return 200, page, link


@pytest.fixture
def repository() -> Iterator[Repository]:
    """A fake of GitHub with one empty repository."""
    repository = Repository()
    yield repository
    repository.close()


@pytest.fixture
def waits() -> list[float]:
    """The seconds of each wait of the client."""
    return []


@pytest.fixture
def github(repository: Repository, waits: list[float]) -> GitHub:
    """A client that records its waits instead of sleeping."""
    return GitHub(repository.url, REPOSITORY, TOKEN, wait=waits.append)


@pytest.fixture
def variables(repository: Repository, tmp_path: Path) -> dict[str, str]:
    """The environment variables that GitHub sets for a job, without those of the event."""
    for name in ("summary", "outputs"):
        (tmp_path / name).touch()
    return {
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_API_URL": repository.url,
        "GITHUB_RUN_ID": "4711",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
    }


def event(
    variables: Mapping[str, str], folder: Path, name: str, content: Mapping[str, Any], sha: str = MERGE
) -> dict[str, str]:
    """Return the environment variables of a job that an event triggered."""
    file = folder / "event.json"
    file.write_text(json.dumps(content))
    return {**variables, "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(file), "GITHUB_SHA": sha}


def make_pull_request_event(number: int = 7, sha: str = SHA) -> dict[str, Any]:
    """Return the payload of a pull_request event, with the fields that are read."""
    return {"pull_request": {"number": number, "head": {"sha": sha}}}


def make_fork_event(sha: str = SHA, owner: str = "grace") -> dict[str, Any]:
    """Return the payload of the workflow_run event after a run of a fork's pull request."""
    head = {"full_name": f"{owner}/vlille", "owner": {"login": owner}}
    run = {"head_sha": sha, "head_branch": "change", "head_repository": head}
    return {"workflow_run": run, "repository": {"default_branch": "main"}}


def write_review(folder: Path, *, plan: Mapping[str, Any] | None = None, **content: Any) -> Path:
    """Write the files of a review as `make plan` does or, without a plan, `make compare`."""
    folder.mkdir(parents=True, exist_ok=True)
    review = {"format": 2, "acknowledge": [], "refused": "", "empty": False, **content}
    (folder / "review.json").write_text(json.dumps(review))
    (folder / "review.md").write_text(f"### `{folder.name}`: a headline\n\nand more\n")
    if plan is not None:
        (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def planned(*changes: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a plan's JSON."""
    return {"format_version": "1.2", "resource_changes": list(changes), **more}


def update(address: str, before: Mapping[str, Any], after: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a resource change that is an update in place."""
    change = {
        "actions": ["update"],
        "before": dict(before),
        "after": dict(after),
        "after_unknown": {},
        **more,
    }
    return {"address": address, "type": address.partition(".")[0], "mode": "managed", "change": change}
