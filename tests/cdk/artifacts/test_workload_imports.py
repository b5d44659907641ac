"""Each workload's archive can be imported with only the packages that its own requirements.txt pins."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cdk.artifacts.packaging import Artifact
from cdk.artifacts.workloads import (
    build_batch_artifact,
    build_collector_artifact,
    build_copier_artifact,
    build_dashboard_artifact,
    build_gbfs_collector_artifact,
)
from feed import Feed
from gbfs.collection.systems import CollectedSystem

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "sources"
LILLE = CollectedSystem("v_lille", "V'lille", "FR", "Lille", "https://example.org/gbfs.json")
ARTIFACTS: dict[str, Callable[[Mapping[str, Feed]], Artifact]] = {
    "collector": lambda feeds: build_collector_artifact(feeds["vlille_ogc"], SOURCES),
    "gbfs_collector": lambda _: build_gbfs_collector_artifact([LILLE]),
    "copier": lambda feeds: build_copier_artifact(feeds.values(), SOURCES),
    "dashboard": lambda _: build_dashboard_artifact(),
    "spark": lambda feeds: build_batch_artifact(feeds.values(), SOURCES),
}
DATA_PACKAGES = {"tzdata"}  # time zones for images without the system's; no module imports it
CLUSTER_PACKAGES = {"spark": ("pyspark", "py4j")}  # part of Dataproc's image
# `-S` excludes site-packages, so only the standard library, the pinned packages and the archive are importable.
IMPORT = """
import importlib, sys
sys.path += sys.argv[1:3]
for name in sys.argv[3:]:
    importlib.import_module(name)
"""


def pinned(requirements: Path) -> Iterator[str]:
    """Yield the packages that are pinned for this interpreter and platform."""
    for line in requirements.read_text("utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement.name


def lay_out(folder: Path, names: Iterable[str]) -> Path:
    """Return a folder with links to the files of these distributions, laid out as an installation."""
    for name in names:
        found = distribution(name)
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                original, link = Path(str(found.locate_file(file))), folder / file
                if not link.parent.exists():
                    link.parent.mkdir(parents=True)
                    # Links keep the modification time of the sources, so that bytecode stays valid.
                    (link.parent / "__pycache__").symlink_to(original.parent / "__pycache__")
                link.symlink_to(original)
    return folder


def import_all(workload: str, folder: Path, code: Path) -> subprocess.CompletedProcess[str]:
    own = code / "requirements.txt"  # the batch's archive has none: its packages are in a zip of their own
    names = pinned(own if own.exists() else ROOT / "src" / workload / "requirements.txt")
    site = lay_out(folder / "site", {*names, *CLUSTER_PACKAGES.get(workload, ())} - DATA_PACKAGES)
    modules = sorted(
        ".".join(file.relative_to(code).with_suffix("").parts).removesuffix(".__init__")
        for file in code.rglob("*.py")
    )
    assert len(modules) > 10
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", IMPORT, site, code, *modules],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def unpacked(tmp_path: Path, feeds: dict[str, Feed]) -> Callable[[str], Path]:
    def unpack(workload: str) -> Path:
        with zipfile.ZipFile(io.BytesIO(ARTIFACTS[workload](feeds).content)) as archive:
            archive.extractall(tmp_path / "code")
        return tmp_path / "code"

    return unpack


def test_every_workload_with_requirements_is_looked_at() -> None:
    assert set(ARTIFACTS) >= {each.parent.name for each in ROOT.glob("src/*/requirements.txt")}


@pytest.mark.parametrize("workload", ARTIFACTS)
def test_a_workload_imports_with_its_own_requirements_alone(
    workload: str, unpacked: Callable[[str], Path], tmp_path: Path
) -> None:
    done = import_all(workload, tmp_path, unpacked(workload))
    assert done.returncode == 0, done.stderr


def test_an_import_that_is_not_pinned_is_found(unpacked: Callable[[str], Path], tmp_path: Path) -> None:
    code = unpacked("copier")
    (code / "copier" / "extra.py").write_text("import pyarrow\n")
    assert "No module named 'pyarrow'" in import_all("copier", tmp_path, code).stderr
