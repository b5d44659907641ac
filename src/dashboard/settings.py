"""The service's environment variables, read once at start."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

MIB, GIB = 2**20, 2**30


@dataclass(frozen=True)
class Settings:
    """The settings that the stack passes to the service."""

    views: str  # project.dataset of the views
    feed: str
    title: str
    licence: str
    time_zone: ZoneInfo
    environment: str
    max_query_bytes: int  # per query
    daily_bytes: int  # per instance and UTC day
    cache_bytes: int
    public: bool = False  # whether anyone may open the page
    has_systems: bool = False  # whether the environment collects GBFS systems

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the variables. Raises KeyError with the name of a missing one."""
        return cls(
            views=environ["VIEWS_DATASET"],
            feed=environ["FEED"],
            title=environ["FEED_TITLE"],
            licence=environ.get("FEED_LICENCE", ""),
            time_zone=ZoneInfo(environ["TIME_ZONE"]),
            environment=environ["ENVIRONMENT"],
            max_query_bytes=int(environ["MAX_QUERY_MEBIBYTES"]) * MIB,
            daily_bytes=int(environ["DAILY_GIBIBYTES"]) * GIB,
            cache_bytes=int(environ["CACHE_MEBIBYTES"]) * MIB,
            public=environ.get("PUBLIC") == "1",
            has_systems=environ.get("GBFS_SYSTEMS") == "1",
        )
