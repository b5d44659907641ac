"""Fixtures of several packages: the emulators, responses of full size, clients without credentials."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient
from hypothesis import HealthCheck, settings

from commands.recipes import UNIT_TESTS
from feed import Feed, load_feeds
from local.data_plane.emulators import Emulators, start_emulators
from local.processes.supervisor import Supervisor

# The duration of an example depends on the load of the host.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("unit", settings.get_profile("any_machine"), max_examples=20)

ROOT = Path(__file__).parents[1]
# Tests, and the processes that they start, read these environments; only tests/cdk/test_environments.py reads those of
# environments/, which users edit.
ENVIRONMENTS = Path(__file__).with_name("environments")
os.environ["VLILLE_ENVIRONMENTS"] = str(ENVIRONMENTS)
# A generated response of Opendatasoft v1 with 289 stations: `python -m local.feeds.generated_day vlille_ods`.
EXAMPLE = ROOT / "docs" / "examples" / "vlille_ods.json"
# A recorded response; tests also use it if it exists beside the repository.
RECORDED = ROOT.parent / "shared" / "data" / "vlille-realtime_ods-v1_2023-09-08T0836.json"
RECORDED_DAY = RECORDED.with_name("vlille_2023-09-27_minutes.csv.gz")
CATALOGUE = RECORDED.with_name("gbfs-systems_2026-07-21.csv")
CASES = ROOT.parent / "shared" / "cases"
HAS_CASES = (CASES / "feed-trailing").is_dir()
PLANS = CASES / "plans"
HAS_PLANS = (PLANS / "EXPECTED.tsv").is_file()
collect_ignore = [
    *([] if HAS_PLANS else ["review/test_shared_plans.py"]),
    *([] if HAS_CASES else ["spark/test_shared_cases.py"]),
    *([] if (CASES / "domain").is_dir() else ["feed/test_shared_feed_cases.py"]),
    *([] if CATALOGUE.exists() else ["gbfs/catalogue/test_published_catalogue.py"]),
    *(
        []
        if RECORDED_DAY.exists()
        else ["gbfs/history/test_recorded_day.py", "spark/packs/test_rebuilt_recorded_day.py"]
    ),
]
RESPONSES = {"generated": EXAMPLE, **({"recorded": RECORDED} if RECORDED.exists() else {})}


def pytest_configure(config: pytest.Config) -> None:
    """Let property tests try fewer examples in `make unit`, which is for the minute after an edit."""
    settings.load_profile("unit" if config.getoption("markexpr") == UNIT_TESTS else "any_machine")


def pytest_report_header() -> str:
    """Report which inputs outside of the repository are used."""
    inputs = {
        "recorded response": RECORDED.exists(),
        "recorded day": RECORDED_DAY.exists(),
        "published catalogue": CATALOGUE.exists(),
        "shared responses": HAS_CASES,
        "shared plans": HAS_PLANS,
    }
    return "inputs outside of the repository: " + (
        ", ".join(name for name, has in inputs.items() if has) or "none"
    )


type MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """A function that fills a folder once for all test processes, and returns it.

    Its arguments are the folder's name and a function that fills the empty folder. If that fails, the next process
    tries again.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@contextmanager
def start_empty_emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Start both emulators, empty."""
    folder = tmp_path_factory.mktemp("emulators")
    with Supervisor(folder / "processes.json") as supervisor:
        yield start_emulators(supervisor, folder, extensions=ROOT / ".cache")


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Both emulators; each test uses its own project."""
    with start_empty_emulators(tmp_path_factory) as emulators:
        yield emulators


@pytest.fixture(scope="session")
def feeds() -> dict[str, Feed]:
    """The feeds of this repository."""
    return load_feeds(ROOT / "sources")


@pytest.fixture(scope="session", params=RESPONSES)
def full_response(request: pytest.FixtureRequest) -> bytes:
    """A response of full size: 289 stations in the shape of Opendatasoft v1."""
    return RESPONSES[request.param].read_bytes()


def storage_client(emulators: Emulators, project: str) -> StorageClient:
    """Return a Cloud Storage client of the emulator."""
    return StorageClient(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulators.gcs_url},
    )


def bigquery_client(emulators: Emulators, project: str) -> bigquery.Client:
    """Return a BigQuery client of the emulator."""
    return bigquery.Client(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulators.bigquery_url},
    )
