"""The options of a local run."""

from dataclasses import dataclass
from pathlib import Path

from local.feeds.city import City
from local.http.faults import Fault


@dataclass(frozen=True)
class Options:
    """The options of a command; `mode` is demo, up or cloud."""

    mode: str
    environment: str
    feed: str | None = None
    city: City | None = None
    replay: Path | None = None
    day: str | None = None
    ticks: int | None = None
    speed: float = 1.0
    detached: bool = False
    record: Path | None = None
    fault: Fault | None = None
    open: bool = False
    base: Path = Path(".local")

    @property
    def folder(self) -> Path:
        """The environment's folder."""
        return self.base / self.environment
