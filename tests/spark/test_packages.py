"""The packages zip: one for this Python is extracted once and precedes other paths; others are ignored."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spark.packages import python_tag

pytestmark = pytest.mark.unit

SRC = Path(__file__).parents[2] / "src"
OTHER = "cp311-linux_riscv64"
PROBE = (
    "import sys; from spark.packages import activate_packages; folder = activate_packages(); print(folder); "
)

Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Run code in an interpreter without any site-packages, with entries on its path; its own /tmp."""

    def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-c", code],
            env={"PYTHONPATH": os.pathsep.join(map(str, (*path, SRC))), "TMPDIR": str(tmp_path), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def make_zip(folder: Path, tag: str | None, name: str = "packages-cp313-0123456789abcdef.zip") -> Path:
    """Return a zip with an empty package for each one that is needed."""
    modules = (
        "isal",
        "msgspec",
        "numpy",
        "pyarrow",
        "google",
        "google/cloud",
        "google/cloud/storage",
        "google/cloud/bigquery",
    )
    with zipfile.ZipFile(folder / name, "w") as archive:
        if tag is not None:
            archive.writestr("PYTHON_TAG", tag + "\n")
        for module in modules:
            archive.writestr(f"{module}/__init__.py", "")
    return folder / name


def test_the_zip_that_fits_is_unpacked_and_comes_first(tmp_path: Path, python: Python) -> None:
    fits = make_zip(tmp_path, python_tag())
    other = make_zip(tmp_path, OTHER, "packages-cp311-0123456789abcdef.zip")
    done = python(PROBE + "import pyarrow; print(pyarrow.__file__); print(sys.path[0])", other, fits)
    folder, pyarrow, first = done.stdout.split()
    assert folder == first == str(tmp_path / f"vlille-packages-{os.getuid()}" / fits.stem)
    assert pyarrow == f"{folder}/pyarrow/__init__.py"


def test_it_is_unpacked_once(tmp_path: Path, python: Python) -> None:
    fits = make_zip(tmp_path, python_tag())
    folder = Path(python(PROBE, fits).stdout.strip())
    (folder / "mark").touch()
    again = python(PROBE + "activate_packages()", fits)
    assert again.stdout.strip() == str(folder)
    assert (folder / "mark").exists()
    assert sorted(each.name for each in folder.parent.iterdir()) == [fits.stem, f"{fits.stem}.lock"]


def test_a_zip_for_another_python_is_taken_off_the_path(tmp_path: Path, python: Python) -> None:
    other = make_zip(tmp_path, OTHER)
    installed = tmp_path / "installed"
    with zipfile.ZipFile(other) as archive:
        archive.extractall(installed)
    done = python(PROBE + "import msgspec; print(msgspec.__file__)", other, installed)
    assert done.stdout.split() == ["None", f"{installed}/msgspec/__init__.py"]


@pytest.mark.parametrize("tag", [OTHER, None])
def test_without_a_matching_zip_the_error_names_found_and_expected(
    tmp_path: Path, python: Python, tag: str | None
) -> None:
    zip_path = make_zip(tmp_path, tag)
    done = python(PROBE, zip_path)
    last = done.stderr.splitlines()[-1]
    assert (
        "PackagesError: isal, msgspec, numpy, pyarrow, google.cloud.storage, google.cloud.bigquery cannot be imported"
        in last
    )
    assert f"found {zip_path.name} ({tag or 'no PYTHON_TAG in it'}); expected one for {python_tag()}" in last


def test_no_zip_at_all(python: Python) -> None:
    assert "found no packages zip; expected one for" in python(PROBE).stderr


def test_a_damaged_zip(tmp_path: Path, python: Python) -> None:
    zip_path = make_zip(tmp_path, python_tag())
    zip_path.write_bytes(zip_path.read_bytes()[:200])
    assert f"{zip_path.name} cannot be read" in python(PROBE, zip_path).stderr


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, python: Python) -> None:
    folder = tmp_path / f"vlille-packages-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    done = python(PROBE, make_zip(tmp_path, python_tag()))
    assert f"{folder} is not a private folder of this user" in done.stderr


def test_a_google_package_created_at_start_up_finds_the_shipped_one(tmp_path: Path, python: Python) -> None:
    fits = make_zip(tmp_path, python_tag())
    start_up = (
        "import sys, types; "
        "made = sys.modules['google'] = types.ModuleType('google'); made.__path__ = ['/image/google']; "
    )
    done = python(start_up + PROBE + "import google.cloud.storage as s; print(s.__file__)", fits)
    folder, storage = done.stdout.split()
    assert storage == f"{folder}/google/cloud/storage/__init__.py", done.stderr


@pytest.mark.long
def test_processes_that_start_together(tmp_path: Path, python: Python) -> None:
    fits = make_zip(tmp_path, python_tag())
    with zipfile.ZipFile(fits, "a") as archive:
        for number in range(2_000):  # long enough that they meet
            archive.writestr(f"pyarrow/part{number}.py", "VALUE = 1\n")
    environment = {"PYTHONPATH": f"{fits}{os.pathsep}{SRC}", "TMPDIR": str(tmp_path), "PATH": ""}
    words = [sys.executable, "-S", "-c", PROBE + "import pyarrow.part1999 as p; print(p.VALUE)"]
    together = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate(timeout=60)[0] for process in together}
    assert outputs == {f"{tmp_path}/vlille-packages-{os.getuid()}/{fits.stem}\n1\n"}
    assert len(list((tmp_path / f"vlille-packages-{os.getuid()}").iterdir())) == 2  # the folder and its lock
