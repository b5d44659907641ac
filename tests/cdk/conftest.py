"""Two copies of the checkout, and the stacks that `python stacks.py` synthesizes from each, once per test session."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ENVIRONMENTS, MakeOnce

ROOT = Path(__file__).parents[2]
SYNTH_TIMEOUT_S = 240
SNAPSHOTS = Path(__file__).with_name("snapshots")
UPDATE = (
    "if this is meant, run `.venv/bin/pytest tests/cdk/test_stack.py tests/cdk/test_bootstrap.py --update-snapshots`, "
    "then `make unit` again: tests of the snapshot say what else a new resource needs; commit what changes"
)
HASHES = (
    (re.compile(r"-[0-9a-f]{16}\.(zip|py)"), r"-<sha256>.\1"),
    (re.compile(r"/[0-9a-f]{32}/"), "/<hash>/"),
    (re.compile(r":[0-9a-f]{16}(?=[\"'])"), ":<sha256>"),
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
    return read_synthesis(outdir)


def read_synthesis(outdir: Path) -> Synthesis:
    """Return the stacks in an output folder."""
    files = sorted(outdir.glob("stacks/vlille-*/cdk.tf.json"))
    return Synthesis(
        outdir,
        {file.parent.name.removeprefix("vlille-"): json.loads(file.read_text("utf-8")) for file in files},
    )


def check_snapshot(stack: dict[str, Any], name: str, *, update: bool) -> None:
    """Fail with a list of what differs between a stack and its snapshot, or update the snapshot.

    Digests, which change with the code, are not compared.
    """
    text = json.dumps(without_comments(stack), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    for pattern, replacement in HASHES:
        text = pattern.sub(replacement, text)
    file = SNAPSHOTS / f"{name}.json"
    if update:
        file.write_text(text, "utf-8")
    reviewed = file.read_text("utf-8")
    if text != reviewed:
        differences = sorted(find_differences(json.loads(reviewed), json.loads(text)))
        listed = "\n".join(f"  {each}" for each in differences) or "  the format of the file"
        pytest.fail(f"the stack differs from {file.relative_to(ROOT)}:\n{listed}\n{UPDATE}", pytrace=False)


def without_comments(stack: Mapping[str, Any]) -> dict[str, Any]:
    """Return a synthesized stack without CDKTF's metadata, which name the constructs' paths and the version."""
    kept = {key: value for key, value in stack.items() if key != "//"}
    kept["resource"] = {
        kind: {
            name: {key: value for key, value in arguments.items() if key != "//"}
            for name, arguments in by_name.items()
        }
        for kind, by_name in stack["resource"].items()
    }
    return kept


def find_differences(reviewed: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each resource, and each other block of a stack, that is new, gone or changed."""
    old, new = _list_blocks(reviewed), _list_blocks(found)
    for address in old.keys() | new.keys():
        if address not in old:
            yield f"{address} is new"
        elif address not in new:
            yield f"{address} is gone"
        elif old[address] != new[address]:
            arguments = old[address].keys() | new[address].keys()
            changed = [each for each in arguments if old[address].get(each) != new[address].get(each)]
            yield f"{address} has changed: {', '.join(sorted(changed))}"


def _list_blocks(stack: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the arguments of each resource by its address, and other blocks by their kind."""
    blocks = {
        f"{kind}.{name}": arguments
        for kind, by_name in stack["resource"].items()
        for name, arguments in by_name.items()
    }
    return blocks | {kind: block for kind, block in stack.items() if kind != "resource"}


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
def checkouts(make_once: MakeOnce) -> tuple[Path, Path]:
    """Two folders with the same files, modified in 2001 in the first one and in 2033 in the second."""

    def copy(folder: Path) -> None:
        copy_checkout(folder / "first", 1_000_000_000, 0o644)
        copy_checkout(folder / "another place" / "second", 2_000_000_001, 0o755)

    folder = make_once("checkouts", copy)
    return folder / "first", folder / "another place" / "second"


@pytest.fixture(scope="session")
def synthesis(checkouts: tuple[Path, Path], make_once: MakeOnce) -> Synthesis:
    """The run of the first copy, which most tests read."""
    return _synthesize_copy(checkouts[0], make_once)


@pytest.fixture(scope="session")
def second_synthesis(checkouts: tuple[Path, Path], make_once: MakeOnce) -> Synthesis:
    """The run of the second copy, which nothing but the comparison with the first one needs."""
    return _synthesize_copy(checkouts[1], make_once)


def _synthesize_copy(copy: Path, make_once: MakeOnce) -> Synthesis:
    """Synthesize a copy in an output folder that still has a stack of a deleted environment."""
    if not list((ROOT / ".cache").glob("packages-*.zip")):
        pytest.fail("no packages for the Spark job yet: run `make synth` once, it fetches them")

    def run(folder: Path) -> None:
        (folder / "stacks" / "vlille-gone").mkdir(parents=True)
        (folder / "stacks" / "vlille-gone" / "cdk.tf.json").write_text("{}")
        synthesize(copy, folder)

    return read_synthesis(make_once(f"synthesis-{copy.name}", run))


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
def gbfs_stack(checkouts: tuple[Path, Path], make_once: MakeOnce) -> dict[str, Any]:
    """The stack of dev with GBFS systems."""

    def run(folder: Path) -> None:
        (folder / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text("utf-8") + GBFS, "utf-8")
        synthesize(checkouts[0], folder / "out", VLILLE_ENVIRONMENTS=str(folder))

    return read_synthesis(make_once("gbfs", run) / "out").stacks["dev"]


@pytest.fixture(scope="session")
def fork_synthesis(checkouts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """The first copy, synthesized with the maintained fork `cdktn`."""
    return synthesize(checkouts[0], tmp_path_factory.mktemp("fork") / "out", VLILLE_CDK="cdktn")
