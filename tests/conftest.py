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
from local.data_plane.emulators import Emulators, start_emulators
from local.processes.supervisor import Supervisor

# How long an example takes says how busy the machine is, nothing about the code.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

ROOT = Path(__file__).parents[1]
# The environments of the tests: yours in environments/ may say what they like, and tests/cdk/test_environments.py is
# all that reads them. What tests start reads these too.
ENVIRONMENTS = Path(__file__).with_name("environments")
os.environ["VLILLE_ENVIRONMENTS"] = str(ENVIRONMENTS)
# A made response of Opendatasoft v1 with 289 stations: `python -m local.feeds.generated_day vlille_ods`.
EXAMPLE = ROOT / "docs" / "examples" / "vlille_ods.json"
# A recorded one, which few have: where it lies beside the repository, tests run with it as well.
RECORDED = ROOT.parent / "shared" / "data" / "vlille-realtime_ods-v1_2023-09-08T0836.json"
CASES = ROOT.parent / "shared" / "cases"
HAS_CASES = (CASES / "feed-trailing").is_dir()
PLANS = CASES / "plans"
HAS_PLANS = (PLANS / "EXPECTED.tsv").is_file()
collect_ignore = [
    *([] if HAS_PLANS else ["review/test_shared_plans.py"]),
    *([] if HAS_CASES else ["spark/test_shared_cases.py"]),
]
RESPONSES = {"made": EXAMPLE, **({"recorded": RECORDED} if RECORDED.exists() else {})}


def pytest_report_header() -> str:
    """Say which of the inputs that are no part of the repository take part."""
    beside = {
        "a recorded response": RECORDED.exists(),
        "responses of others": HAS_CASES,
        "plans of others": HAS_PLANS,
    }
    return "beside the repository: " + (", ".join(name for name, has in beside.items() if has) or "nothing")


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


@pytest.fixture(scope="session", params=RESPONSES)
def full_response(request: pytest.FixtureRequest) -> bytes:
    """A response of full size: 289 stations in the shape of Opendatasoft v1."""
    return RESPONSES[request.param].read_bytes()


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
