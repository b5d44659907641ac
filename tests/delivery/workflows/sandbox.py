"""A copy of the checkout in which the workflows' own lines run, with fakes of Google Cloud and GitHub on loopback.

The fake of Terraform writes the plan that a test gives, the fake of cdktf-cli logs its arguments. `tests.operate`
plans with the real Terraform.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cdk.conftest import copy_checkout

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 120
TERRAFORM = """#!/bin/sh
echo "terraform $*" >> "$SANDBOX/calls"
case "$1" in
  version) echo '{"terraform_version": "1.11.4"}' ;;
  plan) for word; do case "$word" in -out=*) echo kept > "${word#-out=}" ;; esac; done ;;
  show) cat "$SANDBOX/plan.json" ;;
esac
"""
CDKTF = """#!/bin/sh
echo "cdktf $*" >> "$SANDBOX/calls"
"""
PROJECT = "vlille-steps"  # used by no other test


@dataclass
class Sandbox:
    """`folder` holds the copy (`checkout`); `done` are the lines that were run in it."""

    folder: Path
    variables: Mapping[str, str]
    done: set[str] = field(default_factory=set)

    @classmethod
    def make(cls, folder: Path, variables: Mapping[str, str]) -> "Sandbox":
        """Copy the checkout and install the fake programs."""
        checkout = copy_checkout(folder / "checkout", 1_000_000_000, 0o644)
        settings = checkout / "environments" / "dev.toml"
        settings.write_text(settings.read_text().replace('"vlille-dev"', f'"{PROJECT}"'))
        (checkout / ".venv").symlink_to(ROOT / ".venv")
        programs = {
            checkout / "node_modules" / ".bin" / "cdktf": CDKTF,
            folder / "bin" / "terraform": TERRAFORM,
            checkout / "node_modules" / ".ready": "",
        }
        for file, text in programs.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755)
        of_make = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
        kept = {name: value for name, value in os.environ.items() if name not in of_make}
        own = {
            "SANDBOX": str(folder),
            "GITHUB_ACTIONS": "true",  # its steps pass options as environment variables
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(checkout / "src"),  # the copy's own packages
            "VLILLE_ENVIRONMENTS": str(checkout / "environments"),
        }
        return cls(folder, {**kept, **variables, **own})

    @property
    def checkout(self) -> Path:
        """The copy."""
        return self.folder / "checkout"

    @property
    def calls(self) -> list[str]:
        """Return the calls of Terraform and cdktf, without those of `terraform version`."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if line != "terraform version -json"]

    def plan(self, document: Mapping[str, Any]) -> None:
        """Set the plan that the fake of Terraform returns from now on."""
        (self.folder / "plan.json").write_text(json.dumps(document))

    def step(self, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the workflows as they do: in bash, with the environment named by a variable."""
        self.done.add(line)
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line],
            cwd=self.checkout,
            env={**self.variables, "ENV": "dev", **variables},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
