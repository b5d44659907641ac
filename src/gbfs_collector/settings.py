"""What the stack tells the function, read once from the environment, and the systems of its archive."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.settings import SettingsError
from gbfs.roster import FILE, CollectedSystem, read_roster

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
        """Raises SettingsError, naming every variable that is missing, or the one that is no number."""
        names = [name.upper() for name in cls.__dataclass_fields__ if name != "catalogue_url"]
        if missing := [name for name in names if not environment.get(name)]:
            raise SettingsError(f"the stack must set {', '.join(missing)}")
        for name in _NUMBERS:
            if (
                not environment[name].isascii()
                or not environment[name].isdigit()
                or not int(environment[name])
            ):
                raise SettingsError(f"{name}: found {environment[name]!r}, expected a whole number above 0")
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
    """Return the systems of a folder's systems.json, by system_id. Raises SettingsError."""
    try:
        return {each.system_id: each for each in read_roster((folder / FILE).read_bytes())}
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{FILE} cannot be read: {error}") from error
