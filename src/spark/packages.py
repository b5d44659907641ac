"""The packages that travel with the job: a cluster without a way to the internet installs nothing.

They come as a zip on the path (Dataproc's `python_file_uris`). Python cannot import compiled modules from
a zip, so it is unpacked once a machine, in the driver and in every Python worker.
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
    """What the job imports is neither in a zip that fits this interpreter nor installed.

    What to do: deploy again with the `batch.image` that runs, which packages the job for its Python.
    """


def python_tag() -> str:
    """The interpreter and platform that compiled modules must be made for: `cp311-linux_x86_64`."""
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{version}-{platform.system().lower()}_{platform.machine().lower()}"


@cache
def activate_packages() -> Path | None:
    """Put the travelling packages on the path, before all others; the folder they are in.

    None where no zip is made for this interpreter and the environment's own packages serve. Raises
    PackagesError where it has not all of them.
    """
    tags = {zip_path: _read_tag(zip_path) for zip_path in _find_zips(sys.path)}
    for zip_path, tag in tags.items():
        if tag == python_tag():
            folder = _unpack_zip(zip_path, _make_private_folder())
            _prepend_to_path(folder)
            return folder
    # A zip for another Python stands before the environment's own packages, and would be imported half.
    sys.path[:] = [entry for entry in sys.path if Path(entry) not in tags]
    importlib.invalidate_caches()
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        found = ", ".join(f"{zip_path.name} ({tag})" for zip_path, tag in tags.items()) or "no packages zip"
        raise PackagesError(
            f"{', '.join(missing)} cannot be imported: found {found}, expected one for {python_tag()}; "
            "build the packages for the Python of the cluster's image"
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
            f"{zip_path.name} cannot be read ({error}): upload the job's files again"
        ) from error


def _make_private_folder() -> Path:
    """A folder that is ours alone: a predictable name below /tmp that others can write is an open door."""
    folder = Path(tempfile.gettempdir()) / f"vlille-packages-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise PackagesError(f"{folder} is not a folder of this user alone: remove it, then run the job again")
    return folder


def _unpack_zip(zip_path: Path, parent: Path) -> Path:
    """The zip's content in a folder named as it is; its name holds its digest, so that it is never stale."""
    folder = parent / zip_path.stem
    if folder.is_dir():
        return folder
    with (parent / f"{zip_path.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of a machine start together; a killed one lets go
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
    # An image's `*-nspkg.pth` files make these at start-up, with only their own place to look in.
    for name in ("google", "google.cloud"):
        module = sys.modules.get(name)
        place = str(folder.joinpath(*name.split(".")))
        if module is not None and place not in module.__path__:
            module.__path__ = [place, *module.__path__]


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False
