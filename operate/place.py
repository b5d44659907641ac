"""Where an environment is deployed: into Google Cloud, or into this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from operate.cloud import RefusedError

NOT_FOUND = 404


@dataclass(frozen=True)
class Place:
    """One environment; `here` is its folder on this machine, None in the cloud."""

    environment: str
    here: Path | None = None

    @classmethod
    def of_environment(cls, environment: str, environ: Mapping[str, str]) -> "Place":
        """This machine where VLILLE_HERE says so, as `python -m local cloud` exports it."""
        return cls(environment, Path(".local") / environment if environ.get("VLILLE_HERE") else None)

    def describe(self, project: str) -> str:
        """The line that a command which changes something shows before it begins."""
        target = "this machine" if self.here else "Google Cloud"
        return f"environment: {self.environment}   project: {project}   target: {target}"

    def make(self, target: str, job: str = "") -> str:
        """The command that a user types, in backticks."""
        words = ["make", target, *([f"JOB={job}"] if job else []), f"ENV={self.environment}"]
        return f"`{' '.join([*words, *(['TO=here'] if self.here else [])])}`"


def why(refused: RefusedError, place: Place) -> str:
    """What a refused call means, and what to do."""
    if refused.status == NOT_FOUND:
        return f"not there: run {place.make('deploy')}"
    if refused.disabled:
        return f"its API is not enabled: run {place.make('bootstrap')}, then {place.make('deploy')}"
    return f"cannot be asked ({refused}): mend that, then run this again"
