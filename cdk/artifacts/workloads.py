"""Build the artifacts of the workloads: the functions' zips, the services' sources, the batch job's packages."""

from collections.abc import Iterable
from pathlib import Path

from cdk.artifacts.packaging import Artifact, PackagingError, read_tree, zip_files
from feed import Feed
from gbfs.collection.systems import SYSTEMS_FILE, CollectedSystem, write_systems

ROOT = Path(__file__).parents[2]
CODE = (".py",)


def build_collector_artifact(feed: Feed, sources: Path, src: Path = ROOT / "src") -> Artifact:
    """Return the source of the function: main.py and requirements.txt at the root, as the builder expects them."""
    files = {
        "main.py": _read_file(src / "collector" / "main.py"),
        "requirements.txt": _read_file(src / "collector" / "requirements.txt"),
        **_read_packages(src, "collector", "feed", "telemetry"),
        **_read_sources(sources, [feed]),
    }
    del files["collector/main.py"]
    return Artifact("collector", zip_files(files))


def build_gbfs_collector_artifact(systems: Iterable[CollectedSystem], src: Path = ROOT / "src") -> Artifact:
    """Return the source of the GBFS function, with the systems that it collects and the collector's requirements."""
    files = {
        "main.py": _read_file(src / "gbfs_collector" / "main.py"),
        "requirements.txt": _read_file(src / "collector" / "requirements.txt"),
        **_read_packages(src, "gbfs_collector", "gbfs", "collector", "feed", "telemetry"),
        SYSTEMS_FILE: write_systems(systems),
    }
    for entry_point in ("gbfs_collector/main.py", "collector/main.py", "gbfs/__main__.py"):
        del files[entry_point]
    return Artifact("gbfs-collector", zip_files(files))


def build_copier_artifact(feeds: Iterable[Feed], sources: Path, src: Path = ROOT / "src") -> Artifact:
    """Return the source of the copier's image: Dockerfile and requirements.txt at the root.

    It contains only the feeds with legacy object names, so that another feed does not change the image.
    """
    files = {
        "Dockerfile": _read_file(src / "copier" / "Dockerfile"),
        "requirements.txt": _read_file(src / "copier" / "requirements.txt"),
        **_read_packages(src, "copier", "feed", "telemetry"),
        # The folder exists without such a feed too: the Dockerfile copies it, and the copier lists it.
        "sources/README": b"Feeds whose old object names the copier understands.\n",
        **_read_sources(sources, [feed for feed in feeds if feed.legacy]),
    }
    return Artifact("copier", zip_files(files))


def build_dashboard_artifact(src: Path = ROOT / "src") -> Artifact:
    """Return the source of the dashboard's image: Dockerfile, requirements.txt and the files of its page."""
    files = {
        "Dockerfile": _read_file(src / "dashboard" / "Dockerfile"),
        "requirements.txt": _read_file(src / "dashboard" / "requirements.txt"),
        **_read_packages(src, "dashboard", "feed", "telemetry"),
        **read_tree(src / "dashboard" / "static", under="dashboard/static/"),
    }
    return Artifact("dashboard", zip_files(files))


def build_batch_artifact(feeds: Iterable[Feed], sources: Path, src: Path = ROOT / "src") -> Artifact:
    """Return the batch job's own packages, importable from the zip."""
    files = {**_read_packages(src, "spark", "feed", "gbfs", "telemetry"), **_read_sources(sources, feeds)}
    del files["gbfs/__main__.py"]
    return Artifact("batch", zip_files(files))


def read_batch_main(src: Path = ROOT / "src") -> bytes:
    """Return the content of the file that Dataproc runs."""
    return _read_file(src / "spark" / "main.py")


def _read_packages(src: Path, *names: str) -> dict[str, bytes]:
    return {
        file: content
        for name in names
        for file, content in read_tree(src / name, under=f"{name}/", only=CODE).items()
    }


def _read_sources(sources: Path, feeds: Iterable[Feed]) -> dict[str, bytes]:
    return {
        file: content
        for feed in feeds
        for file, content in read_tree(sources / feed.name, under=f"sources/{feed.name}/").items()
    }


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PackagingError(f"{file}: {error.strerror}; the artifact cannot be built without it") from None
