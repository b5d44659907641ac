"""Who holds a lock: a process of this host that works in the stack's folder, or somebody on another host."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client

from operate.state.lock_holders import ENDPOINT, RECENT, Holder, find_holder, get_lock_identity
from operate.state.locks import Lock

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
STARTED = NOW - timedelta(hours=1)
Start = Callable[..., int]


def lock_of(who: str = "", bucket: str = "b", stack: str = "vlille-dev") -> Lock:
    client = Client(project="p", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    blob = Bucket(client, bucket).blob(f"{stack}/default.tflock", generation=17)
    return Lock(stack, "apply", who or get_lock_identity(), STARTED, blob)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program by a name in a folder of a synthesized stack, where it waits; return its process ID."""
    with ExitStack() as closing:

        def run(name: str = "terraform", bucket: str = "b", **variables: str) -> int:
            folder = tmp_path / f"{name}-{bucket}"
            folder.mkdir()
            backend = {"terraform": {"backend": {"gcs": {"bucket": bucket, "prefix": "vlille-dev"}}}}
            (folder / "cdk.tf.json").write_text(json.dumps(backend))
            program = folder / name
            program.write_text("#!/bin/sh\necho ready\nread line\n")
            program.chmod(0o755)
            process = closing.enter_context(
                subprocess.Popen(
                    [program],
                    cwd=folder,
                    env={"PATH": os.environ["PATH"], **variables},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            closing.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            return process.pid

        yield run


@pytest.mark.parametrize("program", ["terraform", "tofu", "terraform-1.11.4"])
def test_a_process_in_the_stack_s_folder_holds_the_lock(start: Start, program: str) -> None:
    pid = start(program)
    environ = {"TERRAFORM_BINARY_NAME": "/opt/bin/terraform-1.11.4"}
    found = find_holder(lock_of(), None, environ, NOW)
    assert found == Holder(f"Terraform, process {pid} on this host, is using it")


@pytest.mark.parametrize(
    ("program", "bucket", "variables", "environ"),
    [
        ("sleepy", "b", {}, {}),  # another program
        ("terraform", "other", {}, {}),  # another project
        (
            "terraform",
            "b",
            {ENDPOINT: "http://127.0.0.1:1/"},
            {},
        ),  # a local environment, and we are in the cloud
        ("terraform", "b", {}, {ENDPOINT: "http://127.0.0.1:1/"}),  # the other way round
    ],
)
def test_other_processes_hold_other_locks(
    start: Start, program: str, bucket: str, variables: Mapping[str, str], environ: Mapping[str, str]
) -> None:
    start(program, bucket, **variables)
    assert find_holder(lock_of(), NOW, environ, NOW) == Holder(is_gone=True)


def test_a_process_of_the_same_local_environment_holds_its_lock(start: Start) -> None:
    start(**{ENDPOINT: "http://127.0.0.1:1/"})
    assert find_holder(lock_of(), None, {ENDPOINT: "http://127.0.0.1:1/"}, NOW).why


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (None, ""),
        (NOW - timedelta(seconds=30), "it wrote the state 30 s ago"),
        (NOW + timedelta(seconds=5), "it wrote the state 0 s ago"),  # its clock is ahead
        (NOW - RECENT, ""),
        (STARTED - timedelta(seconds=1), ""),  # by the command before it
    ],
)
def test_a_holder_on_another_machine_is_judged_by_its_last_write(written: datetime | None, why: str) -> None:
    lock = lock_of("ada@laptop")
    if written and written < STARTED:
        assert find_holder(lock, written, {}, STARTED) == Holder()
    assert find_holder(lock, written, {}, NOW) == Holder(why)


def test_another_user_s_command_is_not_considered_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of(f"ada@{socket.gethostname()}")
    for user, is_gone in ((0, True), (65534, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert find_holder(lock, None, {}, NOW) == Holder(is_gone=is_gone)


def test_the_lock_identity_is_that_of_terraform() -> None:
    user, _, host = get_lock_identity().rpartition("@")
    assert host == socket.gethostname()
    assert user
