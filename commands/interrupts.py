"""Ctrl-C ends a command with one line instead of a traceback, during imports as well."""

import signal
import sys
from collections.abc import Callable

INTERRUPTED = 130  # the exit status that shells report for a program ended by SIGINT


def exit_quietly_on_interrupt() -> None:
    """Make Ctrl-C end the process at once and without a traceback, until `run_interruptible` is called.

    For the `__init__.py` of a package that is run by `python -m`: only then is there something to change.
    """
    if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_interruptible(main: Callable[[], int]) -> int:
    """Return what `main` returns, or print a line and return 130 after Ctrl-C. An ignored SIGINT stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
