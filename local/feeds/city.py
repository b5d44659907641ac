"""`CITY=lille`: a public GBFS system as the feed of a local run; `CITY=lille,paris`: several in its environment."""

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urljoin

from cdk.settings.gbfs import CATALOGUE
from gbfs import CatalogueSystem, GbfsError
from gbfs.catalogue.registry import Registry, load_registry, save_catalogue, update_registry
from gbfs.feed_source import StatusFile, discover_status_file, make_feed_name, write_feed
from local.errors import LocalError
from local.feeds.feed_server import fetch_with_deadline
from local.feeds.gbfs_system import SimulatedSystem

DEFAULT_VERSION = "2.3"  # where the catalogue row has no version
SIMULATED_STATIONS = 60  # the median of public systems

Download = Callable[[str], bytes]


@dataclass(frozen=True)
class City:
    """A GBFS system that a run collects; the folder `sources` has only its feed."""

    system: CatalogueSystem
    version: str
    sources: Path
    unreachable_reason: str | None  # why its server cannot be used, or None

    @property
    def feed(self) -> str:
        """The name of its feed and table."""
        return make_feed_name(self.system.system_id)

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables with which a synthesis finds its feed."""
        return {"VLILLE_SOURCES": str(self.sources)}

    @property
    def description(self) -> str:
        """The system's ID, name and place."""
        where = f", {self.system.location}" if self.system.location else ""
        return f"GBFS system {self.system.system_id} ({self.system.name}{where}, {self.system.country})"

    @property
    def simulated(self) -> SimulatedSystem:
        """The simulated system that replaces it."""
        return SimulatedSystem(self.system.system_id, self.system.name, self.version, SIMULATED_STATIONS)


def prepare_city(name: str, folder: Path, cache: Path, download: Download = fetch_with_deadline) -> City:
    """Find a system by its ID, name or city, discover its station_status, and write its feed below `folder`.

    `cache` has the public catalogue, which is downloaded unless a built-in system matches. A system that cannot be
    reached or needs a key is simulated in the version of its catalogue row. Raises LocalError where no system
    matches, several do, or the system has no stations.
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
        status = StatusFile(
            system.versions[-1] if system.versions else DEFAULT_VERSION,
            system.discovery_url,
            urljoin(system.discovery_url, "station_information.json"),
        )
    sources = folder / system.system_id.replace(os.sep, "_") / "sources"
    write_feed(sources, system, status)
    return City(system, status.version, sources.resolve(), unreachable_reason)


def split_cities(names: str, cache: Path) -> list[str]:
    """Return the names of several systems, separated by commas. A comma may also be part of one: `Washington, DC`.

    Raises LocalError where the catalogue in `cache` is damaged.
    """
    try:
        load_registry(cache).find(names)
    except GbfsError as error:
        if error.reason == "damaged":
            raise LocalError(f"CITY={names}: {error}") from error
        return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    return [names]


def write_environment(cities: list[City], file: Path, folder: Path, cache: Path) -> Path:
    """Write a copy of an environment's file that collects the systems, into its own folder, and return that folder.

    Raises LocalError if the environment collects GBFS systems already.
    """
    text = file.read_text("utf-8")
    if "gbfs" in tomllib.loads(text):
        raise LocalError(
            f"CITY has several systems, and {file} has [gbfs] already: name one system, or add the others to the file"
        )
    target = folder / "environments" / file.stem
    target.mkdir(parents=True, exist_ok=True)
    systems = ", ".join(json.dumps(city.system.system_id, ensure_ascii=False) for city in cities)
    (target / file.name).write_text(f"{text}\n[gbfs]\nsystems = [{systems}]\n", "utf-8")
    (target / CATALOGUE).unlink(missing_ok=True)
    if load_registry(cache).downloaded_at is not None:
        save_catalogue(cache, target / CATALOGUE)
    return target.resolve()


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
            raise GbfsError(
                "unknown_system", f"{error}; the download of the catalogue failed: {failure}"
            ) from failure
        return registry.find(name)
