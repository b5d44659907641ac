"""The GBFS files that are read, in the terms of version 3: their columns, keys and required fields.

Descriptions are shortened from the specification, https://github.com/MobilityData/gbfs/blob/v3.0/gbfs.md.
"""

from dataclasses import dataclass

from feed import Column

LOCALIZED_FIELDS = (
    Column("text", "STRING", path=("text",), description="The text in that language"),
    Column("language", "STRING", path=("language",), description="IETF BCP 47 language code"),
)
_VEHICLE_TYPE_IDS = Column("vehicle_type_ids", "STRING", "REPEATED", ("vehicle_type_ids",))
_COUNT = Column("count", "INTEGER", path=("count",))
_VEHICLE_TYPE_ID = Column("vehicle_type_id", "STRING", path=("vehicle_type_id",))


@dataclass(frozen=True)
class FileModel:
    """One GBFS file: where its records are, and the columns of their rows."""

    name: str  # as in version 3
    records: str | None  # key of the array in `data`; None if `data` is the only record
    key: str
    columns: tuple[Column, ...]
    required_for_row: frozenset[str]  # a record without one of these is rejected
    required_by_standard: frozenset[str]  # reported when missing; the row is kept
    required_by_version_3: frozenset[str] = frozenset()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(column.name for column in self.columns)


def _column(name: str, kind: str, description: str = "") -> Column:
    """Return a column with the name of its field; the kind `localized` is an array of texts with their languages."""
    if kind == "localized":
        return Column(name, "RECORD", "REPEATED", (name,), description, LOCALIZED_FIELDS)
    if kind.endswith("[]"):
        return Column(name, kind[:-2], "REPEATED", (name,), description)
    return Column(name, kind, path=(name,), description=description)


def _records(name: str, description: str, *fields: Column) -> Column:
    return Column(name, "RECORD", "REPEATED", (name,), description, fields)


SYSTEM_INFORMATION = FileModel(
    name="system_information",
    records=None,
    key="system_id",
    columns=(
        _column("system_id", "STRING", "Identifier of the system, as it names itself"),
        _column("languages", "STRING[]", "Languages of its texts"),
        _column("name", "localized", "Name of the system"),
        _column("short_name", "localized", "Abbreviation of the name"),
        _column("operator", "localized", "Name of the operator"),
        _column("url", "STRING", "Website"),
        _column("opening_hours", "STRING", "Hours and dates of operation, as OpenStreetMap writes them"),
        _column("start_date", "DATE", "When the system began"),
        _column("termination_date", "DATE", "When the system ended"),
        _column("feed_contact_email", "STRING", "Whom to write to about the data"),
        _column("timezone", "STRING", "IANA time zone"),
        _column("license_id", "STRING", "SPDX identifier of the data's licence"),
        _column("license_url", "STRING", "Text of the data's licence"),
        _column("attribution_organization_name", "localized", "Whom to name as the source"),
        _column("attribution_url", "STRING", "Link for the attribution"),
        _column("manifest_url", "STRING", "URL of manifest.json"),
    ),
    required_for_row=frozenset({"system_id"}),
    required_by_standard=frozenset({"languages", "name", "timezone"}),
    required_by_version_3=frozenset({"opening_hours", "feed_contact_email"}),
)

STATION_INFORMATION = FileModel(
    name="station_information",
    records="stations",
    key="station_id",
    columns=(
        _column("station_id", "STRING", "Identifier of the station"),
        _column("name", "localized", "Public name"),
        _column("short_name", "localized", "Short name or other identifier"),
        _column("lat", "FLOAT", "Degrees north (WGS 84)"),
        _column("lon", "FLOAT", "Degrees east (WGS 84)"),
        _column("address", "STRING", "Street address"),
        _column("cross_street", "STRING", "Cross street or landmark"),
        _column("region_id", "STRING", "Region of system_regions"),
        _column("post_code", "STRING", "Postal code"),
        _column("city", "STRING", "City (3.1)"),
        _column("station_opening_hours", "STRING", "Hours of operation, as OpenStreetMap writes them"),
        _column("rental_methods", "STRING[]", "Payment methods"),
        _column("is_virtual_station", "BOOLEAN", "A place without docks"),
        _column(
            "parking_type", "STRING", "parking_lot, street_parking, underground_parking, sidewalk_parking"
        ),
        _column("parking_hoop", "BOOLEAN", "Whether there are parking hoops"),
        _column("capacity", "INTEGER", "Docks that are installed, or vehicles that may park"),
        _records("vehicle_types_capacity", "Parking of a virtual station by type", _VEHICLE_TYPE_IDS, _COUNT),
        _records("vehicle_docks_capacity", "Docks by type of vehicle", _VEHICLE_TYPE_IDS, _COUNT),
        _column("is_valet_station", "BOOLEAN", "Whether valets serve it"),
        _column("is_charging_station", "BOOLEAN", "Whether vehicles are charged there"),
    ),
    required_for_row=frozenset({"station_id"}),
    required_by_standard=frozenset({"name", "lat", "lon"}),
)

STATION_STATUS = FileModel(
    name="station_status",
    records="stations",
    key="station_id",
    columns=(
        _column("station_id", "STRING", "Identifier of the station"),
        _column("num_vehicles_available", "INTEGER", "Vehicles available for rental"),
        _records(
            "vehicle_types_available", "Vehicles available for rental, by type", _VEHICLE_TYPE_ID, _COUNT
        ),
        _column("num_vehicles_disabled", "INTEGER", "Vehicles that are out of order"),
        _column("num_docks_available", "INTEGER", "Free docks; null where they are not limited"),
        _records("vehicle_docks_available", "Free docks by type of vehicle", _VEHICLE_TYPE_IDS, _COUNT),
        _column("num_docks_disabled", "INTEGER", "Docks that are out of order"),
        _column("is_installed", "BOOLEAN", "Whether the station is installed"),
        _column("is_renting", "BOOLEAN", "Whether the station rents vehicles"),
        _column("is_returning", "BOOLEAN", "Whether the station accepts returns"),
        _column("last_reported", "TIMESTAMP", "When the station last reported"),
    ),
    required_for_row=frozenset({"station_id", "num_vehicles_available"}),
    required_by_standard=frozenset({"is_installed", "is_renting", "is_returning", "last_reported"}),
)

VEHICLE_TYPES = FileModel(
    name="vehicle_types",
    records="vehicle_types",
    key="vehicle_type_id",
    columns=(
        _column("vehicle_type_id", "STRING", "Identifier of the type"),
        _column("form_factor", "STRING", "bicycle, cargo_bicycle, car, moped, scooter_standing, …"),
        _column("propulsion_type", "STRING", "human, electric_assist, electric, combustion, …"),
        _column("rider_capacity", "INTEGER", "People that it carries"),
        _column("max_range_meters", "FLOAT", "How far it goes when it is charged or full, in metres"),
        _column("name", "localized", "Public name"),
        _column("make", "localized", "Manufacturer"),
        _column("model", "localized", "Model"),
        _column("wheel_count", "INTEGER", "Wheels"),
        _column("max_permitted_speed", "INTEGER", "Speed that is permitted, in km/h"),
        _column("return_constraint", "STRING", "Where it must be returned"),
    ),
    required_for_row=frozenset({"vehicle_type_id"}),
    required_by_standard=frozenset({"form_factor", "propulsion_type"}),
)

VEHICLE_STATUS = FileModel(
    name="vehicle_status",
    records="vehicles",
    key="vehicle_id",
    columns=(
        _column("vehicle_id", "STRING", "Identifier, another one after each trip"),
        _column("lat", "FLOAT", "Degrees north (WGS 84); null at a station"),
        _column("lon", "FLOAT", "Degrees east (WGS 84); null at a station"),
        _column("is_reserved", "BOOLEAN", "Whether it is reserved"),
        _column("is_disabled", "BOOLEAN", "Whether it is out of order"),
        _column("vehicle_type_id", "STRING", "Its type"),
        _column("last_reported", "TIMESTAMP", "When the vehicle last reported"),
        _column("current_range_meters", "FLOAT", "How far it goes now, in metres"),
        _column("current_fuel_percent", "FLOAT", "What is left of fuel or battery, 0 to 1"),
        _column("station_id", "STRING", "The station where it stands"),
        _column("home_station_id", "STRING", "The station where it belongs"),
        _column("pricing_plan_id", "STRING", "Its pricing plan"),
        _column("available_until", "TIMESTAMP", "When it must be back"),
    ),
    required_for_row=frozenset({"vehicle_id"}),
    required_by_standard=frozenset({"is_reserved", "is_disabled"}),
)

FILES = {
    model.name: model
    for model in (SYSTEM_INFORMATION, STATION_INFORMATION, STATION_STATUS, VEHICLE_TYPES, VEHICLE_STATUS)
}
