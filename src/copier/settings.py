"""What the stack tells the service, read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(RuntimeError):
    """A variable that the stack sets is missing, or is not what it must be."""


@dataclass(frozen=True)
class Settings:
    """The two buckets, how long a sweep may take, and how many objects are moved at a time.

    With `keep` the objects stay in the landing bucket too: the originals of a backfill, which are not ours.
    """

    landing_bucket: str
    archive_bucket: str
    deadline_s: float
    threads: int
    keep: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError, naming every variable that is missing, or the one that is no whole number."""
        names = ("LANDING_BUCKET", "ARCHIVE_BUCKET", "SWEEP_DEADLINE_S", "SWEEP_THREADS")
        if missing := [name for name in names if not environment.get(name)]:
            raise SettingsError(f"the stack must set {', '.join(missing)}")
        for name in names[2:]:
            if not environment[name].isdecimal() or int(environment[name]) < 1:
                raise SettingsError(f"{name}: found {environment[name]!r}, expected a whole number above 0")
        return cls(
            landing_bucket=environment["LANDING_BUCKET"],
            archive_bucket=environment["ARCHIVE_BUCKET"],
            deadline_s=float(environment["SWEEP_DEADLINE_S"]),
            threads=int(environment["SWEEP_THREADS"]),
        )
