"""GBFS files of every version, generated from the published schemas in `schemas.json`, which names their sources."""

import json
from pathlib import Path
from typing import Any

SCHEMAS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("schemas.json").read_text("utf-8"))[
    "versions"
]
SCHEMA_FILES = [(version, file) for version, files in SCHEMAS.items() for file in files]
ARRAYS = {
    "station_information": "stations",
    "station_status": "stations",
    "vehicle_types": "vehicle_types",
    "free_bike_status": "bikes",
    "vehicle_status": "vehicles",
}
MOMENT = "2024-05-01T10:00:00Z"
SECONDS = 1_714_557_600
_TYPES = [{"vehicle_type_id": "bike", "count": 3}]
_DOCKS = [{"vehicle_type_ids": ["bike"], "count": 4}]
# Values of fields whose type is not specific enough.
_VALUES: dict[str, Any] = {
    "lat": 50.6,
    "lon": 3.06,
    "languages": ["fr"],
    "rental_methods": ["creditcard"],
    "vehicle_types_available": _TYPES,
    "vehicle_docks_available": _DOCKS,
    "vehicle_types_capacity": _DOCKS,
    "vehicle_docks_capacity": _DOCKS,
    "vehicle_capacity": {"bike": 4},
    "vehicle_type_capacity": {"bike": 4},
    "last_reported": SECONDS,
    "available_until": MOMENT,
    "current_fuel_percent": 0.5,
}
_BY_TYPE: dict[str, Any] = {
    "date": "2011-09-16",
    "date-time": MOMENT,
    "integer": 7,
    "number": 1,
    "boolean|number": 1,
    "boolean": True,
    "array": [{"text": "Gare", "language": "fr"}],
    "object": {},
    "string": "text",
}


def make_record(version: str, file: str, *, only_required: bool = False) -> dict[str, Any]:
    """Return a record with a value for each field of the schema, or each required one."""
    schema = SCHEMAS[version][file]
    return {
        name: _BY_TYPE[kind] if kind == "date-time" else _VALUES.get(name, _BY_TYPE[kind])
        for name, kind in schema["fields"].items()
        if not only_required or name in schema["required"]
    }


def make_document(version: str, file: str, *records: dict[str, Any]) -> bytes:
    """Return a file of a version with these records."""
    data = records[0] if file == "system_information" else {ARRAYS[file]: list(records)}
    newest = version.startswith("3")
    content: dict[str, Any] = {"last_updated": MOMENT if newest else SECONDS, "ttl": 60, "data": data}
    if version != "1.0":
        content["version"] = version
    return json.dumps(content).encode()
