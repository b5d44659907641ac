"""Build the packages that the PySpark job imports and the cluster's image lacks, as one zip for its Python version.

The cluster has no access to the internet, so the packages are uploaded with the job. uv downloads wheels for the
cluster's platform; `spark.packages` unpacks the zip there.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from cdk.artifacts.packaging import EPOCH, PackagingError

REQUIREMENTS = Path(__file__).parents[2] / "src" / "spark" / "requirements.txt"
# Dataproc's Debian 12 has glibc 2.36.
PLATFORM = "x86_64-manylinux_2_28"
WHEEL_PLATFORM = "linux_x86_64"
TIMEOUT_S = 600
# Part of the cache key: increment it when a change below changes the zip.
RECIPE = 2
_COPY_BYTES = 2**20
_PYTHON = re.compile(r"3\.[0-9]{1,2}")
# Never imported by a job: sources and headers of compiled modules, tests, and optional modules of pyarrow (`_flight`,
# `_s3fs`). Its core links to all of its other libraries.
_LEFT_OUT = re.compile(
    r"bin/.*|.*/__pycache__/.*|.*\.(pyx|pxd|pxi|pyi|h|hpp|hh|c|cc|cpp|a)|[^/]+/tests/.*"
    r"|.*\.dist-info/(RECORD|REQUESTED|INSTALLER|direct_url\.json|uv_cache\.json)|\.lock"
    r"|pyarrow/(include|src)/.*|pyarrow/(libarrow_flight|libarrow_python_flight|_flight|libarrow_s3|_s3fs)\b.*"
)
# `google` is a namespace package; an __init__.py of the image's packages would hide these.
_NAMESPACE = b'__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'
_NAMESPACES = ("google", "google/cloud")


def build_packages_zip(python: str, cache: Path, requirements: Path = REQUIREMENTS) -> Path:
    """Return the zip of the packages for a Python version such as "3.11": `packages-cp311-<digest>.zip` in `cache`.

    It is built from the locked requirements once (a download of about 80 MB) and cached until the lock changes. The
    same lock gives the same bytes on every host. Raises PackagingError.
    """
    if not _PYTHON.fullmatch(python):
        raise PackagingError(f"Python {python!r}: expected a version such as 3.11")
    if not requirements.is_file():
        raise PackagingError(f"no {requirements}: run `make lock`")
    recipe = [RECIPE, PLATFORM, hashlib.sha256(requirements.read_bytes()).hexdigest()]
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    tag = f"cp{python.replace('.', '')}"
    marker = cache / f"packages-{tag}-{key}.name"
    try:
        found = cache / marker.read_text("utf-8")
        if found.is_file():
            return found
    except FileNotFoundError:
        pass
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".packages-{tag}-", dir=cache) as scratch:
        folder = Path(scratch) / "packages"
        sys.stderr.write(f"fetching the Spark job's packages for Python {python} (once)\n")
        _install(python, requirements, folder)
        _add_own_files(folder, f"{tag}-{WHEEL_PLATFORM}")
        partial = Path(scratch) / "packages.zip"
        _write_zip(folder, partial)
        zip_path = cache / f"packages-{tag}-{_digest(partial)[:16]}.zip"
        partial.replace(zip_path)
        name = Path(scratch) / "name"
        name.write_text(zip_path.name, "utf-8")
        name.replace(marker)
    sys.stderr.write(f"{zip_path.name}: {zip_path.stat().st_size / 1e6:.0f} MB\n")
    return zip_path


def _install(python: str, requirements: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder)]
    command += ["--python-version", python, "--python-platform", PLATFORM, "--only-binary", ":all:"]
    command += ["--require-hashes", "--no-deps", "--link-mode", "copy", "--requirements", str(requirements)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired:
        raise PackagingError(
            f"the Spark job's packages were not fetched within {TIMEOUT_S} s: look at the connection, then try again"
        ) from None
    if done.returncode:
        raise PackagingError(
            f"the Spark job's packages for Python {python} cannot be installed from {requirements.name} "
            f"(they are fetched once, which needs a connection to the package index): {done.stderr.strip()[-800:]}"
        )


def _environment() -> dict[str, str]:
    """Return the environment variables, without those that make uv install for another Python or elsewhere."""
    return {
        key: value
        for key, value in os.environ.items()
        if key not in {"UV_PYTHON", "UV_TARGET", "VIRTUAL_ENV"}
    }


def _add_own_files(folder: Path, tag: str) -> None:
    (folder / "PYTHON_TAG").write_text(tag + "\n", "utf-8")
    for name in _NAMESPACES:
        init = folder / name / "__init__.py"
        if init.parent.is_dir() and not init.exists():
            init.write_bytes(_NAMESPACE)


def _kept(folder: Path) -> Iterator[tuple[str, Path]]:
    files = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    return iter(sorted((name, path) for name, path in files if not _LEFT_OUT.fullmatch(name)))


def _write_zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in _kept(folder):
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w") as copy:
                shutil.copyfileobj(source, copy, _COPY_BYTES)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
