"""Ctrl-C while a command begins, and while it works: a line at most, and the status of an interrupted program."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands.interrupts import run_interruptible

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
# A package of its own, run by `python -m`, that says where it is and waits there.
WAIT = "import sys, time; print('here', flush=True); time.sleep(60)"
INIT = "from commands.interrupts import exit_quietly_on_interrupt\nexit_quietly_on_interrupt()\n"
MAIN = """
import sys
from commands.interrupts import run_interruptible
{imports}
def main():
    {work}
    return 0
sys.exit(run_interruptible(main))
"""


def interrupted(folder: Path, imports: str, work: str, *, ignored: bool = False) -> tuple[int, str]:
    """Run the package until it waits, interrupt it, and return its status and what it wrote to standard error."""
    package = folder / "waiting"
    package.mkdir()
    (package / "__init__.py").write_text(INIT)
    (package / "__main__.py").write_text(MAIN.format(imports=imports, work=work))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "waiting"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    if ignored:
        time.sleep(0.2)
        assert process.poll() is None
        process.kill()
    return process.wait(), process.communicate()[1]


def test_ctrl_c_during_imports_prints_nothing(tmp_path: Path) -> None:
    assert interrupted(tmp_path, WAIT, "pass") == (-signal.SIGINT, "")


def test_ctrl_c_during_work_prints_a_line(tmp_path: Path) -> None:
    assert interrupted(tmp_path, "", WAIT) == (130, "\ninterrupted\n")


def test_an_ignored_sigint_stays_ignored(tmp_path: Path) -> None:
    assert interrupted(tmp_path, "", WAIT, ignored=True) == (-signal.SIGKILL, "")


def test_the_status_is_passed_on() -> None:
    assert run_interruptible(lambda: 7) == 7


@pytest.mark.parametrize("package", ["commands", "local", "operate", "delivery"])
def test_every_package_that_make_runs_handles_ctrl_c(package: str) -> None:
    assert "exit_quietly_on_interrupt()" in (ROOT / package / "__init__.py").read_text()
    assert "sys.exit(run_interruptible(" in (ROOT / package / "__main__.py").read_text()
