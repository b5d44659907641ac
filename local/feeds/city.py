"""`CITY=lille`: one of the public GBFS systems, as the feed of a run on this machine."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gbfs import CatalogueSystem, GbfsError
from gbfs.catalogue.registry import Registry, load_registry, update_registry
from gbfs.feed_source import StatusFile, discover_status_file, make_feed_name, write_feed
from local.errors import LocalError
from local.feeds.feed_server import fetch_with_deadline
from local.feeds.gbfs_system import SimulatedSystem

DEFAULT_VERSION = "2.3"  # of a system whose catalogue row says none
SIMULATED_STATIONS = 60  # the median of public systems

Download = Callable[[str], bytes]


@dataclass(frozen=True)
class City:
    """A GBFS system that a run collects: `sources` holds its feed alone."""

    system: CatalogueSystem
    version: str
    sources: Path
    unreachable_reason: str | None  # why its own server does not answer here; None where it does

    @property
    def feed(self) -> str:
        """Name of its feed, and of its table."""
        return make_feed_name(self.system.system_id)

    @property
    def variables(self) -> Mapping[str, str]:
        """Variables with which a synth finds its feed."""
        return {"VLILLE_SOURCES": str(self.sources)}

    @property
    def description(self) -> str:
        """Say which system it is."""
        where = f", {self.system.location}" if self.system.location else ""
        return f"GBFS system {self.system.system_id} ({self.system.name}{where}, {self.system.country})"

    @property
    def simulated(self) -> SimulatedSystem:
        """The system that answers in its place."""
        return SimulatedSystem(self.system.system_id, self.system.name, self.version, SIMULATED_STATIONS)


def prepare_city(name: str, folder: Path, cache: Path, download: Download = fetch_with_deadline) -> City:
    """Find the system that a user means, ask it for its station_status, and write its feed below `folder`.

    `cache` holds the catalogue, which is downloaded where no built-in system is meant. A system that is not reached, or
    needs a key, is simulated in the version that the catalogue says. Raises LocalError where no system is meant, more
    than one, or one without stations.
    """
    try:
        system = _find_system(name, cache, download)
    except GbfsError as error:
        raise LocalError(f"CITY={name}: {error}") from error
    unreachable_reason: str | None = None
    try:
        status = discover_status_file(system, download)
    except OSError as error:
        unreachable_reason = str(error)
    except GbfsError as error:
        if error.reason == "no_stations":
            raise LocalError(f"CITY={name}: {error}; name a system with stations") from error
        unreachable_reason = str(error)
    if unreachable_reason is not None:
        status = StatusFile(system.versions[-1] if system.versions else DEFAULT_VERSION, system.discovery_url)
    sources = folder / system.system_id.replace(os.sep, "_") / "sources"
    write_feed(sources, system, status)
    return City(system, status.version, sources.resolve(), unreachable_reason)


def _find_system(name: str, cache: Path, download: Download) -> CatalogueSystem:
    registry: Registry = load_registry(cache)
    try:
        return registry.find(name)
    except GbfsError as error:
        if error.reason != "unknown_system" or registry.downloaded_at is not None:
            raise
        try:
            registry = update_registry(cache, datetime.now(UTC), download)
        except GbfsError as failure:
            raise GbfsError("unknown_system", f"{error}; now, that failed: {failure}") from failure
        return registry.find(name)
