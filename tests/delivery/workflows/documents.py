"""The workflows as documents, read with ruamel.yaml of the environment that has it (`make checkov`)."""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
GITHUB = ROOT / ".github"
CHECKS = ROOT / ".cache" / "checkov" / "bin"
TIMEOUT_S = 60
AS_JSON = (
    "import json, sys; from pathlib import Path; from ruamel.yaml import YAML; "
    "print(json.dumps({each: YAML(typ='safe').load(Path(each)) for each in sys.argv[1:]}))"
)


def run_check(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program that `make checkov` installs; fail if it is not installed."""
    if not (CHECKS / program).exists():
        pytest.fail(
            f"{program} is not installed: run `make checkov` once, it installs what is pinned", pytrace=False
        )
    return subprocess.run(
        [CHECKS / program, *words], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@cache
def documents() -> dict[str, Any]:
    """Return every workflow and action by its path below .github."""
    files = sorted([*GITHUB.glob("workflows/*.yml"), *GITHUB.glob("actions/*/action.yml")])
    done = run_check("python", "-c", AS_JSON, *files)
    assert done.returncode == 0, done.stderr
    return {str(Path(name).relative_to(GITHUB)): each for name, each in json.loads(done.stdout).items()}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield workflow/job and the job."""
    for name, document in documents().items():
        for job, definition in document.get("jobs", {}).items():
            yield f"{Path(name).stem}/{job}", definition


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the location of each step and the step, including those of actions."""
    for job, definition in jobs():
        for each in definition.get("steps", []):
            yield job, each
    for name, document in documents().items():
        for each in document.get("runs", {}).get("steps", []):
            yield name, each


def lines() -> set[str]:
    """Return every line of shell that the workflows run."""
    return {line.strip() for _, step in steps() for line in step.get("run", "").splitlines()}
