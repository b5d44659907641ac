"""Fixtures of the collector on the emulators, for interleavings of its deliveries with sweeps."""

from tests.collector.conftest import api, make_environment, session

__all__ = ["api", "make_environment", "session"]
