"""Which files are in which archive, and which changes give an archive another digest."""

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cdk.artifacts.packaging import Artifact, PackagingError
from cdk.artifacts.workloads import (
    build_batch_artifact,
    build_collector_artifact,
    build_copier_artifact,
    build_gbfs_collector_artifact,
    read_batch_main,
)
from feed import Feed
from gbfs.collection.systems import CollectedSystem, read_systems

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "sources"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """A copy of the packages that a test changes."""
    return Path(shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")))


LILLE = CollectedSystem("v_lille", "V'lille", "FR", "Lille", "https://example.org/gbfs.json")


def artifacts(src: Path, feeds: dict[str, Feed]) -> dict[str, Artifact]:
    return {
        "collector": build_collector_artifact(feeds["vlille_ogc"], SOURCES, src),
        "copier": build_copier_artifact(feeds.values(), SOURCES, src),
        "batch": build_batch_artifact(feeds.values(), SOURCES, src),
        "gbfs_collector": build_gbfs_collector_artifact([LILLE], src),
    }


@pytest.mark.parametrize(
    ("changed", "others"),
    [
        ("collector/tick.py", {"collector", "gbfs_collector"}),
        ("collector/main.py", {"collector"}),
        ("collector/requirements.txt", {"collector", "gbfs_collector"}),
        ("gbfs_collector/main.py", {"gbfs_collector"}),
        ("gbfs/collection/shards.py", {"batch", "gbfs_collector"}),
        ("gbfs/__main__.py", set()),
        ("copier/sweep.py", {"copier"}),
        ("copier/Dockerfile", {"copier"}),
        ("spark/rebuild/job.py", {"batch"}),
        ("feed/parsing/parser.py", {"collector", "copier", "batch", "gbfs_collector"}),
        ("telemetry/__init__.py", {"collector", "copier", "batch", "gbfs_collector"}),
        ("feed/NOTES.md", set()),
    ],
)
@pytest.mark.long
def test_a_change_is_another_archive_where_the_file_is_used(
    src: Path, feeds: dict[str, Feed], changed: str, others: set[str]
) -> None:
    before = artifacts(src, feeds)
    with (src / changed).open("ab") as file:
        file.write(b"\n")
    after = artifacts(src, feeds)
    assert {name for name in before if before[name].file_name != after[name].file_name} == others


def test_the_job_begins_with_a_file_of_its_own() -> None:
    assert read_batch_main() == (ROOT / "src" / "spark" / "main.py").read_bytes()


def test_feeds_travel_only_where_they_are_read(feeds: dict[str, Feed]) -> None:
    def sources(artifact: Artifact) -> set[str]:
        with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
            named = {name.split("/")[1] for name in archive.namelist() if name.startswith("sources/")}
            return named - {"README"}

    made = artifacts(ROOT / "src", feeds)
    assert {name: sources(each) for name, each in made.items()} == {
        "collector": {"vlille_ogc"},
        "copier": {"vlille_ods"},  # the only feed with legacy objects
        "batch": {"vlille_gbfs", "vlille_ods", "vlille_ogc", "vlille_wfs"},
        "gbfs_collector": set(),
    }


@pytest.mark.parametrize(
    ("missing", "make"),
    [
        ("collector/main.py", lambda src, feeds: build_collector_artifact(feeds["vlille_ogc"], SOURCES, src)),
        ("copier/Dockerfile", lambda src, feeds: build_copier_artifact(feeds.values(), SOURCES, src)),
    ],
)
def test_a_missing_file_is_named(
    src: Path, feeds: dict[str, Feed], missing: str, make: Callable[[Path, dict[str, Feed]], Artifact]
) -> None:
    (src / missing).unlink()
    with pytest.raises(PackagingError, match=f"{missing}: No such file.*cannot be built without it"):
        make(src, feeds)


def test_the_copiers_archive_has_a_sources_folder_without_legacy_feeds(feeds: dict[str, Feed]) -> None:
    """The folder is in the archive without feeds too: the Dockerfile copies it, and the copier lists it."""
    none = [feed for feed in feeds.values() if not feed.legacy]
    with zipfile.ZipFile(io.BytesIO(build_copier_artifact(none, SOURCES).content)) as archive:
        assert [name for name in archive.namelist() if name.startswith("sources/")] == ["sources/README"]


def test_the_collector_of_gbfs_systems_has_its_entry_point_and_its_systems() -> None:
    with zipfile.ZipFile(io.BytesIO(build_gbfs_collector_artifact([LILLE]).content)) as archive:
        names = set(archive.namelist())
        assert read_systems(archive.read("systems.json")) == (LILLE,)
    assert {
        "main.py",
        "requirements.txt",
        "gbfs_collector/instance.py",
        "gbfs/tables.py",
        "collector/loading.py",
    } <= names
    assert not {
        name for name in names if name.endswith(("/main.py", "__main__.py")) and name != "feed/__main__.py"
    }
