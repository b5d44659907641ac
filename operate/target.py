"""Where an environment is deployed: to Google Cloud, or to the local environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from operate.cloud import ApiError

NOT_FOUND = 404


@dataclass(frozen=True)
class Target:
    """An environment and where it is deployed; `local_folder` has its local data, None in Google Cloud."""

    environment: str
    local_folder: Path | None = None

    @classmethod
    def from_environment(cls, environment: str, environ: Mapping[str, str]) -> "Target":
        """Return the local environment if VLILLE_LOCAL is set (`python -m local cloud` sets it), else Google Cloud."""
        return cls(environment, Path(".local") / environment if environ.get("VLILLE_LOCAL") else None)

    def describe(self, project: str) -> str:
        """Return the line that a command prints before it changes something."""
        kind = "local environment" if self.local_folder else "Google Cloud"
        return f"environment: {self.environment}   project: {project}   target: {kind}"

    def format_command(self, make_target: str, job: str = "") -> str:
        """Return a make command for this target, in backticks."""
        words = ["make", make_target, *([f"JOB={job}"] if job else []), f"ENV={self.environment}"]
        return f"`{' '.join([*words, *(['TO=local'] if self.local_folder else [])])}`"


def explain_error(refused: ApiError, target: Target) -> str:
    """Return what a failed call means, and what to do next."""
    if refused.status == NOT_FOUND:
        return f"not found: run {target.format_command('deploy')}"
    if refused.is_api_disabled:
        bootstrap, deploy = target.format_command("bootstrap"), target.format_command("deploy")
        return f"its API is not enabled: run {bootstrap}, then {deploy}"
    return f"the request failed ({refused}): fix the cause, then run this again"
