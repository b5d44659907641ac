"""Find out whether the command that holds the lock on a state still runs."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from operate.state.locks import Lock

PROC = Path("/proc")
NAMES = frozenset({"terraform", "tofu"})
ENDPOINT = "GOOGLE_BACKEND_STORAGE_CUSTOM_ENDPOINT"
# Terraform writes its state each 20 seconds of an apply, and later where Cloud Storage is slow.
RECENT = timedelta(minutes=2)
PS_SECONDS = 30


class _Gcs(msgspec.Struct):
    bucket: str
    prefix: str


class _Backend(msgspec.Struct):
    gcs: _Gcs


class _Terraform(msgspec.Struct):
    backend: _Backend


class _Stack(msgspec.Struct):
    terraform: _Terraform


@dataclass(frozen=True)
class Holder:
    """The holder of a lock: `why` is the evidence that it still runs, empty if there is none.

    `is_gone` can only be True for a command of this host.
    """

    why: str = ""
    is_gone: bool = False


def get_lock_identity() -> str:
    """Return user@host, as Terraform writes it into this user's locks."""
    return f"{pwd.getpwuid(os.geteuid()).pw_name}@{socket.gethostname()}"


def find_holder(lock: Lock, written: datetime | None, environ: Mapping[str, str], now: datetime) -> Holder:
    """Find a lock's holder: among the processes of this host, or, for another one, by its last write.

    `written` is the time of the state's last write, None if there is no state.
    """
    if lock.who.rpartition("@")[2] == socket.gethostname():
        if not PROC.joinpath("self").exists() and not all(map(shutil.which, ("ps", "lsof"))):
            return Holder()
        pid = next(_find_terraform_processes(lock, environ), None)
        if pid is None:
            # Only root sees the working folders of another user's processes.
            return Holder(is_gone=lock.who == get_lock_identity() or os.geteuid() == 0)
        return Holder(f"Terraform, process {pid} on this host, is using it")
    # A clock that is some minutes ahead must not hide a write.
    if written is not None and written >= lock.created and now - written < RECENT:
        return Holder(f"it wrote the state {max(0, int((now - written).total_seconds()))} s ago")
    return Holder()


def _find_terraform_processes(lock: Lock, environ: Mapping[str, str]) -> Iterator[int]:
    """Yield the Terraform processes that work in a folder of the lock's stack and bucket."""
    names = NAMES | {Path(environ.get("TERRAFORM_BINARY_NAME", "terraform")).name}
    # The kernel truncates process names to 15 characters.
    shown = {name[:15] for name in names}
    for pid, folder in _list_working_folders(shown):
        try:
            gcs = msgspec.json.decode(
                (folder / "cdk.tf.json").read_bytes(), type=_Stack
            ).terraform.backend.gcs
        except (OSError, msgspec.MsgspecError):
            continue
        if (gcs.bucket, gcs.prefix) == (lock.blob.bucket.name, lock.stack) and _is_same_cloud(pid, environ):
            yield pid


def _list_working_folders(names: set[str]) -> Iterator[tuple[int, Path]]:
    """Yield process ID and working folder of each readable process with one of the names."""
    if PROC.joinpath("self").exists():
        for process in PROC.iterdir():
            try:
                if process.name.isdecimal() and (process / "comm").read_text().strip() in names:
                    yield int(process.name), (process / "cwd").readlink()
            except OSError:  # ended in the meantime, or of another user
                continue
        return
    for line in _run_program("ps", "-axo", "pid=,comm=").splitlines():
        pid, _, program = line.strip().partition(" ")
        if Path(program.strip()).name[:15] in names:
            for field in _run_program("lsof", "-a", "-d", "cwd", "-p", pid, "-Fn").splitlines():
                if field.startswith("n"):
                    yield int(pid), Path(field[1:])


def _is_same_cloud(pid: int, environ: Mapping[str, str]) -> bool:
    """Return whether a process uses the same state: in Google Cloud, or in the same local environment."""
    try:
        variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return True  # assume the same state
    name = f"{ENDPOINT}=".encode()
    found = next((each.removeprefix(name).decode() for each in variables if each.startswith(name)), "")
    return found == environ.get(ENDPOINT, "")


def _run_program(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PS_SECONDS, check=False)
    return done.stdout
