"""Read the options of single columns from source.toml: names, paths, types and descriptions."""

from feed.model import EPOCH_UNITS, SCALAR_TYPES
from feed.paths import FieldPath
from feed.source.inference import TypeOverride, make_column_name
from feed.source.toml_table import Table


def _check_column_name(section: Table, key: str, name: str) -> str:
    if name != make_column_name(name):
        hint = f"such as {make_column_name(name)!r}" if make_column_name(name) else ""
        section.refuse(key, repr(name), "a BigQuery column name: ASCII letters, digits and _", hint)
    return name


def read_renames(section: Table) -> dict[FieldPath, str]:
    return {
        section.as_path(key, key): _check_column_name(section, key, section.text(key))
        for key in section.table
    }


def read_column_paths(section: Table) -> dict[str, FieldPath]:
    column_paths = {_check_column_name(section, key, key): section.path(key) for key in section.table}
    for name, path in column_paths.items():
        if not path:
            section.refuse(name, "''", "a path in a record, such as geometry.coordinates[0]")
    return column_paths


def read_descriptions(section: Table) -> dict[str, str]:
    texts = {key: section.text(key) for key in section.table}
    for key, text in texts.items():
        if len(text) > 1024:
            section.refuse(key, f"{len(text)} characters", "at most BigQuery's 1024")
    return texts


def read_type_overrides(section: Table) -> dict[str, TypeOverride]:
    return {key: _read_override(section, key) for key in section.table}


def _read_override(section: Table, key: str) -> TypeOverride:
    if not isinstance(section.table[key], dict):
        return TypeOverride(section.choice(key, SCALAR_TYPES))
    table = section.section(key)
    table.only("type", "unit", "zone", "decimal", "format")
    override = TypeOverride(
        type=table.choice("type", SCALAR_TYPES, "FLOAT" if "decimal" in table.table else "TIMESTAMP"),
        decimal=table.choice("decimal", [","]) if "decimal" in table.table else "",
        format=table.text("format", ""),
        unit=table.choice("unit", EPOCH_UNITS) if "unit" in table.table else None,
        zone=table.zone("zone"),
    )
    if override.type != "TIMESTAMP" and (override.unit or override.zone or override.format):
        table.refuse("type", override.type, "TIMESTAMP, because other types have no unit, zone or format")
    if override.decimal and override.type != "FLOAT":
        table.refuse("type", override.type, "FLOAT, because other types have no decimal comma")
    if override.format and not override.zone and "%z" not in override.format:
        table.refuse("format", repr(override.format), "a format with %z, or a `zone` in addition")
    if override.unit and override.zone:
        table.refuse("zone", repr(override.zone), "a unit or a zone, not both: times since 1970 are UTC")
    return override
