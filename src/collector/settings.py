"""The function's settings, which the stack sets as environment variables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feed import secret_variable_name


class SettingsError(RuntimeError):
    """An environment variable that the stack sets is missing or invalid.

    What to do: deploy again: the stack sets every variable. Somebody has edited the function, or an old revision
    runs.
    """


@dataclass(frozen=True)
class Settings:
    """Buckets, tables, and the API with its limits."""

    project: str
    location: str
    source_folder: str
    api_url: str
    api_timeout_s: float
    api_max_bytes: int
    landing_bucket: str
    archive_bucket: str
    station_table: str
    quarantine_table: str
    empty_responses_table: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        """Return the settings. Raises SettingsError with all missing variables, or with the first invalid number."""
        names = [name.upper() for name in cls.__dataclass_fields__]
        if missing := [name for name in names if not environment.get(name)]:
            raise SettingsError(
                f"missing environment variables: {', '.join(missing)}; the stack must set them"
            )
        return cls(
            project=environment["PROJECT"],
            location=environment["LOCATION"],
            source_folder=environment["SOURCE_FOLDER"],
            api_url=environment["API_URL"],
            api_timeout_s=_read_positive(environment, "API_TIMEOUT_S"),
            api_max_bytes=int(_read_positive(environment, "API_MAX_BYTES")),
            landing_bucket=environment["LANDING_BUCKET"],
            archive_bucket=environment["ARCHIVE_BUCKET"],
            station_table=environment["STATION_TABLE"],
            quarantine_table=environment["QUARANTINE_TABLE"],
            empty_responses_table=environment["EMPTY_RESPONSES_TABLE"],
        )


def _read_positive(environment: Mapping[str, str], name: str) -> float:
    try:
        value = float(environment[name])
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name}: found {environment[name]!r}, expected a number greater than 0")
    return value


def read_secrets(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values of secrets, which the stack passes as environment variables. Raises SettingsError."""
    names = list(names)
    if missing := [name for name in names if not environment.get(secret_variable_name(name))]:
        variables = ", ".join(secret_variable_name(name) for name in missing)
        raise SettingsError(f"missing values of the secrets {', '.join(missing)}: expected in {variables}")
    values = {name: environment[secret_variable_name(name)].strip() for name in names}
    if odd := [name for name, value in values.items() if not (value.isascii() and value.isprintable())]:
        raise SettingsError(
            f"invalid values of the secrets {', '.join(odd)}: not all characters are allowed in HTTP headers"
        )
    return values
