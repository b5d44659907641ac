"""Run `python -m local` in a process of its own, and keep what it printed and left behind."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEADLINE_S = 240
RESULT = "result.json"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of the command line."""

    code: int
    output: str
    folder: Path
    report: dict[str, Any]  # what it wrote; empty where it wrote none

    @property
    def used(self) -> list[dict[str, Any]]:
        """The permissions that identities used."""
        used: list[dict[str, Any]] = json.loads((self.folder / "access.json").read_text())
        return used

    def save(self, folder: Path) -> None:
        """Write exit status and output into a folder, for `load`."""
        (folder / RESULT).write_text(json.dumps([self.code, self.output, str(self.folder)]))

    @classmethod
    def load(cls, folder: Path) -> "FinishedRun":
        """Return the run that was saved in a folder."""
        code, output, run_folder = json.loads((folder / RESULT).read_text())
        return cls.of(code, output, Path(run_folder))

    @classmethod
    def of(cls, code: int, output: str, folder: Path) -> "FinishedRun":
        """Return a run with the report in its folder."""
        file = folder / "report.json"
        return cls(code, output, folder, json.loads(file.read_text()) if file.exists() else {})


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a run of this checkout, output unbuffered."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def run(cwd: Path, *words: str, **more: str) -> FinishedRun:
    """Run `python -m local` with these words in a folder, with more environment variables."""
    done = subprocess.run(
        [sys.executable, "-m", "local", *words],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return FinishedRun.of(done.returncode, done.stdout + done.stderr, cwd / ".local" / "dev")
