"""Activate the packages that are shipped with the job, because a cluster without internet access cannot install any.

They are a zip on the path (Dataproc's `python_file_uris`). Python cannot import compiled modules from a zip, so it is
unpacked once per host, by the driver and the Python workers.
"""

import fcntl
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ZIP_PATTERN = "packages-*.zip"
TAG_FILE = "PYTHON_TAG"  # for instance `cp311-linux_x86_64`
NEEDED = ("isal", "msgspec", "numpy", "pyarrow", "google.cloud.storage", "google.cloud.bigquery")


class PackagesError(ImportError):
    """The job's packages are neither in a zip for this interpreter nor installed.

    What to do: deploy again with the `batch.image` that runs, which packages the job for its Python.
    """


def python_tag() -> str:
    """Return the interpreter and platform of compiled modules, such as `cp311-linux_x86_64`."""
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{version}-{platform.system().lower()}_{platform.machine().lower()}"


@cache
def activate_packages() -> Path | None:
    """Put the shipped packages first on the path, and return their folder.

    Returns None if no zip is for this interpreter and the environment has all packages. Raises PackagesError if it does
    not have them.
    """
    tags = {zip_path: _read_tag(zip_path) for zip_path in _find_zips(sys.path)}
    for zip_path, tag in tags.items():
        if tag == python_tag():
            folder = _unpack_zip(zip_path, _make_private_folder())
            _prepend_to_path(folder)
            return folder
    # A zip for another Python precedes the environment's packages on the path: its pure modules would be imported.
    sys.path[:] = [entry for entry in sys.path if Path(entry) not in tags]
    importlib.invalidate_caches()
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        found = ", ".join(f"{zip_path.name} ({tag})" for zip_path, tag in tags.items()) or "no packages zip"
        raise PackagesError(
            f"{', '.join(missing)} cannot be imported: found {found}; expected one for {python_tag()}: "
            "build the packages for the Python version of the cluster's image"
        )
    return None


def _find_zips(path: Iterable[str]) -> list[Path]:
    entries = (Path(entry) for entry in path)
    return [entry for entry in entries if entry.match(ZIP_PATTERN) and entry.is_file()]


def _read_tag(zip_path: Path) -> str:
    try:
        with zipfile.ZipFile(zip_path) as archive:
            return archive.read(TAG_FILE).decode().strip()
    except KeyError:
        return f"no {TAG_FILE} in it"
    except (OSError, zipfile.BadZipFile) as error:
        raise PackagesError(
            f"{zip_path.name} cannot be read ({error}): deploy again, which uploads the job's files"
        ) from error


def _make_private_folder() -> Path:
    """Return a folder that only this user can write, because its name below /tmp is predictable."""
    folder = Path(tempfile.gettempdir()) / f"vlille-packages-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise PackagesError(
            f"{folder} is not a private folder of this user: remove it, then run the batch again"
        )
    return folder


def _unpack_zip(zip_path: Path, parent: Path) -> Path:
    """Return a folder with the zip's content; its name contains the digest, so it is never outdated."""
    folder = parent / zip_path.stem
    if folder.is_dir():
        return folder
    with (parent / f"{zip_path.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers start concurrently; a killed one releases the lock
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(dir=parent))
            try:
                with zipfile.ZipFile(zip_path) as archive:
                    archive.extractall(partial)
                partial.rename(folder)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    return folder


def _prepend_to_path(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    # `*-nspkg.pth` files of an image create these modules at start-up, with only their own folder as path.
    for name in ("google", "google.cloud"):
        module = sys.modules.get(name)
        package_folder = str(folder.joinpath(*name.split(".")))
        if module is not None and package_folder not in module.__path__:
            module.__path__ = [package_folder, *module.__path__]


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False
