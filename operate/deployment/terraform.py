"""Terraform or OpenTofu on PATH, and the pinned `cdktf-cli` that calls it."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from commands.recipes import OUTPUT, output_folder
from operate.errors import OperateError

OLDEST = (1, 5)  # the first with `import` blocks
NAMES = ("terraform", "tofu")
MIRROR = "VLILLE_PROVIDER_MIRROR"
INSTALL = "install Terraform 1.5 or newer (https://developer.hashicorp.com/terraform/install) or OpenTofu"
VERSION_SECONDS = 60
# What Terraform and OpenTofu print if a provider is neither in the registry nor in a mirror.
NO_PROVIDER = re.compile(
    r"Failed to (query available provider packages|install provider|resolve provider packages)"
)
NEXT_PROVIDER = (
    "the google provider cannot be fetched from its registry, nor from a mirror: give this host a connection to it, "
    f"or set {MIRROR} to a folder that `terraform providers mirror` made on a host that has one, then run this again"
)
ROOT = Path(__file__).resolve().parents[2]
CDKTF = ROOT / "node_modules" / ".bin" / "cdktf"
# Installed only after the checks passed: the first time, it takes most of a minute.
INSTALL_CDKTF = ("make", "node_modules/.ready")


@dataclass(frozen=True)
class Terraform:
    """The program and the version that it prints."""

    program: Path
    version: str


def find_terraform(environ: Mapping[str, str]) -> Terraform:
    """Return the first of `terraform` and `tofu` on PATH that is new enough. Raises OperateError.

    TERRAFORM_BINARY_NAME, which cdktf-cli reads, replaces both names.
    """
    wanted = environ.get("TERRAFORM_BINARY_NAME")
    names = (wanted,) if wanted else NAMES
    found = [program for name in names if (program := shutil.which(name, path=environ.get("PATH", "")))]
    problems: list[str] = []
    for program in found:
        version = _version(program, environ)
        if version is None:
            problems.append(f"{program} does not print its version: {INSTALL}")
        elif version[1] < OLDEST:
            problems.append(f"{program} is version {version[0]}: {INSTALL}")
        else:
            return Terraform(Path(program), version[0])
    raise OperateError(problems[0] if problems else f"{' or '.join(names)} is not on PATH: {INSTALL}")


def _version(program: str, environ: Mapping[str, str]) -> tuple[str, tuple[int, int]] | None:
    try:
        done = subprocess.run(
            [program, "version", "-json"],
            env={**environ, "CHECKPOINT_DISABLE": "1"},
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=True,
        )
        version = str(json.loads(done.stdout)["terraform_version"])  # OpenTofu's key too
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
    match = re.match(r"(\d+)\.(\d+)", version)
    return (version, (int(match[1]), int(match[2]))) if match else None


class Cdktf:
    """The synthesis, and the pinned `cdktf-cli`, with the variables of one environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        # One folder per environment: cdktf reads the manifest there, which a synthesis of another one replaces.
        self._outdir = output_folder(environ["VLILLE_ENV"]) if "VLILLE_ENV" in environ else OUTPUT

    def synthesize(self, stack: str, variables: Mapping[str, str]) -> dict[str, Any]:
        """Write the Terraform JSON of the environment's stacks, and return that of one. Raises OperateError."""
        # cdktf can run it too, but mixes its output with its own lines.
        done = subprocess.run(
            [sys.executable, "stacks.py"],
            cwd=ROOT,
            env={**self._environ, **variables, "CDKTF_OUTDIR": str(self._outdir)},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OperateError(done.stderr.strip())
        file = ROOT / self._outdir / "stacks" / stack / "cdk.tf.json"
        document: dict[str, Any] = json.loads(file.read_text())
        return document

    def run(self, argv: Sequence[str]) -> int:
        """Run `cdktf` in the foreground on the synthesized stacks, and return its exit status.

        `argv` begin with the command and the stack. cdktf handles signals itself. Raises OperateError if it cannot be
        installed, or if Terraform cannot fetch the provider.
        """
        environ = self._environ
        if subprocess.run(
            INSTALL_CDKTF, cwd=ROOT, env=dict(environ), stdout=sys.stderr, check=False
        ).returncode:
            raise OperateError(f"cdktf-cli cannot be installed: run `{' '.join(INSTALL_CDKTF)}` to see why")
        argv = [str(CDKTF), *argv, "--output", str(self._outdir), "--skip-synth", *_lock_option(environ)]
        status = _run_in_foreground(argv, ROOT, {**environ, **_configure_mirror(environ)})
        if status:
            self._check_provider(argv[2])
        return status

    def terraform(self, stack: str, argv: Sequence[str], output: Path | None = None) -> int:
        """Run Terraform itself in the folder of a synthesized stack, and return its exit status.

        With `output`, standard output is appended to that file; standard error is still shown.
        """
        program = str(find_terraform(self._environ).program)
        folder, variables = (
            ROOT / self._outdir / "stacks" / stack,
            {**self._environ, **_configure_mirror(self._environ)},
        )
        if output is None:
            return _run_in_foreground([program, *argv], folder, variables)
        with output.open("ab") as file:
            status = _run_in_foreground([program, *argv], folder, variables, file)
        if status and argv[0] == "init":
            self._check_provider(stack)
        return status

    def _check_provider(self, stack: str) -> None:
        """Raise OperateError if a command failed because Terraform cannot fetch the provider."""
        folder = ROOT / self._outdir / "stacks" / stack
        if not folder.is_dir() or (folder / ".terraform" / "providers").is_dir():
            return
        done = subprocess.run(
            [str(find_terraform(self._environ).program), "init", "-input=false", "-no-color"],
            cwd=folder,
            env={**self._environ, **_configure_mirror(self._environ)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and NO_PROVIDER.search(done.stderr):
            raise OperateError(NEXT_PROVIDER)


def _run_in_foreground(
    argv: Sequence[str], folder: Path, environ: Mapping[str, str], output: BinaryIO | None = None
) -> int:
    """Run a program in the foreground, which Ctrl-C ends, and return its exit status."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        # Ctrl-C reaches the whole group: Terraform ends its calls and saves the state, and is waited for.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        process = subprocess.Popen(argv, cwd=folder, env=environ, stdout=output)

        def end(_number: int, _frame: FrameType | None) -> None:
            process.terminate()

        signal.signal(signal.SIGTERM, end)
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _configure_mirror(environ: Mapping[str, str]) -> dict[str, str]:
    """Make Terraform install providers only from the folder VLILLE_PROVIDER_MIRROR, if that is set.

    `terraform providers mirror` creates such a folder.
    """
    if not (folder := environ.get(MIRROR)):
        return {}
    if not Path(folder).is_dir():
        raise OperateError(
            f"{MIRROR}: found {folder!r}, accepted: a folder that `terraform providers mirror` made"
        )
    file = ROOT / ".cache" / "terraformrc"
    file.parent.mkdir(exist_ok=True)
    path = json.dumps(str(Path(folder).resolve()))
    file.write_text(f"provider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}\n")
    # Otherwise cdktf keeps a link to the mirror in the user's plugin cache, for all projects.
    return {"TF_CLI_CONFIG_FILE": str(file), "CDKTF_DISABLE_PLUGIN_CACHE_ENV": "1"}


def _lock_option(environ: Mapping[str, str]) -> list[str]:
    """Skip cdktf's lock of the provider, which requests checksums from the registry despite the mirror."""
    return ["--skip-provider-lock"] if environ.get(MIRROR) else []
