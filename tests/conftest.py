"""What tests of several packages share: the emulators, the real answer, clients that send no credentials."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient
from hypothesis import HealthCheck, settings

from feed import Feed, load_feeds
from local.emulators import Emulators, start_emulators
from local.processes import Supervisor

# How long an example takes says how busy the machine is, nothing about the code.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

ROOT = Path(__file__).parents[1]
# The environments of the tests: yours in environments/ may say what they like, and tests/cdk/test_environments.py is
# all that reads them. What tests start reads these too.
ENVIRONMENTS = Path(__file__).with_name("environments")
os.environ["VLILLE_ENVIRONMENTS"] = str(ENVIRONMENTS)
REAL_ANSWER = ROOT.parent / "shared" / "data" / "vlille-realtime_ods-v1_2023-09-08T0836.json"


@contextmanager
def fresh_emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Start both emulators, empty."""
    folder = tmp_path_factory.mktemp("emulators")
    with Supervisor(folder / "processes.json") as supervisor:
        yield start_emulators(supervisor, folder, extensions=ROOT / ".cache")


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Both emulators; tests keep out of one another's way by projects of their own."""
    with fresh_emulators(tmp_path_factory) as one:
        yield one


@pytest.fixture(scope="session")
def feeds() -> dict[str, Feed]:
    """The feeds of this repository."""
    return load_feeds(ROOT / "sources")


@pytest.fixture(scope="session")
def real_answer() -> bytes:
    """An answer of the API recorded on 2023-09-08 (Opendatasoft v1, 289 stations)."""
    if not REAL_ANSWER.exists():
        pytest.skip(f"no recorded answer at {REAL_ANSWER.relative_to(ROOT.parent)}")
    return REAL_ANSWER.read_bytes()


def storage_client(emulators: Emulators, project: str) -> StorageClient:
    """A storage client on the emulator."""
    return StorageClient(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulators.gcs_url},
    )


def bigquery_client(emulators: Emulators, project: str) -> bigquery.Client:
    """A BigQuery client on the emulator."""
    return bigquery.Client(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulators.bigquery_url},
    )
