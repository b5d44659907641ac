"""Ctrl-C ends a command with a line, never with a traceback: while its imports go on, and while it works."""

import signal
import sys
from collections.abc import Callable

INTERRUPTED = 130  # as shells tell of a program that SIGINT ended


def exit_quietly_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, without a traceback, until `run_interruptible` is reached.

    For the `__init__.py` of a package that is run by `python -m`: only then is there something to change.
    """
    if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_interruptible(main: Callable[[], int]) -> int:
    """Return what `main` returns, or 130 after Ctrl-C, with a line about it. One that is ignored stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
