"""A GBFS system as a feed of the collector: the source.toml and sample.json of its station_status.

One feed is one URL, so that names and places of stations, which are in station_information, are not among its columns:
a station's identifier stands for its name.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbfs.catalogue import CatalogueSystem, fold
from gbfs.discovery import read_discovery
from gbfs.errors import GbfsError
from gbfs.versions import VERSIONS

PREFIX = "gbfs_"
_LONGEST_NAME = 63
_SECONDS = 1_714_557_600
_MOMENT = "2024-05-01T10:00:00Z"
_DESCRIPTIONS = {
    "station_id": "Identifier of the station",
    "num_{vehicles}_available": "{Vehicles} that can be taken",
    "num_{vehicles}_disabled": "{Vehicles} that are out of order",
    "num_docks_available": "Docks that are free",
    "num_docks_disabled": "Docks that are out of order",
    "is_installed": "Whether the station is on the street",
    "is_renting": "Whether it hands {vehicles} out",
    "is_returning": "Whether it takes {vehicles} back",
    "last_reported": "When the station last reported",
}


def feed_name(system_id: str) -> str:
    """Return the name of a system's feed, which is that of its table: `gbfs_v_lille`.

    An id that is more than letters of ASCII, digits and _ has a hash behind it, so that `a b` and `a_b` differ.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", fold(system_id)).strip("_")
    if not re.fullmatch(r"[a-z0-9_]{1,48}", system_id.lower()):
        plain = f"{plain[:40]}_{hashlib.sha256(system_id.encode()).hexdigest()[:8]}".strip("_")
    else:
        plain = system_id.lower()
    return f"{PREFIX}{plain}"[:_LONGEST_NAME]


def source_toml(system: CatalogueSystem, version: str, url: str) -> str:
    """Return the source.toml for a system's station_status at `url`, in the terms of its version."""
    vehicles = "vehicles" if _major(version) == 3 else "bikes"
    words = {"vehicles": vehicles, "Vehicles": vehicles.capitalize()}
    title = f"{system.name}, {system.location}" if system.location else system.name
    types = {"station_id": '"STRING"', "is_installed": '"BOOLEAN"', "is_renting": '"BOOLEAN"'}
    types["is_returning"] = '"BOOLEAN"'
    if _major(version) < 3:
        types["last_reported"] = '{ unit = "seconds" }'
    lines = [
        f"title = {_quoted(title)}",
        f"description = {_quoted(f'station_status of the GBFS system {system.system_id}, version {version}')}",
        f"url = {_quoted(url)}",
        'records = "data.stations"',
        'key = "station_id"',
        "",
        "[types]",
        *(f"{name} = {kind}" for name, kind in types.items()),
        "",
        "[common]",
        'station_id = "station_id"',
        'name = "station_id"',  # names are in station_information
        f'num_bikes_available = "num_{vehicles}_available"',
        'num_docks_available = "num_docks_available"',
        'is_operational = "is_renting"',
        'last_reported = "last_reported"',
        "",
        "[descriptions]",
        *(f"{name} = {_quoted(text)}".format(**words) for name, text in _DESCRIPTIONS.items()),
    ]
    return "\n".join(lines) + "\n"


def sample_json(version: str) -> bytes:
    """Return a station_status of a version that has every field of its schema."""
    major = _major(version)
    content: dict[str, Any] = {"last_updated": _MOMENT if major == 3 else _SECONDS, "ttl": 60}
    if version != "1.0":
        content["version"] = version
    stations = [_station(version, number, bikes) for number, bikes in enumerate((3, 0, 12), start=1)]
    return json.dumps(content | {"data": {"stations": stations}}, indent=2).encode() + b"\n"


def _station(version: str, number: int, bikes: int) -> dict[str, Any]:
    major = _major(version)
    vehicles = "vehicles" if major == 3 else "bikes"
    yes = True if major > 1 else 1
    station: dict[str, Any] = {
        "station_id": str(number),
        f"num_{vehicles}_available": bikes,
        f"num_{vehicles}_disabled": 1,
        "num_docks_available": 20 - bikes,
        "num_docks_disabled": 0,
        "is_installed": yes,
        "is_renting": yes,
        "is_returning": yes,
        "last_reported": _MOMENT if major == 3 else _SECONDS,
    }
    if VERSIONS.index(version) >= VERSIONS.index("2.1"):
        station["vehicle_types_available"] = [{"vehicle_type_id": "bike", "count": bikes}]
        station["vehicle_docks_available"] = [{"vehicle_type_ids": ["bike"], "count": 20 - bikes}]
    return station


def _major(version: str) -> int:
    return int(version[0])


def _quoted(text: str) -> str:
    """A JSON text is a basic string of TOML, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True)
class StatusFile:
    """Where a system publishes its station_status, and in which version."""

    version: str
    url: str


def discover_status(system: CatalogueSystem, download: Callable[[str], bytes]) -> StatusFile:
    """Return where a system publishes its station_status, as its gbfs.json says.

    `download` returns the body of a URL. Raises what it raises, and GbfsError where the system needs a key, its
    gbfs.json cannot be read, or it publishes no stations.
    """
    if system.authentication is not None:
        names = ", ".join(system.authentication.names)
        raise GbfsError(
            "needs_key", f"{system.system_id} needs a key ({names}): {system.authentication.info_url}"
        )
    found = read_discovery(download(system.discovery_url), system.discovery_url)
    files = found.files()
    if "station_status" not in files:
        raise GbfsError(
            "no_stations",
            f"{system.system_id} publishes no station_status, only {', '.join(sorted(files))}",
        )
    return StatusFile(found.version, files["station_status"])


def write_feed(folder: Path, system: CatalogueSystem, status: StatusFile) -> Path:
    """Write the folder of a system's feed below `folder`, such as sources/, and return it."""
    feed = folder / feed_name(system.system_id)
    feed.mkdir(parents=True, exist_ok=True)
    (feed / "source.toml").write_text(source_toml(system, status.version, status.url), "utf-8")
    (feed / "sample.json").write_bytes(sample_json(status.version))
    return feed
