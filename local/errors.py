"""The errors of a local run. Each message says what failed, why, and what to do next."""

import errno
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


class LocalError(Exception):
    """The base class of this package's errors: the stack cannot run in the local environment as it is.

    What to do: do what the message says; logs and data are in `.local/<environment>/`.
    """


class StackError(LocalError):
    """`cdk.tf.json` is missing, damaged, or not as CDKTF writes it.

    What to do: synthesize again: `make synth`.
    """


class DependencyCycleError(StackError):
    """Resources depend on one another in a cycle, so none can be created first."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        super().__init__(f"these resources depend on one another in a cycle: {' → '.join(addresses)}")


class ExpressionError(LocalError):
    """A `${…}` expression has no value: the base class of the two errors below."""


class UnsupportedExpressionError(ExpressionError):
    """A Terraform expression that the local run does not evaluate.

    `address` names the resource and `argument` the argument in it, such as `service_config.uri`.

    What to do: evaluate the expression in `local/stack`, or write the argument without it.
    """

    def __init__(self, address: str, argument: str, expression: str, reason: str) -> None:
        self.address, self.argument, self.expression = address, argument, expression
        self.reason = reason
        super().__init__(
            f"{address}: {argument} = {expression!r} is not supported by the local run: {reason}"
        )


class UnknownReferenceError(ExpressionError):
    """A reference to a resource that the stack does not have, or to an attribute that no handler returns.

    What to do: declare what is referred to, or give the attribute its value in the handler below `local/services`.
    """

    def __init__(self, address: str, argument: str, reference: str, found: str, known: Iterable[str]) -> None:
        self.address, self.argument, self.reference = address, argument, reference
        self.known = tuple(sorted(known))
        close = get_close_matches(reference.rpartition(".")[2], self.known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(self.known) or 'nothing'}"
        super().__init__(f"{address}: {argument} refers to {reference}, but {found}{hint}")


class ResourceError(LocalError):
    """A resource of the stack cannot be created.

    What to do: correct the argument that the message names; a type without a handler needs one in `local/services`.
    """

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"{address}: {reason}")


class NotFoundError(LocalError):
    """The service has no resource of that name."""

    def __init__(self, collection: str, name: str) -> None:
        self.collection, self.name = collection, name
        super().__init__(f"{collection}: {name!r} does not exist")


class AlreadyExistsError(LocalError):
    """The service has a resource of that name already."""

    def __init__(self, collection: str, name: str) -> None:
        self.collection, self.name = collection, name
        super().__init__(f"{collection}: {name!r} exists already")


class ServiceError(LocalError):
    """An emulator responded to a request with an error.

    What to do: read the emulator's log in `.local/<environment>/logs`, then run the command again.
    """

    def __init__(self, call: str, status: int, response: str) -> None:
        self.call, self.status, self.response = call, status, response
        super().__init__(f"{call} failed with status {status}: {response[:500]}")


class ProcessError(LocalError):
    """A child process ended early or did not become ready.

    `log` is the file with full output, of which this start wrote what follows `begin`. `fault` says what the
    host refused, or is None if the output does not contain the reason; then the message quotes the end of the output.

    What to do: read the log file that the message names; it holds the whole output of the process.
    """

    def __init__(self, name: str, what: str, log: Path, begin: int = 0) -> None:
        self.name, self.what, self.log = name, what, log
        text = read_log_end(log, begin)
        self.fault = find_host_fault(what, text)
        detail = f": {self.fault}" if self.fault else f"\n{_quote(text)}"
        super().__init__(f"{name} {what}{detail}\nfull output: {log}")


class AlreadyRunningError(LocalError):
    """Another process runs this environment.

    What to do: run `make down`, or end the other command with Ctrl-C.
    """

    def __init__(self, folder: Path, pid: int | None) -> None:
        self.folder, self.pid = folder, pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{folder} is in use by {who}: stop it there, or run `make down`")


class MissingToolError(LocalError):
    """A program is not installed on this host; the message says how to install it.

    What to do: install the program as the message says.
    """


# What a host refuses, and what its user can do about it.
HOST_FAULTS = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT),
        "free some space (a day of collected data needs about 1 GB)",
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "use a folder that you can write to, or change the owner of this one",
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST),
        "move the file away: a folder is needed in its place",
    ),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (`ulimit -n 4096`)"),
}


def describe_host_fault(error: OSError) -> str:
    """Return what the host refused and what to do about it; `error.errno` is a key of HOST_FAULTS."""
    assert error.errno is not None  # noqa: S101  (MACHINE_FAULTS has numbers only)
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{what}; all processes were stopped: {HOST_FAULTS[error.errno]}, then run the command again"


# The same faults in the words of the programs that log them (Go, Python, the JVM), and what to do.
NO_MEMORY = (
    "this host has too little free memory (a run needs about 3 GB): close other programs, then run the "
    "command again"
)
LOGGED_FAULTS = (
    (
        re.compile(r"address already in use|Connection in use|Failed to bind to address", re.IGNORECASE),
        "another program uses its port: run the command again, which chooses another port",
    ),
    (
        re.compile(r"No space left on device|Disk quota exceeded"),
        f"the disk is full: {HOST_FAULTS[errno.ENOSPC]}, then run the command again",
    ),
    (
        re.compile(
            r"OutOfMemoryError|\bMemoryError\b|std::bad_alloc|Cannot allocate memory|Could not allocate|"
            r"Could not reserve enough space|INVALID_DRIVER_MEMORY|insufficient memory"
        ),
        NO_MEMORY,
    ),
    (re.compile(r"Too many open files"), f"{HOST_FAULTS[errno.EMFILE]}, then run the command again"),
)
KILLED = "signal SIGKILL"


def find_host_fault(what: str, text: str) -> str | None:
    """Return why the host ended a program and what to do about it, or None if the output does not contain the reason.

    `what` is how it ended, `text` the end of its output. The kernel ends a program with SIGKILL when memory runs out.
    """
    for pattern, sentence in LOGGED_FAULTS:
        if pattern.search(text):
            return sentence
    return f"as the kernel does when memory runs out; {NO_MEMORY}" if what.endswith(KILLED) else None


def read_log_end(log: Path, begin: int, limit: int = 65536) -> str:
    """Return the end of a log file: at most `limit` bytes, and nothing before `begin`."""
    try:
        with log.open("rb") as file:
            file.seek(max(begin, file.seek(0, 2) - limit))
            return file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"(no log: {error})"


def _quote(text: str, lines: int = 20, limit: int = 8192) -> str:
    """Return the last lines of a text, indented, at most `limit` characters."""
    kept = text[-limit:].splitlines()[-lines:]
    return "\n".join(f"  | {line}" for line in kept) or "  (no output)"
