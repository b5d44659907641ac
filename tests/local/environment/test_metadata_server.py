"""The metadata server, read by Google's libraries in a fresh process and by plain requests."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.environment.environment import LocalEnvironment, project_number
from local.environment.metadata_server import MetadataServer, access_token, identity_token
from local.processes.variables import make_child_variables

EMAIL = "vlille-collector@demo-project.iam.gserviceaccount.com"
FLAVOR = {"Metadata-Flavor": "Google"}


@pytest.fixture(scope="module")
def metadata() -> Iterator[MetadataServer]:
    server = MetadataServer("demo-project", "123456789012", "europe-west1")
    yield server
    server.close()


def get(host: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(f"http://{host}{path}", headers=FLAVOR if headers is None else headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


@pytest.mark.unit
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("project/project-id", "demo-project"),
        ("project/numeric-project-id", "123456789012"),
        ("universe/universe-domain", "googleapis.com"),
        ("instance/region", "projects/123456789012/regions/europe-west1"),
        ("instance/service-accounts/", f"default/\n{EMAIL}/\n"),
        ("instance/service-accounts/default/email", EMAIL),
        (f"instance/service-accounts/{EMAIL}/email", EMAIL),
        ("instance/service-accounts/default/scopes", "https://www.googleapis.com/auth/cloud-platform"),
        ("instance/service-accounts/default/token", json.dumps(access_token(EMAIL))),
    ],
)
def test_paths(metadata: MetadataServer, path: str, expected: str) -> None:
    status, headers, text = get(metadata.host_for(EMAIL), f"/computeMetadata/v1/{path}")
    assert (status, text) == (200, expected)
    assert headers["Metadata-Flavor"] == "Google"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/computeMetadata/v1/project/project-id", {}, 403),
        ("/computeMetadata/v1/project/project-id", {"Metadata-Flavor": "Other"}, 403),
        ("/computeMetadata/v1/project/attributes/ssh-keys", FLAVOR, 404),
        ("/computeMetadata/v1/instance/service-accounts/other@x/token", FLAVOR, 404),
        ("/computeMetadata/v1/instance/service-accounts/default/identity", FLAVOR, 404),
    ],
)
def test_status(metadata: MetadataServer, path: str, headers: dict[str, str], status: int) -> None:
    assert get(metadata.host_for(EMAIL), path, headers)[0] == status


@pytest.mark.unit
def test_each_account_has_a_port_and_a_token_of_its_own(metadata: MetadataServer) -> None:
    hosts = [metadata.host_for(email) for email in ("a@p", "b@p", "a@p")]
    assert hosts[0] == hosts[2] != hosts[1]
    assert all(host.startswith("127.0.0.1:") for host in hosts)
    tokens = [
        json.loads(get(host, "/computeMetadata/v1/instance/service-accounts/default/token")[2])
        for host in hosts[:2]
    ]
    assert [token["access_token"] for token in tokens] == ["local:a@p", "local:b@p"]


@pytest.mark.unit
def test_identity_token_is_an_unsigned_jwt() -> None:
    header, claims, signature = identity_token(EMAIL, "http://copier", 1_000_000.5).split(".")
    assert signature == ""
    assert decoded(header) == {"alg": "none", "typ": "JWT"}
    assert decoded(claims).items() >= {"aud": "http://copier", "email": EMAIL, "exp": 1_003_600}.items()


def decoded(part: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


@pytest.mark.unit
def test_project_number_is_stable_and_of_twelve_digits() -> None:
    assert project_number("demo-project") == project_number("demo-project")
    assert {len(project_number(name)) for name in ("a", "demo-project", "x" * 30)} == {12}


WORKLOAD = """
import json, socket, sys, threading
asked, resolve = [], socket.getaddrinfo
def spy(host, *rest, **more):
    asked.append(host)
    return resolve(host, *rest, **more)
socket.getaddrinfo = spy
import google.auth
from google.auth.transport.requests import Request
from google.oauth2.id_token import fetch_id_token
credentials, project = google.auth.default()
credentials.refresh(Request())
identity = fetch_id_token(Request(), "http://copier")
more = {}
if sys.argv[1:] == ["clients"]:
    from google.cloud import bigquery, storage
    bucket = storage.Client().create_bucket(project + "-landing")
    bucket.blob("a/b.txt").upload_from_string("hello")
    more["object"] = [blob.name for blob in storage.Client().list_blobs(bucket)]
    client = bigquery.Client()
    client.create_dataset("d")
    job = client.load_table_from_json([{"n": 42}], project + ".d.t", job_id="once")
    job.result()
    more["rows"] = [dict(row) for row in client.query_and_wait("SELECT n FROM d.t")]
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "Regional" in type(thread).__name__:
            thread.join(5)
print(json.dumps({"kind": type(credentials).__module__, "project": project, "token": credentials.token,
    "identity": identity, "asked": sorted(set(asked)), **more}))
"""


def run_workload(environment: LocalEnvironment, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", WORKLOAD, *arguments],
        env=environment.workload_variables(EMAIL),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.local
def test_default_credentials_of_a_fresh_process(environment: LocalEnvironment) -> None:
    found = run_workload(environment)
    assert found["kind"] == "google.auth.compute_engine.credentials"
    assert found["project"] == environment.project
    assert found["token"] == f"local:{EMAIL}"
    assert decoded(found["identity"].split(".")[1])["aud"] == "http://copier"


@pytest.mark.emulator
def test_clients_reach_only_the_emulators(environment_with_emulators: LocalEnvironment) -> None:
    found = run_workload(environment_with_emulators, "clients")
    assert (found["object"], found["rows"]) == (["a/b.txt"], [{"n": 42}])
    assert found["asked"] == ["127.0.0.1"]


@pytest.mark.local
def test_the_users_credentials_are_out_of_reach(
    environment: LocalEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user with a key in the environment, a gcloud login at home, and the check for Google disabled."""
    home = tmp_path / "user"
    (home / ".config" / "gcloud").mkdir(parents=True)
    login = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "t"}
    key = home / ".config" / "gcloud" / "application_default_credentials.json"
    key.write_text(json.dumps(login))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(key.parent))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "somebody-elses")
    found = run_workload(environment)
    assert (found["kind"], found["project"]) == (
        "google.auth.compute_engine.credentials",
        environment.project,
    )


@pytest.mark.unit
def test_workloads_inherit_no_variable_of_the_user(
    environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    variables = environment.workload_variables(EMAIL)
    assert set(variables) - set(make_child_variables(environment.folder)) == {
        "API_ENDPOINT_OVERRIDE",
        "BIGQUERY_EMULATOR_HOST",
        "GCE_METADATA_HOST",
        "GCE_METADATA_IP",
        "GCE_METADATA_MTLS_MODE",
        "GCE_METADATA_ROOT",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
        "NO_GCE_CHECK",
    }
    assert "secret" not in variables.values()
    folders = [variables[name] for name in ("HOME", "TMPDIR", "CLOUDSDK_CONFIG")]
    assert all(Path(folder).is_relative_to(environment.folder) for folder in folders)


@pytest.mark.local
def test_a_closed_metadata_server_refuses_connections(
    new_environment: Callable[..., LocalEnvironment],
) -> None:
    environment = new_environment()
    host = environment.metadata.host_for(EMAIL)
    assert get(host, "/")[0] == 200
    environment.metadata.close()
    with pytest.raises(OSError, match="refused"):
        get(host, "/")
