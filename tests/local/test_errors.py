"""Faults of the host, recognized in the output of programs."""

import pytest

from local.errors import NO_MEMORY, find_host_fault

pytestmark = pytest.mark.unit
PORT = "another program uses its port"
DISK = "the disk is full: free some space"
# How each program of a run puts it, as it was seen.
FAULTS = [
    ("code 1", 'level=ERROR msg="listen tcp 127.0.0.1:59923: bind: address already in use"', PORT),
    (
        "code 3",
        "ERROR:    [Errno 98] error while attempting to bind on address: [errno 98] address already in use",
        PORT,
    ),
    ("code 1", "RuntimeError: Failed to bind to address 127.0.0.1:48855; set GRPC_VERBOSITY=debug", PORT),
    ("code 1", "[ERROR] Connection in use: ('127.0.0.1', 55745)", PORT),
    ("code 1", "java.io.IOException: No space left on device", DISK),
    ("code 1", "OSError: [Errno 122] Disk quota exceeded: 'x'", DISK),
    (
        "code 1",
        ": java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory",
        NO_MEMORY,
    ),
    ("code 1", "Could not allocate compressed class space: 1073741824 bytes", NO_MEMORY),
    ("code 1", "Could not reserve enough space for 1048576KB object heap", NO_MEMORY),
    ("code 1", "There is insufficient memory for the Java Runtime Environment to continue.", NO_MEMORY),
    ("code 1", "[INVALID_DRIVER_MEMORY] System memory 104857600 must be at least 471859200.", NO_MEMORY),
    ("code 1", "MemoryError", NO_MEMORY),
    ("code 2", "OSError: [Errno 24] Too many open files", "raise the limit of open files"),
    ("signal SIGKILL", "", f"as the kernel does when memory runs out; {NO_MEMORY}"),
    ("signal SIGTERM", "", None),
    ("code 1", "ValueError: the address is in use by a station", None),
    ("code 1", "MemoryErrors are counted", None),
]


@pytest.mark.parametrize(("ending", "text", "expected"), FAULTS)
def test_a_fault_is_found_in_each_programs_output(ending: str, text: str, expected: str | None) -> None:
    found = find_host_fault(f"ended with {ending}", f"line before\n{text}\nline after\n")
    assert (found or "").startswith(expected or "")
    assert (found is None) == (expected is None)
