"""The command line of the local environment: a failure is a message and an exit status, never a traceback."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from commands.errors import UsageError
from local import __main__ as command
from local.errors import HOST_FAULTS, LocalError, describe_host_fault

pytestmark = pytest.mark.unit


def raising(error: BaseException) -> Callable[..., None]:
    def run(*_arguments: object) -> None:
        raise error

    return run


FAILURES: list[tuple[BaseException, int, str]] = [
    (UsageError("TICKS must be a number"), 2, "error: TICKS must be a number\n"),
    (LocalError("gunicorn is not installed"), 1, "\ngunicorn is not installed\n"),
    (
        requests.ConnectionError("connection to 127.0.0.1 refused"),
        1,
        "\nan emulator does not respond, so all processes were stopped: connection to 127.0.0.1 refused; "
        "run the command again, or see its log in the folder logs of the environment\n",
    ),
    (KeyboardInterrupt(), 130, "\ninterrupted: all processes were stopped\n"),
    (
        OSError(errno.ENOSPC, "No space left on device", "data/storage.sqlite"),
        1,
        "\ndata/storage.sqlite: No space left on device; all processes were stopped: free some space (a day of "
        "collected data needs about 1 GB), then run the command again\n",
    ),
    (
        PermissionError(errno.EACCES, "Permission denied", ".local"),
        1,
        "\n.local: Permission denied; all processes were stopped: use a folder that you can write to, or change "
        "the owner of this one, then run the command again\n",
    ),
    (
        NotADirectoryError(errno.ENOTDIR, "Not a directory", ".local/dev"),
        1,
        "\n.local/dev: Not a directory; all processes were stopped: move the file away: a folder is "
        "needed in its place, then run the command again\n",
    ),
]


@pytest.mark.parametrize(("error", "status", "printed"), FAILURES)
def test_an_expected_error_is_one_message(
    error: BaseException,
    status: int,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "run_down", raising(error))
    assert command.main(["down"]) == status
    assert capsys.readouterr().err == printed


def test_an_unexpected_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "run_down", raising(OSError(errno.EBADF, "Bad file descriptor")))
    with pytest.raises(OSError, match="Bad file descriptor"):
        command.main(["down"])


@pytest.mark.parametrize("number", HOST_FAULTS)
def test_each_fault_of_the_host_says_what_to_do(number: int) -> None:
    error = OSError(number, os.strerror(number), str(Path("data") / "x"))
    assert describe_host_fault(error).startswith(f"data/x: {os.strerror(number)}; ")
    assert HOST_FAULTS[number] in describe_host_fault(error)
