"""What ends a command with one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager


class OperateError(Exception):
    """The command cannot go on; the message says what was found and what to do.

    What to do: run the command that the message ends with.
    """


class StoppedError(OperateError):
    """The user pressed Ctrl-C; the message says what stays, and what goes on without the command.

    What to do: read what continues without the command; run the same command again to go on.
    """


@contextmanager
def when_stopped(sentence: str) -> Iterator[None]:
    """Let Ctrl-C end the command with a sentence. Raises StoppedError."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(sentence) from None
