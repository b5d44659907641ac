"""The zip of the batch's packages: for the cluster's Python, reproducible, cached, and importable."""

import hashlib
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cdk.artifacts.packaging import PackagingError
from cdk.artifacts.spark_packages import REQUIREMENTS, build_packages_zip

pytestmark = pytest.mark.synth

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache"
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A lock file with one compiled package of the project's lock, so that a zip is built without 200 MB."""
    text = REQUIREMENTS.read_text("utf-8")
    start = text.index("\nmsgspec==") + 1
    file = tmp_path / "requirements.txt"
    file.write_text(text[start : text.index("\n    # via", start)] + "\n", "utf-8")
    return file


def test_two_cold_builds_give_the_same_bytes_under_a_name_that_tells_them(
    tmp_path: Path, small: Path
) -> None:
    zips = [build_packages_zip("3.11", tmp_path / place, small) for place in ("one", "two and a space")]
    assert zips[0].read_bytes() == zips[1].read_bytes()
    digest = hashlib.sha256(zips[0].read_bytes()).hexdigest()
    assert {path.name for path in zips} == {f"packages-cp311-{digest[:16]}.zip"}
    with zipfile.ZipFile(zips[0]) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert archive.read("PYTHON_TAG") == b"cp311-linux_x86_64\n"
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert (
            "msgspec/_core.cpython-311-x86_64-linux-gnu.so" in names
        )  # for the cluster's Python, not this one
    assert sorted(each.suffix for each in (tmp_path / "one").iterdir()) == [".name", ".zip"]


def test_it_is_made_again_only_when_the_lock_changes_or_the_zip_is_gone(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_packages_zip("3.11", tmp_path / "cache", small)
    with monkeypatch.context() as no_uv:
        no_uv.setattr(subprocess, "run", None)  # calling it would be a TypeError
        assert build_packages_zip("3.11", tmp_path / "cache", small) == first
    first.unlink()
    assert build_packages_zip("3.11", tmp_path / "cache", small) == first
    small.write_text(small.read_text("utf-8") + "# changed\n", "utf-8")
    monkeypatch.setattr(subprocess, "run", None)
    with pytest.raises(TypeError):
        build_packages_zip("3.11", tmp_path / "cache", small)


def test_another_python_is_another_zip(tmp_path: Path, small: Path) -> None:
    assert build_packages_zip("3.12", tmp_path, small).name.startswith("packages-cp312-")


@pytest.mark.parametrize("python", ["311", "3", "py3.11", "3.11; rm", "2.7", ""])
def test_a_python_that_is_none(tmp_path: Path, python: str) -> None:
    with pytest.raises(PackagingError, match=r"expected a version such as 3\.11"):
        build_packages_zip(python, tmp_path)


def test_no_lock(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="run `make lock`"):
        build_packages_zip("3.11", tmp_path, tmp_path / "absent.txt")


def test_offline_says_what_is_needed_and_leaves_nothing(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(PackagingError, match="fetched once, which needs a connection") as refusal:
        build_packages_zip("3.11", tmp_path / "cache", small)
    assert "msgspec" in str(refusal.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_wrong_hash_is_refused(tmp_path: Path, small: Path) -> None:
    text = small.read_text("utf-8")
    before, _, after = text.partition("sha256:")
    hashes = "".join("0" if each in "123456789abcdef" else each for each in after)
    small.write_text(before + "sha256:" + hashes, "utf-8")
    with pytest.raises(PackagingError, match=r"(?i)hash"):
        build_packages_zip("3.11", tmp_path / "cache", small)


def test_the_cluster_s_zip_is_whole_and_small() -> None:
    path = build_packages_zip("3.11", CACHE)
    assert path.stat().st_size < 100e6
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert {"google/__init__.py", "google/cloud/__init__.py", "google/cloud/bigquery/__init__.py"} <= set(
        names
    )
    assert "pyarrow/_parquet.cpython-311-x86_64-linux-gnu.so" in names
    assert not [
        name for name in names if name.endswith((".pyc", ".h", ".pxd")) or "tests" in name.split("/")[1:2]
    ]


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="made for the cluster's platform"
)
def test_all_that_the_job_imports_works_from_it_alone(tmp_path: Path) -> None:
    """An interpreter without site-packages writes Parquet and makes clients with the zip's packages."""
    code = (
        "from spark.packages import activate_packages; folder = str(activate_packages());"
        "import io, msgspec, pyarrow as pa, pyarrow.parquet as pq;"
        "from datetime import datetime, UTC;"
        "import spark.responses.hours, spark.parquet, spark.rebuild.warehouse, spark.archive;"
        "from google.auth.credentials import AnonymousCredentials as Nobody;"
        "from google.cloud import bigquery, storage;"
        "storage.Client(project='p', credentials=Nobody()); bigquery.Client(project='p', credentials=Nobody());"
        "table = pa.table({'at': pa.array([datetime.now(UTC)], pa.timestamp('us', tz='UTC'))});"
        "file = io.BytesIO(); pq.write_table(table, file, compression='zstd');"
        "assert pq.read_table(file).equals(table);"
        "modules = (msgspec, pa, storage, bigquery);"
        "assert all(module.__file__.startswith(folder) for module in modules), modules;"
        "print('all of it')"
    )
    path = os.pathsep.join([str(build_packages_zip(THIS_PYTHON, CACHE)), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": path, "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "all of it\n", done.stderr[-3000:]
