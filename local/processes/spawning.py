"""Start a child process in a group of its own, which the kernel kills when this process dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.processes.records import ON_LINUX

# Runs in the child before the program: only the child can request a signal from the kernel for its parent's death.
# (`preexec_fn` would do so between fork and exec, which is unsafe with threads.)
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process was gone before the start")
os.execvpe(sys.argv[2], sys.argv[2:], os.environ)
"""


def spawn(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, stdout: int | None
) -> subprocess.Popen[bytes]:
    """Start a program; its output is appended to `log`, unless `stdout` is another file descriptor."""
    command = list(argv)
    if ON_LINUX:
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *argv]
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=file if stdout is None else stdout,
            stderr=file,
            start_new_session=True,
        )


def describe_exit(code: int | None) -> str:
    """Describe an exit code, or the signal that ended a process."""
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"code {code}"
