"""A copy of the checkout in which the workflows' own lines are run, with Google and GitHub on loopback.

What stands for Terraform writes a plan that a test gives, and what stands for cdktf-cli notes what it was asked: the
plan with the real Terraform is `tests.operate`'s.
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
echo "terraform $*" >> "$SITE/asked"
case "$1" in
  version) echo '{"terraform_version": "1.11.4"}' ;;
  plan) for word; do case "$word" in -out=*) echo kept > "${word#-out=}" ;; esac; done ;;
  show) cat "$SITE/plan.json" ;;
esac
"""
CDKTF = """#!/bin/sh
echo "cdktf $*" >> "$SITE/asked"
"""
PROJECT = "vlille-steps"  # no other test's


@dataclass
class Site:
    """`folder` holds the copy (`checkout`); `done` are the lines that were run in it."""

    folder: Path
    variables: Mapping[str, str]
    done: set[str] = field(default_factory=set)

    @classmethod
    def make(cls, folder: Path, variables: Mapping[str, str]) -> "Site":
        """Copy the checkout and put the programs in their places."""
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
            "SITE": str(folder),
            "GITHUB_ACTIONS": "true",  # whose steps give options as variables
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
    def asked(self) -> list[str]:
        """What Terraform and cdktf were asked for, but for the version."""
        file = self.folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if line != "terraform version -json"]

    def plan(self, document: Mapping[str, Any]) -> None:
        """Let Terraform plan this from now on."""
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
