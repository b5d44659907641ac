"""Build byte-reproducible artifacts, named by their SHA-256.

`TerraformAsset(ARCHIVE)` keeps modification times and file modes, includes `__pycache__` and does not detect a renamed
file. This module builds the same bytes from the same sources on every host, so that unchanged code is an empty plan.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold
IGNORED_PARTS = frozenset({"__pycache__", ".DS_Store", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
IGNORED_SUFFIXES = frozenset({".pyc", ".pyo", ".swp"})


class PackagingError(Exception):
    """An artifact cannot be built; the message says which file is missing and in which folder.

    What to do: restore the file that the message names, then run the command again; run `make lock` if it is a
    requirements file.
    """


@dataclass(frozen=True)
class Artifact:
    """A zip in memory, named by its content."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the content, 64 characters."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def file_name(self) -> str:
        """For instance `collector-0123456789abcdef.zip`: changes if and only if the content does."""
        return f"{self.name}-{self.sha256[:16]}.zip"


def zip_files(files: Mapping[str, bytes], *, compress: bool = True) -> bytes:
    """Return a zip of `files` (name inside the zip → content): sorted, dated 1980, mode 0644.

    Raises PackagingError for a name outside of the folder that it is unpacked into.
    """
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method, compresslevel=9 if compress else None) as archive:
        for name in sorted(files):
            if name.startswith("/") or ".." in Path(name).parts or "\\" in name:
                raise PackagingError(f"{name!r} is not a relative path inside the artifact")
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.create_system = 3  # Unix on every host, because the byte is part of the file
            entry.external_attr = 0o100644 << 16
            entry.compress_type = method
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def read_tree(folder: Path, *, under: str = "", only: Iterable[str] | None = None) -> dict[str, bytes]:
    """Return the files below `folder` as {name: content}, each name prefixed with `under`.

    `only` keeps files with these suffixes (".py"). Caches and editor files are left out.
    Raises PackagingError if the folder is missing, or has no such file.
    """
    if not folder.is_dir():
        raise PackagingError(f"no folder {folder}: nothing to package")
    suffixes = None if only is None else frozenset(only)
    files = {
        f"{under}{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and not IGNORED_PARTS.intersection(path.relative_to(folder).parts)
        and path.suffix not in IGNORED_SUFFIXES
        and (suffixes is None or path.suffix in suffixes)
    }
    if not files:
        raise PackagingError(f"nothing to package in {folder}")
    return files


def compute_digest(content: bytes) -> str:
    """Return the SHA-256 of `content`, 64 hexadecimal characters."""
    return hashlib.sha256(content).hexdigest()
