"""Write and read systems.json, the systems that an environment collects."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gbfs.catalogue.systems import CatalogueSystem

SYSTEMS_FILE = "systems.json"


@dataclass(frozen=True)
class CollectedSystem:
    """A system with its settings; `headers` maps header fields to the names of their secrets."""

    system_id: str
    name: str
    country: str
    location: str
    discovery_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    license_id: str | None = None  # overrides that of its system_information
    interval_minutes: int = 1


def make_collected_system(
    system: CatalogueSystem,
    *,
    headers: Mapping[str, str] | None = None,
    license_id: str | None = None,
    interval_minutes: int = 1,
) -> CollectedSystem:
    """Return a system of the catalogue with its settings."""
    return CollectedSystem(
        system.system_id,
        system.name,
        system.country,
        system.location,
        system.discovery_url,
        dict(headers or {}),
        license_id,
        interval_minutes,
    )


def write_systems(systems: Iterable[CollectedSystem]) -> bytes:
    """Return the content of systems.json, sorted by system_id and deterministic."""
    rows = [asdict(system) for system in sorted(systems, key=lambda system: system.system_id)]
    return json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n"


def read_systems(content: bytes) -> tuple[CollectedSystem, ...]:
    """Parse systems.json. Raises ValueError and TypeError."""
    rows: list[dict[str, Any]] = json.loads(content)
    return tuple(CollectedSystem(**row) for row in rows)


def list_secrets(systems: Iterable[CollectedSystem]) -> tuple[str, ...]:
    """Return the sorted, distinct names of all secrets."""
    return tuple(sorted({secret for system in systems for secret in system.headers.values()}))
