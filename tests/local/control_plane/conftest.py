"""A control plane emulator for the environment of each module."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.control_plane.server import ControlPlane
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.http.rest import ApiRequest, ApiResponse
from tests.cdk.conftest import copy_checkout, synthesize
from tests.google_api.discovery import EMULATOR_DIFFERENCES, KNOWN_DIFFERENCES
from tests.local.control_plane.description_checks import find_differences


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack of dev, synthesized from the checkout."""
    folder = tmp_path_factory.mktemp("dev")
    synthesize(copy_checkout(folder / "checkout", 1_000_000_000, 0o644), folder / "out", VLILLE_ENV="dev")
    return folder / "out" / "stacks" / "vlille-dev"


@pytest.fixture
def clock() -> Iterator[RealClock]:
    """A clock with real time."""
    started = RealClock(1.0, datetime.now(UTC))
    yield started
    started.close()


@pytest.fixture
def plane(environment: LocalEnvironment) -> Iterator[ControlPlane]:
    """The control plane emulator; each request and response must conform to Google's API descriptions."""
    found: list[str] = []

    def check_call(request: ApiRequest, response: ApiResponse) -> None:
        found.extend(find_differences(request, response))

    started = ControlPlane(environment, check_call)
    yield started
    started.close()
    unknown = {
        each for each in found if each not in KNOWN_DIFFERENCES and not EMULATOR_DIFFERENCES.fullmatch(each)
    }
    assert sorted(unknown) == []
