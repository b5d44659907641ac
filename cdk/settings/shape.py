"""Whether a TOML file has the keys and types of its sections, and names that its project can have."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from cdk.settings.errors import SettingsError, format_choices
from cdk.settings.sections import EnvironmentFile

# Of the name of an environment that is in the names of its resources: a service account has 30 characters, and
# `vlille-ci-deployer-` has 19.
MOST_IN_NAMES = 11
# What follows another whole name in a name of the stack: `collect` and `collect-dead`.
LAST_WORDS = frozenset({"dead", "discover", "internal", "push", "views"})


def check_keys(file: Path, document: Mapping[str, Any], section: type[msgspec.Struct], prefix: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    for key in document:
        if key not in fields:
            raise SettingsError(file, f"{prefix}{key}", "an unknown key", format_choices(key, fields))
    for name, field in fields.items():
        if name not in document:
            if field.required:
                raise SettingsError(
                    file, f"{prefix}{name}", "nothing", f"{_type_name(field.type)}; the key is needed"
                )
        elif (inner := section_type(field.type)) is not None:
            if not isinstance(document[name], dict):
                raise SettingsError(file, f"{prefix}{name}", document[name], f"a table: [{prefix}{name}]")
            check_keys(file, document[name], inner, f"{prefix}{name}.")


def section_type(annotation: object) -> type[msgspec.Struct] | None:
    """Return the table that a key holds, also where the key may be left out (`Ci | None`)."""
    if get_origin(annotation) is dict:
        return None
    types = (annotation, *get_args(annotation))
    return next((each for each in types if isinstance(each, type) and issubclass(each, msgspec.Struct)), None)


def explain_validation_error(file: Path, document: Mapping[str, Any], message: str) -> SettingsError:
    """Turn msgspec's "Expected `int`, got `str` - at `$.copier.threads`" into our sentence."""
    expected, _, path = message.partition(" - at `$.")
    key = path.rstrip("`")
    found: Any = document
    for part in re.findall(r"[A-Za-z_]+", key):
        found = found.get(part) if isinstance(found, dict) else found
    names = {"int": "a whole number", "str": "a text", "bool": "true or false", "object": "a table"}
    match = re.match(r"Expected `(\w+)`", expected)
    accepted = names.get(match[1], expected) if match else expected
    if key.endswith("[...]"):
        key, accepted = key.removesuffix("[...]"), f"{accepted} for each of its keys"
    return SettingsError(file, key, found, accepted)


def check_names(file: Path, values: EnvironmentFile) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]{0,19}", file.stem):
        raise SettingsError(
            file, "file name", file.name, "1 to 20 lower-case letters and digits, a letter first, then .toml"
        )
    if values.shared_project and (len(file.stem) > MOST_IN_NAMES or file.stem in LAST_WORDS):
        raise SettingsError(
            file,
            "shared_project",
            True,
            f"a file name of at most {MOST_IN_NAMES} characters, none of {', '.join(sorted(LAST_WORDS))}: resources "
            "have it at the end of their names",
        )
    if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", values.project):
        raise SettingsError(
            file,
            "project",
            values.project,
            "a project ID: 6 to 30 of a-z, 0-9 and -, a letter first, no - last",
        )
    if "google" in values.project:
        raise SettingsError(
            file, "project", values.project, "a name without 'google', which no bucket may hold"
        )


def _type_name(annotation: object) -> str:
    names: dict[object, str] = {str: "a text", int: "a whole number", bool: "true or false"}
    return names.get(annotation, "a table")
