"""The function's environment variables, read once at start, and the systems of its archive."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.settings import SettingsError
from gbfs.collection.systems import SYSTEMS_FILE, CollectedSystem, read_systems

_NUMBERS = ("SHARDS", "DEADLINE_S", "REQUEST_S")


@dataclass(frozen=True)
class Settings:
    """Bucket, dataset and shards; `catalogue_url` may be empty."""

    project: str
    location: str
    packs_bucket: str
    dataset: str  # project.dataset
    shards: int
    deadline_s: float
    request_s: float
    catalogue_url: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables. Raises SettingsError with the missing ones, or the one that is not a number."""
        names = [name.upper() for name in cls.__dataclass_fields__ if name != "catalogue_url"]
        if missing := [name for name in names if not environment.get(name)]:
            raise SettingsError(
                f"environment variables are not set: {', '.join(missing)}; the stack must set them"
            )
        for name in _NUMBERS:
            if (
                not environment[name].isascii()
                or not environment[name].isdigit()
                or not int(environment[name])
            ):
                raise SettingsError(f"{name}: found {environment[name]!r}, expected a positive integer")
        return cls(
            project=environment["PROJECT"],
            location=environment["LOCATION"],
            packs_bucket=environment["PACKS_BUCKET"],
            dataset=environment["DATASET"],
            shards=int(environment["SHARDS"]),
            deadline_s=float(environment["DEADLINE_S"]),
            request_s=float(environment["REQUEST_S"]),
            catalogue_url=environment.get("CATALOGUE_URL", ""),
        )


def load_systems(folder: Path) -> dict[str, CollectedSystem]:
    """Return the systems of systems.json in a folder, by system_id. Raises SettingsError."""
    try:
        return {each.system_id: each for each in read_systems((folder / SYSTEMS_FILE).read_bytes())}
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{SYSTEMS_FILE} cannot be read: {error}") from error
