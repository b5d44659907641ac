"""Exceptions that end a command with one message."""

from collections.abc import Iterator
from contextlib import contextmanager


class OperateError(Exception):
    """The command failed; the message says what failed, why, and what to do next.

    What to do: follow the message; where it names no command, fix the cause and run the command again.
    """


class StoppedError(OperateError):
    """The user pressed Ctrl-C; the message says what was done, and what continues without the command.

    What to do: read what continues without the command; run the same command again to continue.
    """


@contextmanager
def raise_stopped_on_interrupt(message: str) -> Iterator[None]:
    """Turn Ctrl-C into StoppedError with this message."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(message) from None
