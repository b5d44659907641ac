"""A copy of the checkout that its own commands deploy into the local environment, with the fake provider."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 240
STACK = "vlille-dev"
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
Changes = dict[str, list[str]]  # address → actions, in their order


@dataclass(frozen=True)
class Site:
    """`folder` has the copy (`checkout`), the fake provider (`mirror`) and its resources (`documents`)."""

    folder: Path
    variables: Mapping[str, str]

    @property
    def checkout(self) -> Path:
        """The copy, which tests edit."""
        return self.folder / "checkout"

    @property
    def local_folder(self) -> Path:
        """The folder of the local environment."""
        return self.checkout / ".local" / "dev"

    @property
    def stack(self) -> Path:
        """The folder in which Terraform runs."""
        return self.checkout / "cdktf.out" / "environments" / "dev" / "stacks" / STACK

    @property
    def declared(self) -> set[str]:
        """The addresses of all resources of the newest synthesized stack."""
        found = json.loads((self.stack / "cdk.tf.json").read_text())["resource"]
        return {f"{kind}.{name}" for kind, named in found.items() for name in named}

    @property
    def held(self) -> list[Path]:
        """The documents of the fake provider, one per resource."""
        return sorted((self.folder / "documents").rglob("*.json"))

    def make(self, *argv: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run make with `typed` as standard input; `stdout` also has standard error, without colours."""
        done = self._run(self.checkout, "make", *argv, typed=typed)
        return subprocess.CompletedProcess(
            done.args, done.returncode, COLOUR.sub("", done.stdout + done.stderr)
        )

    def make_killed(self, held: int, *argv: str) -> str:
        """Run make, kill Terraform and its provider once `held` documents exist, and return the output."""
        with (self.folder / "killed").open("w+") as output:
            process = subprocess.Popen(
                ["make", *argv],
                cwd=self.checkout,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            while len(self.held) < held:
                assert process.poll() is None, (self.folder / "killed").read_text()
                time.sleep(0.002)
            for pid in (self.folder / "pids").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            assert process.wait(TIMEOUT_S) != 0
        return (self.folder / "killed").read_text()

    def terraform(self, *argv: str) -> str:
        """Run Terraform in the stack's folder and return what it prints; it must succeed."""
        done = self._run(self.stack, self.variables["TERRAFORM_BINARY_NAME"], *argv)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace the only occurrence of `old` in a file of the copy, and synthesize again."""
        self.replace(file, old, new)
        self.synthesize()

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace the only occurrence of `old` in a file of the copy."""
        path = self.checkout / file
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), "utf-8")

    def synthesize(self) -> None:
        """Write the stack's JSON."""
        folder = f"CDKTF_OUTDIR={self.stack.parents[1]}"
        done = self._run(self.checkout, "env", folder, ".venv/bin/python", "stacks.py")
        assert done.returncode == 0, done.stderr

    def plan(self) -> Changes:
        """Plan, and return what the plan would change."""
        self.terraform("plan", "-input=false", "-out=plan")
        return self.planned()

    def planned(self) -> Changes:
        """Return what the last plan would change."""
        return changes(json.loads(self.terraform("show", "-json", "plan")))

    def _run(self, folder: Path, *argv: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            cwd=folder,
            env=self.variables,
            input=typed,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def changes(plan: Mapping[str, Any]) -> Changes:
    """Return the actions of a plan's JSON by address, without resources that do not change."""
    found = {each["address"]: each["change"]["actions"] for each in plan.get("resource_changes", [])}
    return {address: actions for address, actions in found.items() if actions not in (["no-op"], ["read"])}
