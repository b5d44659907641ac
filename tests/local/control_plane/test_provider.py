"""The recorded requests of the google provider 6.50.0, replayed.

No provider is needed: its requests are sent again, and each response must be the recorded one.
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
from tests.local.control_plane.recording import FILE, HERE, without_variable_values

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
    """An environment with the project of the recording."""
    return replace(new_environment(emulators), project="vlille-dev", clock=clock)


def send_request(plane: ControlPlane, method: str, target: str, body: Any = None) -> ApiResponse:
    # Which workload a URL of the recording led to is not known; nobody is called here.
    sent = b"" if body is None else json.dumps(body).replace(HERE, "http://127.0.0.1:9").encode()
    return plane.respond(
        parse_request(method, target, sent, {"Host": "here", "Content-Type": "application/json"})
    )


def send_and_wait(plane: ControlPlane, method: str, target: str, body: Any) -> ApiResponse:
    """Send a request, and wait for the operation that it may have started."""
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


def replace_digests(entries: list[dict[str, Any]], artifact: bytes) -> list[dict[str, Any]]:
    """Return the recording with the digest of this artifact in place of the services' digests."""
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
    for entry in replace_digests(ENTRIES, service):
        where = f"{entry['method']} {entry['target']}"
        response = send_and_wait(plane, entry["method"], entry["target"], entry["body"])
        assert response.status == entry["status"], f"{where}: {response.body.decode()}"
        if entry["method"] == "POST" and (entry["body"] or {}).get("name") == "vlille-dev-artifacts":
            put_artifacts(environment, service)
        for read in entry["reads"]:
            again = send_request(plane, read["method"], read["target"])
            assert again.status == read["status"], f"after {where}: {read['target']}"
            if read["status"] == 200 and "/o" not in read["target"]:
                assert without_variable_values(json.loads(again.body or b"null")) == read["reply"], (
                    f"after {where}"
                )
            reads += 1
    assert reads > 100
    assert remaining_resources(environment) == {}


def put_artifacts(environment: LocalEnvironment, service: bytes) -> None:
    """Upload what the recording leaves out: a small archive for each name."""
    for entry in replace_digests(ENTRIES, service):
        path = unquote(urlsplit(entry["target"]).path)
        if entry["method"] == "DELETE" and "/vlille-dev-artifacts/o/" in path:
            name = path.partition("/o/")[2]
            content = service if name.partition("/")[0] in SERVICES else zipped(FUNCTION)
            environment.service(Storage).put_object(
                "vlille-dev-artifacts", name, content, "application/zip", {}
            )


def remaining_resources(environment: LocalEnvironment) -> dict[str, list[str]]:
    """Return the remaining resources by type."""
    folder = environment.folder / "control_plane"
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
