"""Read the files of an artifact, a zip or a single file, within limits."""

import base64
import hashlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

MOST_BYTES = 256 * 1024 * 1024  # of an artifact
MOST_DIRECTORY = 8 * 1024 * 1024  # of a zip's list of its files: about 100,000 of them
MOST_FILE = 512 * 1024  # of a file that is compared line by line
MOST_READ = 32 * 1024 * 1024  # unpacked, of one archive
END_OF_DIRECTORY = b"PK\x05\x06"


@dataclass(frozen=True)
class Entry:
    """One file: checksum and size, and its content if it is small enough to be compared."""

    crc: int
    size: int
    content: bytes | None = None


@dataclass(frozen=True)
class Archive:
    """The files of an artifact by name. `problem` says why they could not be read."""

    files: Mapping[str, Entry] = field(default_factory=dict)
    problem: str = ""
    single: bool = False  # a single file, not an archive
    digest: str = ""  # MD5, as Cloud Storage writes it
    repeated: tuple[
        str, ...
    ] = ()  # names that occur more than once; which entry is used depends on the unpacking program


def read_artifact(name: str, content: bytes) -> Archive:
    """Return the files of an artifact; one that is not a zip is its own single file."""
    digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    return replace(_read_archive(name, content), digest=digest)


def _read_archive(name: str, content: bytes) -> Archive:
    if not content.startswith((b"PK\x03\x04", END_OF_DIRECTORY)):
        entry = Entry(zlib.crc32(content), len(content), content if len(content) <= MOST_FILE else None)
        return Archive({PurePosixPath(name).name: entry}, single=True)
    at = content.rfind(END_OF_DIRECTORY)
    if at < 0 or len(content) < at + 22:
        return Archive(problem="its file list is truncated")
    size = struct.unpack_from("<I", content, at + 12)[0]
    if size > MOST_DIRECTORY:
        return Archive(problem="it has more files than the limit")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _read_entries(archive)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
        struct.error,
        EOFError,
    ):
        return Archive(problem="it is not a readable zip archive")


def _read_entries(archive: zipfile.ZipFile) -> Archive:
    files: dict[str, Entry] = {}
    repeated: set[str] = set()
    left = MOST_READ
    for info in archive.infolist():
        if info.is_dir():
            continue
        if info.filename in files:
            repeated.add(info.filename)
        content = None
        if info.file_size <= MOST_FILE and left > 0 and not info.flag_bits & 0x1:
            content = _read_content(archive, info, min(MOST_FILE, left))
            left -= len(content or b"")
        files[info.filename] = Entry(info.CRC, info.file_size, content)
    return Archive(files, repeated=tuple(sorted(repeated)))


def _read_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes | None:
    """Return at most `most` bytes of a file, whatever size the zip claims; None where it cannot be unpacked."""
    try:
        with archive.open(info) as file:
            found = file.read(most + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError, zlib.error):
        return None
    return found if len(found) <= most else None


def find_artifact(folders: tuple[Path, ...], path: str) -> bytes | None:
    """Return an artifact's bytes from the first folder that has it; None if none does.

    The path comes from the plan, which is not trusted: only a regular file below a folder is read, and none that is
    hidden or holds Terraform's state or variables.
    """
    parts = PurePosixPath(path).parts
    if not path or "\0" in path or ".." in parts:
        return None
    for folder in folders:
        root = folder.resolve()
        try:
            file = (root / path).resolve()
            inside = file.relative_to(root)
            if (
                _is_private(inside)
                or not stat.S_ISREG(file.stat().st_mode)
                or file.stat().st_size > MOST_BYTES
            ):
                continue
            return file.read_bytes()
        except (OSError, ValueError):
            continue
    return None


def _is_private(path: Path) -> bool:
    return (
        any(part.startswith(".") for part in path.parts) or ".tfstate" in path.name or ".tfvars" in path.name
    )
