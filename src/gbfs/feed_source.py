"""Write the source.toml and sample.json of a feed that collects the station_status of a GBFS system.

A feed requests one URL. Names and coordinates of stations are in station_information and therefore not among its
columns; the station_id is used as the name.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbfs.catalogue.systems import CatalogueSystem, fold_text
from gbfs.errors import GbfsError
from gbfs.files.discovery import read_discovery
from gbfs.files.versions import VERSIONS

PREFIX = "gbfs_"
_MAX_NAME_LENGTH = 63
_SAMPLE_SECONDS = 1_714_557_600
_SAMPLE_TIME = "2024-05-01T10:00:00Z"
_DESCRIPTIONS = {
    "station_id": "Identifier of the station",
    "num_{vehicles}_available": "{Vehicles} available for rental",
    "num_{vehicles}_disabled": "{Vehicles} that are out of order",
    "num_docks_available": "Free docks",
    "num_docks_disabled": "Docks that are out of order",
    "is_installed": "Whether the station is installed",
    "is_renting": "Whether the station rents {vehicles}",
    "is_returning": "Whether the station accepts returns",
    "last_reported": "When the station last reported",
}


def make_feed_name(system_id: str) -> str:
    """Return the name of a system's feed and table: `gbfs_v_lille`.

    An ID with other characters than ASCII letters, digits and _ gets a hash as suffix, so that `a b` and `a_b` differ.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", fold_text(system_id)).strip("_")
    if not re.fullmatch(r"[a-z0-9_]{1,48}", system_id.lower()):
        slug = f"{slug[:40]}_{hashlib.sha256(system_id.encode()).hexdigest()[:8]}".strip("_")
    else:
        slug = system_id.lower()
    return f"{PREFIX}{slug}"[:_MAX_NAME_LENGTH]


def format_source_toml(system: CatalogueSystem, version: str, url: str) -> str:
    """Return the source.toml of a system's station_status, in the terms of its version."""
    vehicles = "vehicles" if _get_major_version(version) == 3 else "bikes"
    words = {"vehicles": vehicles, "Vehicles": vehicles.capitalize()}
    title = f"{system.name}, {system.location}" if system.location else system.name
    types = {"station_id": '"STRING"', "is_installed": '"BOOLEAN"', "is_renting": '"BOOLEAN"'}
    types["is_returning"] = '"BOOLEAN"'
    if _get_major_version(version) < 3:
        types["last_reported"] = '{ unit = "seconds" }'
    lines = [
        f"title = {_quote_text(title)}",
        f"description = {_quote_text(f'station_status of the GBFS system {system.system_id}, version {version}')}",
        f"url = {_quote_text(url)}",
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
        *(f"{name} = {_quote_text(text)}".format(**words) for name, text in _DESCRIPTIONS.items()),
    ]
    return "\n".join(lines) + "\n"


def make_sample_json(version: str) -> bytes:
    """Return a station_status with every field of a version."""
    major = _get_major_version(version)
    content: dict[str, Any] = {"last_updated": _SAMPLE_TIME if major == 3 else _SAMPLE_SECONDS, "ttl": 60}
    if version != "1.0":
        content["version"] = version
    stations = [_make_station(version, number, bikes) for number, bikes in enumerate((3, 0, 12), start=1)]
    return json.dumps(content | {"data": {"stations": stations}}, indent=2).encode() + b"\n"


def _make_station(version: str, number: int, bikes: int) -> dict[str, Any]:
    major = _get_major_version(version)
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
        "last_reported": _SAMPLE_TIME if major == 3 else _SAMPLE_SECONDS,
    }
    if VERSIONS.index(version) >= VERSIONS.index("2.1"):
        station["vehicle_types_available"] = [{"vehicle_type_id": "bike", "count": bikes}]
        station["vehicle_docks_available"] = [{"vehicle_type_ids": ["bike"], "count": 20 - bikes}]
    return station


def _get_major_version(version: str) -> int:
    return int(version[0])


def _quote_text(text: str) -> str:
    """Quote a text for TOML: a JSON string is a basic string of TOML, except that TOML requires DEL to be escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True)
class StatusFile:
    """The URL and version of a system's station_status."""

    version: str
    url: str


def discover_status_file(system: CatalogueSystem, download: Callable[[str], bytes]) -> StatusFile:
    """Return the URL and version of a system's station_status, from its gbfs.json.

    `download` returns the response body of a URL; its errors are passed on. Raises GbfsError if the system needs a
    key, its gbfs.json cannot be read, or it publishes no station_status.
    """
    if system.authentication is not None:
        names = ", ".join(system.authentication.names)
        raise GbfsError(
            "needs_key",
            f"{system.system_id} needs an API key ({names}); see {system.authentication.info_url}",
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
    """Write a system's feed into a folder below `folder`, such as sources/, and return its path."""
    feed = folder / make_feed_name(system.system_id)
    feed.mkdir(parents=True, exist_ok=True)
    (feed / "source.toml").write_text(format_source_toml(system, status.version, status.url), "utf-8")
    (feed / "sample.json").write_bytes(make_sample_json(status.version))
    return feed
