"""Fixtures of the collector on the emulators, for interleavings of its deliveries with sweeps."""

from tests.collector.conftest import api, session, system

__all__ = ["api", "session", "system"]
