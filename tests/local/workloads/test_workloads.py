"""A function and a service, created by their handlers from archives in the emulated bucket."""

import hashlib
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.environment.environment import LocalEnvironment
from local.errors import LocalError, ProcessError, ServiceError
from local.service_router.router import ServiceRouter
from local.services.functions import function
from local.services.run import service
from local.services.storage import Storage
from local.stack.loading import Resource
from local.workloads.workloads import Workloads, list_objects, parse_gs_uri, read_object, unpack_archive
from tests.local.conftest import as_deployer

pytestmark = pytest.mark.emulator
ACCOUNT = "worker@test.iam.gserviceaccount.com"
FUNCTION = """
import os, urllib.request

def collect(request):
    host = os.environ["GCE_METADATA_HOST"]
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/email"
    asked = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    email = urllib.request.urlopen(asked, timeout=5).read().decode()
    return {"env": dict(os.environ), "body": request.get_json(), "email": email, "pid": os.getppid()}
"""
DOCKERFILE = """
FROM python:3.13-slim
WORKDIR /app
ENV GREETING=hello PYTHONPATH=/app PLACE=/app/inside
COPY . .
CMD ["python", "server.py"]
"""
SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())

HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def upload(environment: LocalEnvironment, name: str, content: bytes) -> str:
    storage, bucket = environment.service(Storage), f"{environment.project}-artifacts"
    storage.put_bucket({"name": bucket, "location": "EU", "storageClass": "STANDARD"})
    storage.put_object(bucket, name, content, "application/zip", {})
    return bucket


@pytest.fixture
def environment(environment_with_emulators: LocalEnvironment) -> Iterator[LocalEnvironment]:
    yield environment_with_emulators
    environment_with_emulators.service(ServiceRouter).close()


def declare_function(
    environment: LocalEnvironment, files: dict[str, str], **variables: str
) -> dict[str, Any]:
    bucket = upload(environment, "collector-1.zip", zipped(files))
    arguments = {
        "name": "collector",
        "location": "europe-west1",
        "build_config": {
            "entry_point": "collect",
            "runtime": "python313",
            "source": {"storage_source": {"bucket": bucket, "object": "collector-1.zip"}},
        },
        "service_config": {
            "environment_variables": variables,
            "service_account_email": ACCOUNT,
            "timeout_seconds": 30,
        },
    }
    kind = "google_cloudfunctions2_function"
    return function(Resource(f"{kind}.x", kind, "x", {}), arguments, environment)


def call_url(environment: LocalEnvironment, url: str, method: str = "POST") -> dict[str, Any]:
    response = environment.service(ServiceRouter).call(
        method, url, {"Content-Type": "application/json"} | as_deployer(environment, url), b'{"n": 1}', 20
    )
    assert response.ok, str(response)
    return dict(json.loads(response.body))


def call_until_restarted(environment: LocalEnvironment, url: str) -> dict[str, Any]:
    """Retry as Pub/Sub does: a push to the dying process fails, a later one succeeds."""
    for _ in range(50):
        try:
            return call_url(environment, url)
        except AssertionError as error:
            if "503" not in str(error):
                raise
            time.sleep(0.1)
    return call_url(environment, url)


def test_a_function_runs_from_its_archive_and_is_restarted(environment: LocalEnvironment) -> None:
    workloads = environment.service(Workloads)
    workloads.overrides["API_URL"] = "http://127.0.0.1:1/"
    made = declare_function(environment, {"main.py": FUNCTION}, FEED="x", API_URL="https://example.com/")
    workloads.wait_until_ready()
    seen = call_url(environment, made["url"])
    expected = {
        "FEED": "x",
        "API_URL": "http://127.0.0.1:1/",
        "K_SERVICE": "collector",
        "FUNCTION_TARGET": "collect",
        "API_ENDPOINT_OVERRIDE": environment.gcs_url,
        "GOOGLE_CLOUD_PROJECT": environment.project,
    }
    assert {key: seen["env"][key] for key in expected} == expected
    assert (seen["body"], seen["email"]) == ({"n": 1}, ACCOUNT)
    assert made["service_config"][0]["uri"] == made["url"]
    assert any("API_URL is http://127.0.0.1:1/ instead of" in each for each in environment.unsupported)

    (process,) = environment.supervisor.processes
    os.killpg(process.pid, signal.SIGKILL)
    assert call_until_restarted(environment, made["url"])["pid"] != seen["pid"]


def test_a_function_inherits_no_variable_of_the_user(
    environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/my/key.json")
    monkeypatch.setenv("MY_SECRET", "secret")
    made = declare_function(environment, {"main.py": FUNCTION})
    environment.service(Workloads).wait_until_ready()
    seen = call_url(environment, made["url"])["env"]
    assert "MY_SECRET" not in seen
    assert seen["GOOGLE_APPLICATION_CREDENTIALS"] == ""


def test_an_archive_without_a_module_fails_although_the_repository_has_it(
    environment: LocalEnvironment,
) -> None:
    files = {"main.py": "import feed\n\ndef collect(request):\n    return 'ok'\n"}
    declare_function(environment, files)
    with pytest.raises(ProcessError, match="No module named 'feed'"):
        environment.service(Workloads).wait_until_ready()


def declare_service(environment: LocalEnvironment, image: str) -> dict[str, Any]:
    container = {
        "image": image,
        "env": [{"name": "LANDING_BUCKET", "value": "l"}],
        "startup_probe": {"http_get": {"path": "/healthz"}},
    }
    arguments = {
        "name": "copier",
        "location": "europe-west1",
        "template": [{"service_account": ACCOUNT, "containers": [container]}],
    }
    kind = "google_cloud_run_v2_service"
    return service(Resource(f"{kind}.x", kind, "x", {}), arguments, environment)


def test_a_service_runs_as_its_dockerfile_says(environment: LocalEnvironment) -> None:
    content = zipped({"Dockerfile": DOCKERFILE, "server.py": SERVER})
    tag = hashlib.sha256(content).hexdigest()[:16]
    upload(environment, f"copier/copier-{tag}.zip", content)
    made = declare_service(environment, f"europe-west1-docker.pkg.dev/p/vlille/copier:{tag}")
    environment.service(Workloads).wait_until_ready()
    seen = call_url(environment, made["uri"], "GET")
    assert (seen["GREETING"], seen["LANDING_BUCKET"], seen["HOST"]) == ("hello", "l", "127.0.0.1")
    assert seen["PLACE"] == str(environment.folder / "services" / "copier" / "inside")
    assert "/app" not in seen["PYTHONPATH"].split(":")


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("latest", "expected a tag that is the beginning of its source's SHA-256"),
        ("0123456789abcdef", "no object of .* has 0123456789abcdef in its name"),
    ],
)
def test_an_image_without_a_source_archive_is_refused(
    environment: LocalEnvironment, tag: str, expected: str
) -> None:
    upload(environment, "copier/copier-0123456789abcdef.zip", b"another content")
    with pytest.raises(LocalError, match=expected):
        declare_service(environment, f"europe-west1-docker.pkg.dev/p/vlille/copier:{tag}")


def test_objects_are_listed_and_read(environment: LocalEnvironment) -> None:
    bucket = upload(environment, "a/b c.txt", b"content")
    upload(environment, "other.txt", b"")
    assert [each["name"] for each in list_objects(environment, bucket, "a/")] == ["a/b c.txt"]
    assert read_object(environment, bucket, "a/b c.txt") == b"content"
    with pytest.raises(ServiceError, match="404"):
        read_object(environment, bucket, "missing")


@pytest.mark.parametrize("uri", ["s3://b/o", "gs://b", "gs://b/", "b/o"])
def test_an_invalid_object_uri_is_refused(uri: str) -> None:
    with pytest.raises(LocalError, match="gs://bucket/object"):
        parse_gs_uri(uri)


def test_unpacking_replaces_the_folders_content(tmp_path: Path) -> None:
    folder = tmp_path / "function"
    unpack_archive(zipped({"old.py": "1"}), folder, "the old")
    unpack_archive(zipped({"new/main.py": "2"}), folder, "the new")
    assert [str(p.relative_to(folder)) for p in folder.rglob("*.py")] == ["new/main.py"]
    assert list(tmp_path.iterdir()) == [folder]


def test_an_invalid_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="gs://b/o is not a zip archive"):
        unpack_archive(b"text", tmp_path / "x", "gs://b/o")
