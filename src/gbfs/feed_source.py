"""Write the source.toml and sample.json of a feed that collects the stations of a GBFS system.

It is station_status, joined with the names, coordinates and capacities of station_information. Where that is missing or
on another host, which a join cannot have, the station_id is used as the name.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
_INFORMATION_DESCRIPTIONS = {
    "name": "Name of the station",
    "lat": "Degrees north (WGS 84)",
    "lon": "Degrees east (WGS 84)",
    "capacity": "Number of docks, or of vehicles that fit",
}
# Fields of station_information that are not collected: each of them would be repeated in every minute.
_IGNORED = (
    *("short_name", "address", "cross_street", "region_id", "post_code", "city", "station_opening_hours"),
    *(
        "rental_methods",
        "rental_uris",
        "is_virtual_station",
        "is_charging_station",
        "is_valet_station",
        "station_area",
    ),
    *("parking_type", "parking_hoop", "contact_phone", "vehicle_capacity", "vehicle_type_capacity"),
    *("vehicle_types_capacity", "vehicle_docks_capacity"),
)


@dataclass(frozen=True)
class StatusFile:
    """The version and URL of a system's station_status, and the URL of its station_information, if it has one."""

    version: str
    url: str
    information_url: str = ""

    @property
    def has_information(self) -> bool:
        """Whether both files can be joined: they are on one host."""
        return urlsplit(self.url)[:2] == urlsplit(self.information_url)[:2]


def make_feed_name(system_id: str) -> str:
    """Return the name of a system's feed and table: `gbfs_v_lille`.

    An ID with other characters than ASCII letters, digits and _ gets a hash as suffix, so that `a b` and `a_b` differ.
    """
    is_name = re.fullmatch(r"[a-z0-9_]{1,48}", system_id.lower())
    return f"{PREFIX}{system_id.lower() if is_name else make_slug(system_id)}"[:_MAX_NAME_LENGTH]


def make_slug(system_id: str) -> str:
    """Return ASCII letters, digits and _ of an ID, with a hash of it as suffix."""
    slug = re.sub(r"[^a-z0-9]+", "_", fold_text(system_id)).strip("_")[:40]
    return f"{slug}_{hashlib.sha256(system_id.encode()).hexdigest()[:8]}".strip("_")


def format_source_toml(system: CatalogueSystem, status: StatusFile) -> str:
    """Return the source.toml of a system's stations, in the terms of its version."""
    version = status.version
    vehicles = "vehicles" if _get_major_version(version) == 3 else "bikes"
    words = {"vehicles": vehicles, "Vehicles": vehicles.capitalize()}
    title = f"{system.name}, {system.location}" if system.location else system.name
    types = {"station_id": '"STRING"', "is_installed": '"BOOLEAN"', "is_renting": '"BOOLEAN"'}
    types["is_returning"] = '"BOOLEAN"'
    if _get_major_version(version) < 3:
        types["last_reported"] = '{ unit = "seconds" }'
    descriptions = _DESCRIPTIONS
    if status.has_information:
        descriptions = _DESCRIPTIONS | _INFORMATION_DESCRIPTIONS
        types |= {"name": '"STRING"', "lat": '"FLOAT"', "lon": '"FLOAT"'}
    lines = [
        f"title = {_quote_text(title)}",
        f"description = {_quote_text(f'station_status of the GBFS system {system.system_id}, version {version}')}",
        f"url = {_quote_text(status.url)}",
        'records = "data.stations"',
        'key = "station_id"',
        *_format_join(status),
        "",
        "[types]",
        *(f"{name} = {kind}" for name, kind in types.items()),
        "",
        "[common]",
        'station_id = "station_id"',
        *_format_common_information(status),
        f'num_bikes_available = "num_{vehicles}_available"',
        'num_docks_available = "num_docks_available"',
        'is_operational = "is_renting"',
        'last_reported = "last_reported"',
        "",
        *_format_bounds(status),
        "[descriptions]",
        *(f"{name} = {_quote_text(text)}".format(**words) for name, text in descriptions.items()),
    ]
    return "\n".join(lines) + "\n"


def _format_join(status: StatusFile) -> list[str]:
    if not status.has_information:
        return []
    # In version 3, names are a list of texts with their language: the first one is the system's own.
    localized = _get_major_version(status.version) == 3
    ignored = ", ".join(map(_quote_text, (*_IGNORED, *(("name",) if localized else ()))))
    return [
        f"ignore = [{ignored}]",
        *(['columns = { name = "name[0].text" }'] if localized else []),
        f'join = {{ url = {_quote_text(status.information_url)}, on = "station_id" }}',
    ]


def _format_common_information(status: StatusFile) -> list[str]:
    if not status.has_information:
        return ['name = "station_id"']
    return ['name = "name"', 'latitude = "lat"', 'longitude = "lon"', 'capacity = "capacity"']


def _format_bounds(status: StatusFile) -> list[str]:
    """Return bounds of the whole world: without any, they would be those of the sample's stations."""
    if not status.has_information:
        return []
    return ["[bounds]", "latitude = [-90, 90]", "longitude = [-180, 180]", ""]


def make_sample_json(status: StatusFile) -> bytes:
    """Return a station_status with every field of a version, with its station_information if the feed joins it."""
    version = status.version
    major = _get_major_version(version)
    content: dict[str, Any] = {"last_updated": _SAMPLE_TIME if major == 3 else _SAMPLE_SECONDS, "ttl": 60}
    if version != "1.0":
        content["version"] = version
    stations = [_make_station(version, number, bikes) for number, bikes in enumerate((3, 0, 12), start=1)]
    document = content | {"data": {"stations": stations}}
    if status.has_information:
        information = [_make_information(version, number) for number in range(1, 4)]
        document = {"response": document, "joined": content | {"data": {"stations": information}}}
    return json.dumps(document, indent=2).encode() + b"\n"


def _make_information(version: str, number: int) -> dict[str, Any]:
    name = f"Station {number}"
    return {
        "station_id": str(number),
        "name": [{"text": name, "language": "en"}] if _get_major_version(version) == 3 else name,
        "lat": 50.63 + number / 1000,
        "lon": 3.06 + number / 1000,
        "capacity": 20,
    }


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


def discover_status_file(system: CatalogueSystem, download: Callable[[str], bytes]) -> StatusFile:
    """Return version and URLs of a system's station_status and station_information, from its gbfs.json.

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
    return StatusFile(found.version, files["station_status"], files.get("station_information", ""))


def write_feed(folder: Path, system: CatalogueSystem, status: StatusFile) -> Path:
    """Write a system's feed into a folder below `folder`, such as sources/, and return its path."""
    feed = folder / make_feed_name(system.system_id)
    feed.mkdir(parents=True, exist_ok=True)
    (feed / "source.toml").write_text(format_source_toml(system, status), "utf-8")
    (feed / "sample.json").write_bytes(make_sample_json(status))
    return feed
