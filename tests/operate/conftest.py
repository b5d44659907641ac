"""A fake of Google Cloud on loopback: it keeps bucket settings and REST responses; objects are in the emulator.

The storage emulator does not store bucket settings and refuses versioned buckets, so the fake handles those calls.
"""

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from cdk.apis import list_needed_apis
from cdk.settings import Settings, load_environments
from local.data_plane.emulators import Emulators
from operate.cloud import Cloud, connect
from tests.conftest import ENVIRONMENTS

ROOT = Path(__file__).parents[2]
NUMBER = 4711
PROJECTS = itertools.count(1)
TERRAFORM = '{"terraform_version": "1.11.4"}'
# Services whose responses are all set by a test.
FAKED_SERVICES = (
    "STORAGE",
    "BIG_QUERY",
    "PUBSUB",
    "CLOUDFUNCTIONS2",
    "CLOUD_RUN_V2",
    "CLOUD_SCHEDULER",
    "DATAPROC",
    "ARTIFACT_REGISTRY",
    "COMPUTE",
    "IAM",
    "LOGGING",
    "MONITORING",
)
Response = tuple[int, Any]


class Google:
    """One project. `responses` and `queues` replace a call's response; `calls` lists all calls but those of objects."""

    def __init__(self, project: str, emulator_url: str) -> None:
        self.project, self.emulator_url = project, emulator_url
        self.enabled = set(list_needed_apis(ci=True))
        self.buckets: dict[str, dict[str, Any]] = {}
        self.bindings: list[dict[str, Any]] = []
        self.pools: dict[str, str] = {}  # path → state
        self.responses: dict[str, Response] = {}
        self.queues: dict[str, list[Response]] = {}  # responses of a call, in order
        self.calls: list[str] = []
        self.received: list[tuple[dict[str, list[str]], Any]] = []  # query and body of each call with a queue
        google = self

        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, found = google.respond(self.command, self.path, body, dict(self.headers))
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = respond  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that direct Terraform and the commands to this server."""
        return {
            "GOOGLE_OAUTH_ACCESS_TOKEN": "fake",
            "VLILLE_ENVIRONMENTS": str(ENVIRONMENTS),
            "GOOGLE_BACKEND_STORAGE_CUSTOM_ENDPOINT": f"{self.url}/storage/v1/",
            "GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT": f"{self.url}/v1/",
            "GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT": f"{self.url}/v1/",
            "GOOGLE_IAM_BETA_CUSTOM_ENDPOINT": f"{self.url}/v1/",
            **{f"GOOGLE_{name}_CUSTOM_ENDPOINT": f"{self.url}/{name.lower()}/" for name in FAKED_SERVICES},
        }

    def respond(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        parts = urlsplit(path)
        call = f"{method} {parts.path}"
        if "/o/" not in call:
            self.calls.append(call)
        if call in self.queues:
            self.received.append((parse_qs(parts.query), json.loads(body or b"null")))
            return self.queues[call].pop(0)
        if call in self.responses:
            return self.responses[call]
        if parts.path.startswith("/v1/"):
            return self._rest(method, parts.path.removeprefix("/v1/"), parse_qs(parts.query))
        words = parts.path.removeprefix("/storage/v1/b").strip("/").split("/")
        if parts.path.startswith("/storage/v1/b") and words[1:] in ([], ["iam"]):
            return self._bucket(method, words[0], words[1:], json.loads(body or b"{}"))
        kept = {
            name: text for name, text in headers.items() if name.title() in ("Content-Type", "Content-Range")
        }
        done = requests.request(method, f"{self.emulator_url}{path}", data=body, headers=kept, timeout=30)
        return done.status_code, done.content

    def _rest(self, method: str, path: str, query: Mapping[str, list[str]]) -> Response:
        if path == f"projects/{self.project}":
            return 200, {"projectId": self.project, "projectNumber": str(NUMBER), "lifecycleState": "ACTIVE"}
        if path == f"projects/{self.project}/services":
            return 200, self._services(query)
        pool, _, verb = path.partition(":")
        if pool not in self.pools:
            return refusal(404, "it is not there")
        if (method, verb) == ("POST", "undelete"):
            self.pools[pool] = "ACTIVE"
            return 200, {"name": f"{pool}/operations/1"}
        return 200, {"name": pool, "state": self.pools[pool]}

    def _services(self, query: Mapping[str, list[str]]) -> dict[str, Any]:
        """Two services a page, in Google's order of nothing in particular."""
        assert query["filter"] == ["state:ENABLED"]
        names = sorted(self.enabled, reverse=True)
        begin = int(query.get("pageToken", ["0"])[0])
        page = {
            "services": [{"name": f"projects/{NUMBER}/services/{name}"} for name in names[begin : begin + 2]]
        }
        return page | ({"nextPageToken": str(begin + 2)} if names[begin + 2 :] else {})

    def _bucket(self, method: str, name: str, more: list[str], body: dict[str, Any]) -> Response:
        if method == "POST":
            name = body["name"]
            if name in self.buckets:
                return refusal(409, "the name is taken")
            self.buckets[name] = {"projectNumber": str(NUMBER), **body}
            requests.post(
                f"{self.emulator_url}/storage/v1/b", json={"name": name}, timeout=30
            ).raise_for_status()
        if name not in self.buckets:
            return refusal(404, "no such bucket")
        if more == ["iam"]:
            return 200, {"version": 3, "bindings": self.bindings, "etag": "e"}
        if method == "PATCH":
            self.buckets[name] |= body
        if method == "DELETE":
            done = requests.delete(f"{self.emulator_url}/storage/v1/b/{name}", timeout=30)
            if done.ok:
                del self.buckets[name]
            return done.status_code, done.content
        return 200, self.buckets[name]


def refusal(status: int, message: str, reason: str = "") -> Response:
    """Return an error response of Google's REST APIs."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return status, {"error": {"code": status, "message": message, "details": details}}


@pytest.fixture
def settings() -> Settings:
    """The settings of dev, with a project that no other test uses."""
    dev = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]
    return replace(dev, project=f"operate-{os.getpid()}-{next(PROJECTS)}")


@pytest.fixture
def google(settings: Settings, emulators: Emulators) -> Iterator[Google]:
    fake = Google(settings.project, emulators.gcs_url)
    yield fake
    fake.close()


@pytest.fixture
def cloud(google: Google, settings: Settings) -> Cloud:
    return connect(settings.project, google.variables)


@pytest.fixture
def put_state(google: Google, emulators: Emulators) -> Callable[..., None]:
    """Return a function that writes an object into the state bucket directly."""

    def put(name: str, document: object) -> None:
        url = f"{emulators.gcs_url}/upload/storage/v1/b/{google.project}-tfstate/o"
        query = {"uploadType": "media", "name": name}
        requests.post(url, params=query, data=json.dumps(document), timeout=30).raise_for_status()

    return put


def state_of(*resources: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """Return a state of format 4 with (type, name, attributes) of each resource."""
    return {
        "version": 4,
        "resources": [
            {"mode": "managed", "type": kind, "name": name, "instances": [{"attributes": attributes}]}
            for kind, name, attributes in resources
        ],
    }


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a program that prints a text, and returns the program's folder."""

    def make(name: str = "terraform", prints: str = TERRAFORM, status: int = 0) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        file = folder / name
        file.write_text(f"#!/bin/sh\necho '{prints}'\nexit {status}\n")
        file.chmod(0o755)
        return folder

    return make


def empty_project(project: str, region: str) -> dict[str, Response]:
    """Return the responses of an empty project."""
    parent = f"projects/{project}"
    paths = (
        f"dataproc/{parent}/regions/{region}/clusters",
        f"compute/{parent}/aggregated/disks",
        f"artifact_registry/{parent}/locations/{region}/repositories",
        "storage/b",
        f"iam/{parent}/serviceAccounts",
    )
    return {f"GET /{path}": (200, {}) for path in paths} | {f"POST /v1/{parent}:getIamPolicy": (200, {})}
