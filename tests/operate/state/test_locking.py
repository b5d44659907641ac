"""A lock is waited for, its holder named, and nothing is released while that holder may be at work."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.errors import OperateError, StoppedError
from operate.state.bucket import ensure_bucket
from operate.state.lock_holders import get_lock_identity
from operate.state.locking import Locking
from operate.state.locks import find_lock
from operate.target import Target
from tests.operate.conftest import NUMBER, Google

pytestmark = pytest.mark.emulator

LOCK = {
    "ID": "1795642733529456",
    "Operation": "OperationTypeApply",
    "Who": "ada@laptop",
    "Created": "2026-11-25T21:38:53.523431863Z",
}
LOCK_MESSAGE = "the state of vlille-dev is locked by ada@laptop at 2026-11-25 21:38 UTC, for apply"
NAME = "vlille-dev/default.tflock"
Put = Callable[..., None]


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def locking(cloud: Cloud, settings: Settings, printed: list[str]) -> Locking:
    ensure_bucket(cloud.storage, settings, NUMBER)
    return Locking(
        settings, cloud, Target("dev"), printed.append, lock_seconds=120, sleep=lambda _seconds: None
    )


@pytest.fixture
def release(google: Google, settings: Settings) -> Callable[[], None]:
    """Delete the lock, as its holder does."""
    url = f"{google.emulator_url}/storage/v1/b/{settings.bucket('tfstate')}/o/{NAME.replace('/', '%2F')}"
    return lambda: requests.delete(url, timeout=30).raise_for_status()


def lock_id(cloud: Cloud, settings: Settings) -> str:
    found = find_lock(cloud.storage.bucket(settings.bucket("tfstate")), "vlille-dev")
    assert found is not None
    return found.id


def test_a_lock_is_waited_for_and_its_holder_reported(
    locking: Locking, put_state: Put, release: Callable[[], None], printed: list[str]
) -> None:
    put_state(NAME, LOCK)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            release()

    replace(locking, sleep=sleep).wait_until_free("vlille-dev")
    assert waits == [5.0] * 3
    assert printed == [
        f"{LOCK_MESSAGE}; if that command was killed, press Ctrl-C and run `make unlock ENV=dev`: waiting until that "
        "command ends, for up to 2 minutes"
    ]


def test_the_wait_for_a_lock_times_out(locking: Locking, put_state: Put, printed: list[str]) -> None:
    put_state(NAME, LOCK)
    with pytest.raises(OperateError) as caught:
        locking.wait_until_free("vlille-dev")
    assert str(caught.value) == (
        f"{LOCK_MESSAGE}: wait until that command ends; if it was killed, run `make unlock ENV=dev`, then run this "
        "again"
    )
    assert len(printed) == 1


def test_a_command_of_this_machine_that_ended_is_not_waited_for(locking: Locking, put_state: Put) -> None:
    put_state(NAME, LOCK | {"Who": get_lock_identity()})
    with pytest.raises(
        OperateError, match=r"which no longer runs on this host: run `make unlock ENV=dev`, then"
    ):
        locking.wait_until_free("vlille-dev")


def test_ctrl_c_ends_the_wait_with_a_message(locking: Locking, put_state: Put) -> None:
    put_state(NAME, LOCK)

    def sleep(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(StoppedError, match=r"^stopped while waiting for the lock: nothing was changed$"):
        replace(locking, sleep=sleep).wait_until_free("vlille-dev")


def test_the_later_of_two_deploys_is_told_who_holds_the_lock(locking: Locking, put_state: Put) -> None:
    put_state(NAME, LOCK)
    with pytest.raises(OperateError) as caught:
        locking.check_remaining_lock("deploy", "vlille-dev", 1)
    assert (
        str(caught.value)
        == f"{LOCK_MESSAGE}, which came first: wait until that command ends, then run this deploy again"
    )
    locking.check_remaining_lock("deploy", "vlille-dev", 0)  # it was done before the other began


@pytest.mark.parametrize("status", [0, 1])
def test_a_killed_terraform_is_reported_although_cdktf_succeeds(
    locking: Locking, put_state: Put, status: int
) -> None:
    put_state(NAME, LOCK | {"Who": get_lock_identity()})
    with pytest.raises(
        OperateError,
        match=r"^Terraform ended before deploy was complete and left the state of vlille-dev locked by \S+ at "
        r"2026-11-25 21:38 UTC, for apply: run `make unlock ENV=dev`, then run this again$",
    ):
        locking.check_remaining_lock("deploy", "vlille-dev", status)


@pytest.mark.parametrize("typed", ["", "yes", "y", "17", "ID", " ID \n"])
def test_a_lock_is_released_only_by_its_own_id(
    locking: Locking, cloud: Cloud, settings: Settings, put_state: Put, *, printed: list[str], typed: str
) -> None:
    put_state(NAME, LOCK)
    id_ = lock_id(cloud, settings)
    questions: list[str] = []

    def read_input(question: str) -> str:
        questions.append(question)
        return typed.replace("ID", id_)

    interactive, is_released = replace(locking, read_input=read_input), "ID" in typed
    assert interactive.unlock() == int(not is_released)
    assert questions == [f"If you are certain that this command has ended, type the lock's ID {id_}: "]
    bucket = cloud.storage.bucket(settings.bucket("tfstate"))
    assert bucket.blob(NAME).exists() is not is_released
    assert printed[0] == LOCK_MESSAGE.replace(" is ", " was ")
    if is_released:
        assert printed[-1].endswith("the next `make deploy ENV=dev` imports what that command created")
        assert interactive.unlock() == 0
        assert printed[-1] == "no state of dev is locked"
    else:
        assert printed[-1] == f"the lock was kept: the ID {id_} was not typed"


def test_a_lock_is_not_released_while_its_holder_runs(
    locking: Locking, cloud: Cloud, settings: Settings, put_state: Put
) -> None:
    put_state(NAME, LOCK | {"Created": datetime.now(UTC).isoformat()})
    put_state("vlille-dev/default.tfstate", {"version": 4})
    with pytest.raises(
        OperateError, match=r"^the lock was kept: it wrote the state \d+ s ago; wait until it ends"
    ):
        replace(locking, read_input=lambda _question: lock_id(cloud, settings)).unlock()


@pytest.mark.parametrize("content", ["", [], {}, {"Who": 1, "Operation": None, "Created": "yesterday"}])
def test_an_unreadable_lock_is_a_lock(
    locking: Locking, put_state: Put, printed: list[str], content: Any
) -> None:
    put_state(NAME, content)
    assert locking.unlock() == 1
    assert printed[0].startswith("the state of vlille-dev was locked by an unknown user at ")
