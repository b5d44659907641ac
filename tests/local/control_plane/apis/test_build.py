"""The deploy's build script, run as by Terraform, against the emulated builder and registry."""

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import requests

from local.control_plane.server import ControlPlane
from local.data_plane.emulators import Emulators
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.services.iam import Policies
from local.services.storage import Storage

pytestmark = pytest.mark.emulator

SCRIPT = Path(__file__).parents[4] / "cdk" / "workloads" / "build_image.py"
IMAGE = "europe-west1-docker.pkg.dev/{}/vlille/copier:{}"


@pytest.fixture
def environment(
    new_environment: Callable[..., LocalEnvironment], emulators: Emulators, clock: RealClock
) -> LocalEnvironment:
    """An environment with a bucket for artifacts and a repository for images."""
    one = replace(new_environment(emulators), clock=clock)
    one.service(Storage).put_bucket({"name": f"{one.project}-artifacts"})
    return one


@pytest.fixture
def build(
    environment: LocalEnvironment, plane: ControlPlane
) -> Callable[[str, str], subprocess.CompletedProcess[str]]:
    """Run the script on a source archive for a tag."""
    parent = f"projects/{environment.project}/locations/europe-west1/repositories"
    url = f"{plane.url}/artifactregistry/v1/{parent}"
    requests.post(url, params={"repository_id": "vlille"}, json={}, timeout=30).raise_for_status()
    wait_for(f"{url}/vlille", 200)
    base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    environ = base | plane.variables()
    account = f"vlille-build@{environment.project}.iam.gserviceaccount.com"
    for resource, role in (
        (f"b/{environment.project}-artifacts", "roles/storage.objectViewer"),
        (f"projects/{environment.project}", "roles/logging.logWriter"),
        (f"{parent}/vlille", "roles/artifactregistry.writer"),
    ):
        environment.service(Policies).grant(resource, role, [f"serviceAccount:{account}"])

    def run(archive: str, tag: str) -> subprocess.CompletedProcess[str]:
        given = {
            "--project": environment.project,
            "--region": "europe-west1",
            "--bucket": f"{environment.project}-artifacts",
            "--object": archive,
            "--image": IMAGE.format(environment.project, tag),
            "--service-account": f"projects/{environment.project}/serviceAccounts/{account}",
        }
        words = [word for pair in given.items() for word in pair]
        return subprocess.run(
            [sys.executable, str(SCRIPT), *words],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def wait_for(url: str, status: int) -> None:
    """Wait for the end of a long-running operation by what it creates or deletes."""
    end = time.monotonic() + 30
    while requests.get(url, timeout=30).status_code != status:
        assert time.monotonic() < end, url
        time.sleep(0.02)


def put(environment: LocalEnvironment, name: str, files: dict[str, str]) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    bucket = f"{environment.project}-artifacts"
    environment.service(Storage).put_object(bucket, name, buffer.getvalue(), "application/zip", {})


def test_an_image_is_built_once(
    environment: LocalEnvironment, build: Callable[[str, str], subprocess.CompletedProcess[str]]
) -> None:
    put(environment, "copier.zip", {"Dockerfile": "FROM scratch"})
    image = IMAGE.format(environment.project, "a1")
    first, second = build("copier.zip", "a1"), build("copier.zip", "a1")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    output_lines = first.stdout.splitlines()
    assert output_lines[0] == f"building {image} from gs://{environment.project}-artifacts/copier.zip"
    assert output_lines[-1].startswith(f"built {image} in")
    assert second.stdout.splitlines() == [f"{image} exists: nothing to build"]


def test_a_build_that_fails_prints_the_end_of_its_log(
    environment: LocalEnvironment, build: Callable[[str, str], subprocess.CompletedProcess[str]]
) -> None:
    put(environment, "copier.zip", {"main.py": ""})
    done = build("copier.zip", "b2")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"the build of {IMAGE.format(environment.project, 'b2')} failed: "
        "the source archive has no Dockerfile, so no image can be built from it",
        f"building {IMAGE.format(environment.project, 'b2')} from gs://{environment.project}-artifacts/copier.zip",
        "ERROR: the source archive has no Dockerfile, so no image can be built from it",
    ]


def test_without_a_repository_nothing_is_built(
    environment: LocalEnvironment,
    plane: ControlPlane,
    build: Callable[[str, str], subprocess.CompletedProcess[str]],
) -> None:
    root = f"{plane.url}/artifactregistry/v1/projects/{environment.project}/locations/europe-west1"
    requests.delete(f"{root}/repositories/vlille", timeout=30).raise_for_status()
    wait_for(f"{root}/repositories/vlille", 404)
    done = build("copier.zip", "c3")
    assert done.returncode == 1
    assert "builds:submit responded with status 404" in done.stderr
