"""What the stack tells the service, read once from the environment."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass


class SettingsError(RuntimeError):
    """A variable that the stack sets is missing, or is not what it must be.

    What to do: deploy again: the stack sets every variable. Somebody has edited the service, or an old revision
    runs.
    """


@dataclass(frozen=True)
class Settings:
    """The two buckets, how long a sweep may take, and how many objects are moved at a time.

    A landed object is deleted only `redelivery_window_s` after its tick, when Pub/Sub can deliver the tick's
    message no more: until then its name keeps a second delivery from storing another response.
    With `keep` the objects stay in the landing bucket too: the originals of a backfill, which are not ours.
    """

    landing_bucket: str
    archive_bucket: str
    deadline_s: float
    threads: int
    _: KW_ONLY
    redelivery_window_s: float = 0.0
    keep: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError, naming every variable that is missing, or the one that is no whole number."""
        names = (
            *("LANDING_BUCKET", "ARCHIVE_BUCKET"),
            *("SWEEP_DEADLINE_S", "SWEEP_THREADS", "REDELIVERY_WINDOW_S"),
        )
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
            redelivery_window_s=float(environment["REDELIVERY_WINDOW_S"]),
        )
