"""The versions of GBFS: recognize the version of a file, and upgrade its records to the terms of version 3.

What each version changed: https://github.com/MobilityData/gbfs/blob/master/README.md#past-version-releases
"""

import re
from collections.abc import Callable
from typing import Any

Record = dict[str, Any]

VERSIONS = ("1.0", "1.1", "2.0", "2.1", "2.2", "2.3", "3.0", "3.1")
FREE_BIKE_STATUS = "free_bike_status"  # until 2.3; since then vehicle_status
_VERSION = re.compile(r"\s*v?([0-9]{1,2})(?:\.([0-9]{1,2}))?(?:[.-].*)?\s*", re.ASCII | re.IGNORECASE)
_BOOLEANS = (
    "is_installed",
    "is_renting",
    "is_returning",
    "is_reserved",
    "is_disabled",
    "is_virtual_station",
)
_RENAMED = {
    "station_status": {
        "num_bikes_available": "num_vehicles_available",
        "num_bikes_disabled": "num_vehicles_disabled",
    },
    "vehicle_status": {"bike_id": "vehicle_id"},
}
_LOCALIZED = {
    "system_information": ("name", "short_name", "operator", "attribution_organization_name"),
    "station_information": ("name", "short_name"),
    "vehicle_types": ("name", "make", "model"),
}
_CAPACITIES = {
    "vehicle_capacity": "vehicle_types_capacity",
    "vehicle_type_capacity": "vehicle_docks_capacity",
}


def recognize_version(declared: Any) -> str | None:
    """Return the known version for a file's `version`, or None if it is not one.

    Version 1.0 has no such field: a file without one is 1.0. A release candidate counts as its release
    (`3.1-RC3` is 3.1), and an unknown minor version as the newest known one of its major version, since minor
    versions only add fields.
    """
    if declared is None:
        return "1.0"
    # Python refuses to format very long integers.
    is_number = type(declared) is float or (type(declared) is int and 0 < declared < 100)
    text = declared if type(declared) is str else str(declared) if is_number else ""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    major, minor = int(match[1]), int(match[2] or 0)
    known = [int(version[2:]) for version in VERSIONS if version.startswith(f"{major}.")]
    return f"{major}.{min(minor, known[-1])}" if known else None


def current_file_name(file: str) -> str:
    """Return the name of a file in version 3: `free_bike_status` became `vehicle_status`."""
    return "vehicle_status" if file == FREE_BIKE_STATUS else file


def upgrade_from_1(file: str, record: Record, language: str) -> Record:
    """Upgrade a record of version 1.0 or 1.1: 0 and 1 become booleans, then as version 2."""
    flags = {
        name: bool(record[name])
        for name in _BOOLEANS
        if type(record.get(name)) is int and record[name] in {0, 1}
    }
    return upgrade_from_2(file, record | flags, language)


def upgrade_from_2(file: str, record: Record, language: str) -> Record:
    """Upgrade a record of version 2.0 to 2.3.

    `language` is that of the file, since its texts do not state theirs. A field that already has its new name keeps
    its value: some systems publish version 3 as 2.3.
    """
    renames = _RENAMED.get(file, {})
    newer = {renames.get(name, name): value for name, value in record.items()}
    newer |= {name: record[name] for name in renames.values() if name in record}
    for name in _LOCALIZED.get(file, ()):
        if isinstance(newer.get(name), str):
            newer[name] = [{"text": newer[name], "language": language}]
    if file == "station_information":
        for old, new in _CAPACITIES.items():
            if isinstance(counts := newer.pop(old, None), dict) and new not in record:
                newer[new] = [{"vehicle_type_ids": [name], "count": count} for name, count in counts.items()]
    if file == "system_information" and "language" in newer:
        newer.setdefault("languages", [newer.pop("language")])
    return newer


def upgrade_from_3(file: str, record: Record, language: str) -> Record:
    """Return a record of version 3.0 or 3.1, upgraded only where a system still uses older terms."""
    is_older = any(name in record for name in _RENAMED.get(file, {})) or any(
        isinstance(record.get(name), str) for name in _LOCALIZED.get(file, ())
    )
    return upgrade_from_2(file, record, language) if is_older else record


Upgrade = Callable[[str, Record, str], Record]
UPGRADES: dict[str, Upgrade] = {
    "1.0": upgrade_from_1,
    "1.1": upgrade_from_1,
    "2.0": upgrade_from_2,
    "2.1": upgrade_from_2,
    "2.2": upgrade_from_2,
    "2.3": upgrade_from_2,
    "3.0": upgrade_from_3,
    "3.1": upgrade_from_3,
}
