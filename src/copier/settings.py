"""The service's settings, which the stack sets as environment variables."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass


class SettingsError(RuntimeError):
    """An environment variable that the stack sets is missing or invalid.

    What to do: deploy again: the stack sets every variable. Somebody has edited the service, or an old revision
    runs.
    """


@dataclass(frozen=True)
class Settings:
    """The two buckets, the time limit of a sweep, and how many objects are moved concurrently.

    A landed object is deleted only `redelivery_window_s` after its tick, when Pub/Sub cannot deliver the tick's message
    any more: until then its name prevents a second delivery from storing another response. With `keep` no source is
    deleted: the old files of a backfill belong to the user.
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
        """Return the settings. Raises SettingsError with all missing variables, or the first invalid one."""
        names = (
            *("LANDING_BUCKET", "ARCHIVE_BUCKET"),
            *("SWEEP_DEADLINE_S", "SWEEP_THREADS", "REDELIVERY_WINDOW_S"),
        )
        if missing := [name for name in names if not environment.get(name)]:
            raise SettingsError(
                f"missing environment variables: {', '.join(missing)}; the stack must set them"
            )
        for name in names[2:]:
            if not environment[name].isdecimal() or int(environment[name]) < 1:
                raise SettingsError(
                    f"{name}: found {environment[name]!r}, expected a whole number greater than 0"
                )
        return cls(
            landing_bucket=environment["LANDING_BUCKET"],
            archive_bucket=environment["ARCHIVE_BUCKET"],
            deadline_s=float(environment["SWEEP_DEADLINE_S"]),
            threads=int(environment["SWEEP_THREADS"]),
            redelivery_window_s=float(environment["REDELIVERY_WINDOW_S"]),
        )
