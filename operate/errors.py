"""What ends a command with one sentence."""


class OperateError(Exception):
    """The command cannot go on; the message says what was found and what to do."""
