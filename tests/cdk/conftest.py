"""Two copies of the checkout, and the stacks that `python stacks.py` synthesizes from each, once per test session."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ENVIRONMENTS

ROOT = Path(__file__).parents[2]
SYNTH_TIMEOUT_S = 240
SNAPSHOT_DIFFERS = (
    "the stack is not the one in tests/cdk/snapshots: if the difference is meant, write them anew with "
    "`.venv/bin/pytest tests/cdk/test_stack.py tests/cdk/test_bootstrap.py --update-snapshots`, and commit what changes"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots", action="store_true", help="rewrite tests/cdk/snapshots from what is synthesized"
    )


@dataclass(frozen=True)
class Synthesis:
    """The output folder of one run, and the Terraform JSON of its stacks by environment."""

    outdir: Path
    stacks: Mapping[str, dict[str, Any]]

    def folder(self, environment: str) -> Path:
        """The folder that the paths of a stack's assets are relative to."""
        return self.outdir / "stacks" / f"vlille-{environment}"


def synthesize(checkout: Path, outdir: Path, **variables: str) -> Synthesis:
    """Run stacks.py of a checkout with the checkout's own packages."""
    done = subprocess.run(
        [sys.executable, "stacks.py"],
        cwd=checkout,
        env=os.environ
        | {
            "CDKTF_OUTDIR": str(outdir),
            "PYTHONPATH": str(checkout / "src"),
            "VLILLE_ENVIRONMENTS": str(checkout / "environments"),
        }
        | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SYNTH_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    files = sorted(outdir.glob("stacks/vlille-*/cdk.tf.json"))
    return Synthesis(
        outdir,
        {file.parent.name.removeprefix("vlille-"): json.loads(file.read_text("utf-8")) for file in files},
    )


def copy_checkout(folder: Path, mtime: int, mode: int) -> Path:
    """Copy the tracked files, all with one modification time and mode, and the packages that were fetched earlier.

    Its environments are those of the tests; programs that run in it need the variable `VLILLE_ENVIRONMENTS`.
    """
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60)
    for name in sorted(kept.stdout.decode().split("\0")[:-1], reverse=bool(mtime % 2)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():  # skips a file that is deleted and not yet committed
            shutil.copyfile(ROOT / name, target)
            os.utime(target, (mtime, mtime))
            target.chmod(mode)
    shutil.rmtree(folder / "environments", ignore_errors=True)
    shutil.copytree(ENVIRONMENTS, folder / "environments")
    cache = folder / ".cache"
    cache.mkdir()
    for file in (ROOT / ".cache").glob("packages-*"):
        (cache / file.name).symlink_to(file)
    return folder


@pytest.fixture(scope="session")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with the same files, modified in 2001 in the first one and in 2033 in the second."""
    folder = tmp_path_factory.mktemp("checkouts")
    first = copy_checkout(folder / "first", 1_000_000_000, 0o644)
    second = copy_checkout(folder / "another place" / "second", 2_000_000_001, 0o755)
    return first, second


@pytest.fixture(scope="session")
def syntheses(checkouts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Synthesis]:
    """The runs of both copies, in parallel, in output folders that still have a stack of a deleted environment."""
    if not list((ROOT / ".cache").glob("packages-*.zip")):
        pytest.fail("no packages for the Spark job yet: run `make synth` once, it fetches them")
    folder = tmp_path_factory.mktemp("syntheses")
    for copy in checkouts:
        (folder / copy.name / "stacks" / "vlille-gone").mkdir(parents=True)
        (folder / copy.name / "stacks" / "vlille-gone" / "cdk.tf.json").write_text("{}")
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(synthesize, copy, folder / copy.name) for copy in checkouts]
        return [run.result() for run in runs]


@pytest.fixture(scope="session")
def synthesis(syntheses: list[Synthesis]) -> Synthesis:
    """The first run, which most tests read."""
    return syntheses[0]


GBFS = """
[gbfs]
systems = ["Paris"]
countries = ["FR"]
shards = 3

[gbfs.overrides.Paris]
headers = { "X-Api-Key" = "velib-key" }
interval_minutes = 5
"""


@pytest.fixture(scope="session")
def gbfs_stack(checkouts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The stack of dev with GBFS systems."""
    folder = tmp_path_factory.mktemp("gbfs")
    (folder / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text("utf-8") + GBFS, "utf-8")
    made = synthesize(checkouts[0], folder / "out", VLILLE_ENVIRONMENTS=str(folder))
    return made.stacks["dev"]


@pytest.fixture(scope="session")
def fork_synthesis(checkouts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """The first copy, synthesized with the maintained fork `cdktn`."""
    return synthesize(checkouts[0], tmp_path_factory.mktemp("fork") / "out", VLILLE_CDK="cdktn")
