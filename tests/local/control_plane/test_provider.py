"""The calls of the real google provider 6.50.0, as they were recorded, answered again.

No provider is needed here: what it sent is sent again, and each answer that it read must be what it was.
"""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from local.control_plane.server import ControlPlane, parse_request
from local.data_plane.emulators import Emulators
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.http.rest import ApiResponse
from local.services.storage import Storage
from tests.local.control_plane.recording import FILE, HERE, steady

pytestmark = pytest.mark.emulator

ENTRIES = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
OPERATION_DEADLINE_S = 60
FUNCTION = {"main.py": "def collect(request):\n    return 'ok'\n"}
SERVICES = ("copier", "dashboard")
SERVICE = {
    "Dockerfile": 'FROM scratch\nCMD ["python", "-m", "http.server", "--bind", "127.0.0.1", "$PORT"]\n'
}


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


@pytest.fixture
def environment(
    new_environment: Callable[..., LocalEnvironment], emulators: Emulators, clock: RealClock
) -> LocalEnvironment:
    """A machine that stands for the project of the recording."""
    return replace(new_environment(emulators), project="vlille-dev", clock=clock)


def send_request(plane: ControlPlane, method: str, target: str, body: Any = None) -> ApiResponse:
    # Which workload a URL of the recording led to is not known; nobody is called here.
    sent = b"" if body is None else json.dumps(body).replace(HERE, "http://127.0.0.1:9").encode()
    return plane.respond(
        parse_request(method, target, sent, {"Host": "here", "Content-Type": "application/json"})
    )


def settled(plane: ControlPlane, method: str, target: str, body: Any) -> ApiResponse:
    """Make a call, and wait for the end of the operation that it may have begun."""
    response = send_request(plane, method, target, body)
    operation = json.loads(response.body or b"{}") or {}
    root = "/".join(target.split("/")[:3])
    end = time.monotonic() + OPERATION_DEADLINE_S
    while "/operations/operation-" in str(operation.get("name")) and not operation.get("done"):
        assert time.monotonic() < end, operation
        time.sleep(0.02)
        operation = json.loads(send_request(plane, "GET", f"{root}/{operation['name']}").body)
    assert "error" not in operation, operation
    return response


def with_digest_of(entries: list[dict[str, Any]], artifact: bytes) -> list[dict[str, Any]]:
    """The recording, with the digest of this artifact where those of the services' were."""
    text = json.dumps(entries)
    for service in SERVICES:
        format_call = text.split(f"{service}/{service}-")[1][:16]
        text = text.replace(format_call, hashlib.sha256(artifact).hexdigest()[:16])
    return list(json.loads(text))


def test_recorded_requests_get_the_recorded_responses(
    plane: ControlPlane, environment: LocalEnvironment
) -> None:
    """From an empty project through all resources to an empty project."""
    service = zipped(SERVICE)
    reads = 0
    for entry in with_digest_of(ENTRIES, service):
        where = f"{entry['method']} {entry['target']}"
        response = settled(plane, entry["method"], entry["target"], entry["body"])
        assert response.status == entry["status"], f"{where}: {response.body.decode()}"
        if entry["method"] == "POST" and (entry["body"] or {}).get("name") == "vlille-dev-artifacts":
            put_artifacts(environment, service)
        for read in entry["reads"]:
            again = send_request(plane, read["method"], read["target"])
            assert again.status == read["status"], f"after {where}: {read['target']}"
            if read["status"] == 200 and "/o" not in read["target"]:
                assert steady(json.loads(again.body or b"null")) == read["reply"], f"after {where}"
            reads += 1
    assert reads > 100
    assert left(environment) == {}


def put_artifacts(environment: LocalEnvironment, service: bytes) -> None:
    """Upload what the recording leaves out: one small archive for each name."""
    for entry in with_digest_of(ENTRIES, service):
        path = unquote(urlsplit(entry["target"]).path)
        if entry["method"] == "DELETE" and "/vlille-dev-artifacts/o/" in path:
            name = path.partition("/o/")[2]
            content = service if name.partition("/")[0] in SERVICES else zipped(FUNCTION)
            environment.service(Storage).put_object(
                "vlille-dev-artifacts", name, content, "application/zip", {}
            )


def left(environment: LocalEnvironment) -> dict[str, list[str]]:
    """What the control plane still holds, by kind."""
    folder = environment.folder / "control"
    held = {
        file.relative_to(folder).as_posix(): list(json.loads(file.read_text()))
        for file in folder.rglob("*.json")
    }
    return {kind: names for kind, names in held.items() if names}


def test_the_recording_has_every_resource_type_of_the_stack() -> None:
    made = {
        urlsplit(entry["target"]).path.split("/")[1]
        for entry in ENTRIES
        if entry["method"] in ("POST", "PUT")
    }
    assert made == {
        "artifactregistry",
        "bigquery",
        "cloudfunctions2",
        "cloudscheduler",
        "compute",
        "dataproc",
        "iam",
        "monitoring",
        "pubsub",
        "resourcemanager",
        "run",
        "storage",
    }


def test_the_recording_has_no_secret_and_no_local_path() -> None:
    text = FILE.read_text("utf-8")
    for word in ("Bearer", "ya29.", "PRIVATE KEY", "/tmp/", "/home/", "/root/", str(Path.home())):
        assert word not in text
