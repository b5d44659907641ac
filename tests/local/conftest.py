"""Local environments for tests, with and without emulators."""

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.data_plane.emulators import Emulators
from local.environment.environment import LocalEnvironment, project_number
from local.environment.metadata_server import MetadataServer, access_token, identity_token
from local.feeds.generated_day import LILLE, GeneratedDay
from local.iam_proxy.access import AccessControl
from local.processes.supervisor import Supervisor
from local.services.iam import Policies
from tests.conftest import MakeOnce
from tests.local.finished_run import FinishedRun, run

PROJECTS = itertools.count(1)


@dataclass(frozen=True)
class StoppedClock:
    """A clock that always shows the same time."""

    time: datetime = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the same time."""
        return self.time


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """A supervisor with a record of its own."""
    with Supervisor(tmp_path / "processes.json") as supervisor:
        yield supervisor


@contextmanager
def environment_factory(folder: Path, supervisor: Supervisor) -> Iterator[Callable[..., LocalEnvironment]]:
    """Yield a function that creates environments with given emulators (by default none), in one folder and project."""
    project = f"test-project-{next(PROJECTS)}"
    metadata = MetadataServer(project, project_number(project), "europe-west1")

    def make(urls: Emulators = Emulators("http://127.0.0.1:1", "http://127.0.0.1:1")) -> LocalEnvironment:  # noqa: B008
        return LocalEnvironment(
            name="test",
            folder=folder / "test",
            stack_folder=folder,
            project=project,
            region="europe-west1",
            supervisor=supervisor,
            gcs_url=urls.gcs_url,
            bigquery_url=urls.bigquery_url,
            metadata=metadata,
            clock=StoppedClock(),
            python=Path(sys.executable),
        )

    yield make
    metadata.close()


@pytest.fixture
def new_environment(tmp_path: Path, supervisor: Supervisor) -> Iterator[Callable[..., LocalEnvironment]]:
    """A function that creates environments with given emulators (by default none), in one folder and project."""
    with environment_factory(tmp_path, supervisor) as make:
        yield make


@pytest.fixture
def environment(new_environment: Callable[..., LocalEnvironment]) -> LocalEnvironment:
    """An environment without emulators."""
    return new_environment()


@pytest.fixture
def environment_with_emulators(
    new_environment: Callable[..., LocalEnvironment], emulators: Emulators
) -> LocalEnvironment:
    """An environment with both emulators, and a project that they do not have yet."""
    return new_environment(emulators)


def account(environment: LocalEnvironment, name: str) -> str:
    """Create a service account without roles, by its name or e-mail; return its e-mail."""
    email = name if "@" in name else f"{name}@{environment.project}.iam.gserviceaccount.com"
    full = f"projects/{environment.project}/serviceAccounts/{email}"
    environment.collection("iam", "serviceAccounts").put(full, {"name": full, "email": email})
    return email


def allow(environment: LocalEnvironment, email: str, resource: str, *permissions: str) -> None:
    """Grant a custom role with these permissions on the resource of that policy name."""
    role = f"projects/{environment.project}/roles/r{len(environment.collection('iam', 'roles').names())}"
    environment.collection("iam", "roles").put(role, {"name": role, "includedPermissions": list(permissions)})
    environment.service(Policies).grant(resource, role, [f"serviceAccount:{email}"])


def bearer(email: str) -> dict[str, str]:
    """Return the header with an access token of that account."""
    return {"Authorization": f"Bearer {access_token(email)['access_token']}"}


def as_deployer(environment: LocalEnvironment, url: str) -> dict[str, str]:
    """Return the header with which the deployer may call a service."""
    token = identity_token(
        environment.service(AccessControl).deployer, url, environment.clock.now().timestamp()
    )
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def recording(make_once: MakeOnce) -> Path:
    """Four responses of a generated day, with gaps; one record of the last has no number where one is required.

    Names have local times of a summer day; the demo's day may be in winter.
    """

    def write(folder: Path) -> None:
        generated = GeneratedDay("vlille_ods")
        for minute in (25, 28, 30, 33):
            at = datetime(2026, 7, 7, 8, minute, tzinfo=LILLE)
            response = json.loads(generated.response_at(at.astimezone(UTC)))
            if minute == 33:
                response["records"][0]["fields"]["libelle"] = "many"
            (folder / f"2026-07-07T08{minute}.json").write_text(json.dumps(response))

    return make_once("recording", write)


@pytest.fixture(scope="session")
def unusual_demo(recording: Path, make_once: MakeOnce) -> FinishedRun:
    """A demo of the recording in a path with odd characters, a locale without accents, a distant time zone, 60 columns,
    no colours, output to a file.
    """

    def demo(folder: Path) -> None:
        cwd = folder / "l'été [à vélo] & co"
        cwd.mkdir()
        words = ["--ticks", "3", "--feed", "vlille_ods", "--replay", str(recording)]
        variables = {"LANG": "C", "LC_ALL": "", "TZ": "Pacific/Apia", "COLUMNS": "60", "NO_COLOR": "1"}
        run(cwd, "demo", *words, **variables).save(folder)

    return FinishedRun.load(make_once("unusual_demo", demo))
