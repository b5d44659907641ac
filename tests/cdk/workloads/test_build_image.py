"""The image build, with a fake of the registry and of Cloud Build on loopback."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials

from cdk.workloads.build_command import SCRIPT, build_command
from cdk.workloads.build_image import BuildError, Endpoints, Request, build_image, main

pytestmark = pytest.mark.unit

IMAGE = "europe-west1-docker.pkg.dev/p/vlille/copier:0123456789abcdef"
REQUEST = Request(
    "p", "europe-west1", "p-artifacts", "copier/copier-1.zip", IMAGE, "projects/p/serviceAccounts/b"
)
MANIFEST = "HEAD /v2/p/vlille/copier/manifests/0123456789abcdef"
SUBMIT = "POST /v2/projects/p/locations/europe-west1/builds:submit"
POLL = "GET /v1/operations/1"
ENTRIES = "POST /v2/entries:list"
LOG = "GET /storage/v1/b/logs/o/log-7.txt?alt=media"
STARTED = {"buildOperation": {"name": "operations/1", "metadata": {"build": {"id": "7", "status": "QUEUED"}}}}


def operation(status: str, **more: Any) -> dict[str, Any]:
    build = {"id": "7", "status": status, "logsBucket": "gs://logs", "logUrl": "https://console/7"}
    return {"name": "operations/1", "metadata": {"build": build}, **more}


Responses = dict[str, list[tuple[int, Any]]]


class Google:
    """Returns the responses of each call in order; the last one is repeated."""

    def __init__(self) -> None:
        self.responses: Responses = {}
        self.calls: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        google = self

        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                call = f"{self.command} {self.path}"
                google.calls.append(call)
                if length := int(self.headers.get("Content-Length", 0)):
                    google.bodies.append(json.loads(self.rfile.read(length)))
                left = google.responses.get(call, [(500, f"unexpected: {call}")])
                status, body = left.pop(0) if len(left) > 1 else left[0]
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_POST = respond  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    fake = Google()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake.url)
    yield fake
    fake.close()


@pytest.fixture
def build(google: Google) -> Callable[[Responses], tuple[bool, list[str]]]:
    """Return a function that runs the build with given responses; each poll advances the clock by five seconds."""

    def run(responses: Responses) -> tuple[bool, list[str]]:
        google.responses = responses
        printed: list[str] = []
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        with requests.Session() as session:
            endpoints = Endpoints(google.url, google.url, google.url, google.url)
            built = build_image(
                REQUEST,
                session,
                endpoints,
                deadline_s=12,
                report=printed.append,
                sleep=sleep,
                clock=lambda: now[0],
            )
        return built, printed

    return run


def test_an_image_that_is_there_is_not_built(google: Google, build: Callable[..., Any]) -> None:
    assert build({MANIFEST: [(200, "")]}) == (False, [f"{IMAGE} exists: nothing to build"])
    assert google.calls == [MANIFEST]


def test_a_build_is_submitted_and_waited_for(google: Google, build: Callable[..., Any]) -> None:
    built, printed = build(
        {
            MANIFEST: [(404, "")],
            SUBMIT: [(200, STARTED)],
            POLL: [(200, operation("WORKING")), (200, operation("SUCCESS", done=True, response={}))],
        }
    )
    assert built
    assert printed == [
        f"building {IMAGE} from gs://p-artifacts/copier/copier-1.zip",
        "  working, 5 s",
        "  success, 10 s",
        f"built {IMAGE} in 10 s",
    ]
    assert google.calls == [MANIFEST, SUBMIT, POLL, POLL]
    assert google.bodies == [
        {
            "storageSource": {"bucket": "p-artifacts", "object": "copier/copier-1.zip"},
            "imageUri": IMAGE,
            "dockerBuild": {},
            "serviceAccount": "projects/p/serviceAccounts/b",
        }
    ]


FAILED = operation("FAILURE", done=True, error={"code": 9, "message": "step 2 returned 1"})
UNTIL_FAILED: Responses = {MANIFEST: [(404, "")], SUBMIT: [(200, STARTED)], POLL: [(200, FAILED)]}
LOGGED = {"entries": [{"textPayload": "ERROR: no such package"}, {"textPayload": "Step 2: RUN pip install"}]}
LONG_LOG = "\n".join(f"line {number}" for number in range(100))


@pytest.mark.parametrize(
    ("responses", "words"),
    [
        ({MANIFEST: [(403, "")]}, "responded with status 403 to a look-up of"),
        (
            {MANIFEST: [(404, "")], SUBMIT: [(403, "no permission")]},
            "responded with status 403: no permission",
        ),
        ({MANIFEST: [(404, "")], SUBMIT: [(200, {})]}, "without a buildOperation"),
        (
            {MANIFEST: [(404, "")], SUBMIT: [(200, STARTED)], POLL: [(200, operation("WORKING"))]},
            "is not built after 12 s: deploy again when the build has ended; its log: https://console/7",
        ),
        (
            {**UNTIL_FAILED, LOG: [(200, LONG_LOG)]},
            r"failed: step 2 returned 1\nline 60\n(line \d+\n)+line 99$",
        ),
        (
            {**UNTIL_FAILED, LOG: [(404, "")], ENTRIES: [(200, LOGGED)]},
            r"failed: step 2 returned 1\nStep 2: RUN pip install\nERROR: no such package$",
        ),
        (
            {**UNTIL_FAILED, LOG: [(404, "")], ENTRIES: [(403, {})]},
            r"failed: step 2 returned 1\nits log: https://console/7$",
        ),
    ],
)
def test_an_image_that_is_not_there_in_the_end_is_an_error(
    build: Callable[..., Any], responses: Responses, words: str
) -> None:
    with pytest.raises(BuildError, match=words):
        build(responses)


def test_what_broke_down_once_is_asked_again(
    google: Google, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script as Terraform runs it; the first response of each call is 503."""
    for name in ("RUN", "BUILD", "REGISTRY"):
        monkeypatch.setenv(f"VLILLE_{name}_ENDPOINT", google.url)
    monkeypatch.setattr("cdk.workloads.build_image.POLL_SECONDS", 0.0)
    monkeypatch.setattr("google.auth.default", lambda scopes: (AnonymousCredentials(), None))  # type: ignore[no-untyped-call]
    done = operation("SUCCESS", done=True, response={})
    google.responses = {
        MANIFEST: [(503, ""), (404, "")],
        SUBMIT: [(503, ""), (200, STARTED)],
        POLL: [(503, ""), (200, done)],
    }
    words = [f"--{name.replace('_', '-')}={value}" for name, value in vars(REQUEST).items()]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"built {IMAGE} in")
    assert google.calls == [MANIFEST, MANIFEST, SUBMIT, SUBMIT, POLL, POLL]


# --- the interpreter that Terraform runs ----------------------------------------------------------


@pytest.fixture
def provision(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the stack's command as Terraform does, in a folder below a checkout, and PATH without another Python."""
    folder = tmp_path / "a checkout's" / "cdktf.out" / "stacks" / "vlille-dev"
    folder.mkdir(parents=True)
    command = build_command("script", {"--image": "name"}).replace("$${", "${")

    def run(*interpreters: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        for file in interpreters:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(f'#!/bin/sh\necho "{file} $*"\n')
            (tmp_path / file).chmod(0o755)
        environ = {"PATH": str(tmp_path / "path")} | variables
        return subprocess.run(
            ["/bin/sh", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )

    return run


OF_CHECKOUT, OF_PATH = Path("a checkout's/.venv/bin/python3"), Path("path/python3")


def test_the_build_runs_in_the_checkout_s_environment(
    provision: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert provision(OF_CHECKOUT, OF_PATH).stdout == f"{OF_CHECKOUT} script --image name\n"


def test_the_build_runs_with_the_python_that_a_variable_names(
    provision: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    named = tmp_path / "other" / "python"
    done = provision(OF_CHECKOUT, Path("other/python"), VLILLE_PYTHON=str(named))
    assert done.stdout == "other/python script --image name\n"


def test_the_build_runs_with_the_python_of_path_away_from_a_checkout(
    provision: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert provision(OF_PATH).stdout == f"{OF_PATH} script --image name\n"


def test_a_python_without_the_packages_is_one_sentence() -> None:
    """`-S` excludes site-packages, as for the system's own interpreter."""
    done = subprocess.run([sys.executable, "-S", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"cannot build the image: \S+ has no module google; run `make setup` .*deploy again\n", done.stderr
    )
