"""A control plane on each module's own machine."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from local.clock import RealClock
from local.control.server import ControlPlane
from local.machine import Machine


@pytest.fixture
def clock() -> Iterator[RealClock]:
    """A clock that runs as life does."""
    one = RealClock(1.0, datetime.now(UTC))
    yield one
    one.close()


@pytest.fixture
def plane(machine: Machine) -> Iterator[ControlPlane]:
    """What answers for the machine of the module that asks."""
    one = ControlPlane(machine)
    yield one
    one.close()
