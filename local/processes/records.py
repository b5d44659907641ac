"""The file that lists an environment's processes. It survives a crash, so that a later command can stop them."""

import contextlib
import fcntl
import json
import os
import platform
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from local.errors import AlreadyRunningError

OWNER = "owner"  # the name, in a record, of the process that holds the lock
ON_LINUX = platform.system() == "Linux"
READY_INTERVAL_S = 0.05


@dataclass(frozen=True)
class ProcessRecord:
    """What identifies a child process later: a recycled process ID is never taken for it."""

    name: str
    pid: int
    started: str  # as the system reports it: another process with the same ID has another


def end_orphaned_processes(record: Path, grace_s: float = 5.0) -> list[str]:
    """Stop the processes that a record file lists and that still run; return their names.

    A live owner, such as a `make up` in another terminal, gets SIGTERM first, so that it stops its children itself.
    """
    try:
        known: dict[str, Any] = json.loads(record.read_text())
        owner, children = (
            ProcessRecord(**known["owner"]),
            [ProcessRecord(**child) for child in known["children"]],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return []
    ended = []
    if owner.pid != os.getpid() and _is_alive(owner):
        os.kill(owner.pid, signal.SIGTERM)
        _wait_for_exits([owner], grace_s * 3)
        if _is_alive(owner):
            os.kill(owner.pid, signal.SIGKILL)
        ended.append(OWNER)
    left = [child for child in children if _is_alive(child)]
    for each in (signal.SIGTERM, signal.SIGKILL):
        alive = [child for child in left if _is_alive(child)]
        for child in alive:
            signal_group(child.pid, each)
        _wait_for_exits(alive, grace_s)
    record.unlink(missing_ok=True)
    return ended + [child.name for child in left]


def lock_record(record: Path) -> BinaryIO:
    """Lock the environment for this process. The lock is released when the process ends, however it ends."""
    held = record.with_suffix(".lock").open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise AlreadyRunningError(record.parent, _read_owner_pid(record)) from None
    return held


def _read_owner_pid(record: Path) -> int | None:
    try:
        return int(json.loads(record.read_text())["owner"]["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe_process(name: str, pid: int) -> ProcessRecord:
    return ProcessRecord(name, pid, _start_time(pid) or "")


def _is_alive(record: ProcessRecord) -> bool:
    return record.started != "" and _start_time(record.pid) == record.started


def _start_time(pid: int) -> str | None:
    """Return when a process started, as the system reports it, or None where it has ended."""
    if ON_LINUX:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()  # the program's name, in parentheses, may have spaces
        return None if fields[0] in "ZX" else fields[19]
    callback = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return callback.stdout.strip() or None


def signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _wait_for_exits(records: Sequence[ProcessRecord], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(_is_alive(record) for record in records) and time.monotonic() < end:
        time.sleep(READY_INTERVAL_S)
