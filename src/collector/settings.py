"""What the stack tells the function, read once from the environment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feed import secret_variable


class SettingsError(RuntimeError):
    """A variable that the stack sets is missing, or is not what it must be.

    What to do: deploy again: the stack sets every variable. Somebody has edited the function, or an old revision
    runs.
    """


@dataclass(frozen=True)
class Settings:
    """Buckets, tables and the API with its limits."""

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

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError, naming every variable that is missing, or the one that is no number."""
        names = [name.upper() for name in cls.__dataclass_fields__]
        if missing := [name for name in names if not environment.get(name)]:
            raise SettingsError(f"the stack must set {', '.join(missing)}")
        return cls(
            project=environment["PROJECT"],
            location=environment["LOCATION"],
            source_folder=environment["SOURCE_FOLDER"],
            api_url=environment["API_URL"],
            api_timeout_s=_positive(environment, "API_TIMEOUT_S"),
            api_max_bytes=int(_positive(environment, "API_MAX_BYTES")),
            landing_bucket=environment["LANDING_BUCKET"],
            archive_bucket=environment["ARCHIVE_BUCKET"],
            station_table=environment["STATION_TABLE"],
            quarantine_table=environment["QUARANTINE_TABLE"],
        )


def _positive(environment: Mapping[str, str], name: str) -> float:
    try:
        value = float(environment[name])
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name}: found {environment[name]!r}, expected a number above 0")
    return value


def secrets_of(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The values of secrets, which Secret Manager puts into variables; SettingsError names those that are missing."""
    names = list(names)
    if missing := [name for name in names if not environment.get(secret_variable(name))]:
        variables = ", ".join(secret_variable(name) for name in missing)
        raise SettingsError(f"no value of the secrets {', '.join(missing)}: expected in {variables}")
    values = {name: environment[secret_variable(name)].strip() for name in names}
    if odd := [name for name, value in values.items() if not (value.isascii() and value.isprintable())]:
        raise SettingsError(f"the secrets {', '.join(odd)} have characters that no HTTP header may have")
    return values
