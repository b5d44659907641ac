"""The systems that an environment collects: what a deploy writes into systems.json, and the collector reads."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gbfs.catalogue import CatalogueSystem

FILE = "systems.json"


@dataclass(frozen=True)
class CollectedSystem:
    """One system with what the environment says of it; `headers` are names of header fields and of their secrets."""

    system_id: str
    name: str
    country: str
    location: str
    discovery_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    license_id: str | None = None  # in place of the one that its system_information says
    interval_minutes: int = 1


def collected_system(
    system: CatalogueSystem,
    *,
    headers: Mapping[str, str] | None = None,
    license_id: str | None = None,
    interval_minutes: int = 1,
) -> CollectedSystem:
    """Return a system of the catalogue as it is collected."""
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


def write_roster(systems: Iterable[CollectedSystem]) -> bytes:
    """Return systems.json, sorted by system_id: the same systems give the same bytes."""
    rows = [asdict(system) for system in sorted(systems, key=lambda system: system.system_id)]
    return json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n"


def read_roster(content: bytes) -> tuple[CollectedSystem, ...]:
    """Return what `write_roster` was given, sorted. Raises ValueError, TypeError."""
    rows: list[dict[str, Any]] = json.loads(content)
    return tuple(CollectedSystem(**row) for row in rows)


def secrets_of(systems: Iterable[CollectedSystem]) -> tuple[str, ...]:
    """Return the names of all secrets, sorted, each once."""
    return tuple(sorted({secret for system in systems for secret in system.headers.values()}))
