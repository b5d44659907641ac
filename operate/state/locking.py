"""Wait for the lock on a state, name its holder, and release the lock of a killed command."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.errors import OperateError, raise_stopped_on_interrupt
from operate.state.bucket import find_bucket
from operate.state.lock_holders import Holder, find_holder, get_lock_identity
from operate.state.locks import Lock, find_lock
from operate.state.state_files import find_write_time
from operate.target import Target

# How long a command waits for the lock, and how often it checks.
LOCK_SECONDS, POLL_SECONDS = 900.0, 5.0


@dataclass(frozen=True)
class Locking:
    """The locks of one environment's states; `report` prints a line, `read_input` returns the user's input."""

    settings: Settings
    cloud: Cloud
    target: Target
    report: Callable[[str], None]
    read_input: Callable[[str], str] = lambda _question: ""
    environ: Mapping[str, str] = field(default_factory=dict)
    lock_seconds: float = LOCK_SECONDS
    sleep: Callable[[float], None] = time.sleep

    def wait_until_free(self, stack: str) -> None:
        """Return once the state is not locked. Raises OperateError if the holder has ended or takes too long."""
        waited = 0.0
        while lock := self._find_lock(stack):
            holder, unlock = self._find_holder(lock), self.target.format_command("unlock")
            if holder.is_gone:
                raise OperateError(
                    f"the state of {stack} is locked by {lock}, which no longer runs on this host: run {unlock}, "
                    "then run this again"
                )
            if waited >= self.lock_seconds:
                raise OperateError(
                    f"the state of {stack} is locked by {lock}: wait until that command ends; if it was killed, run "
                    f"{unlock}, then run this again"
                )
            if not waited:
                why = (
                    f" ({holder.why})"
                    if holder.why
                    else f"; if that command was killed, press Ctrl-C and run {unlock}"
                )
                self.report(
                    f"the state of {stack} is locked by {lock}{why}: waiting until that command ends, for up to "
                    f"{self.lock_seconds / 60:.0f} minutes"
                )
            with raise_stopped_on_interrupt("stopped while waiting for the lock: nothing was changed"):
                self.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    def check_remaining_lock(self, command: str, stack: str, status: int) -> None:
        """Raise OperateError for a lock that remains after a command: its own, or that of an earlier command."""
        if (lock := self._find_lock(stack)) is None:
            return
        holder = self._find_holder(lock)
        if holder.why or lock.who != get_lock_identity():
            if status:
                why = f" ({holder.why})" if holder.why else ""
                raise OperateError(
                    f"the state of {stack} is locked by {lock}{why}, which came first: wait until that command ends, "
                    f"then run this {command} again"
                )
            return  # the other command began after this one ended
        # If Terraform was killed, cdktf still reports success.
        raise OperateError(
            f"Terraform ended before {command} was complete and left the state of {stack} locked by {lock}: run "
            f"{self.target.format_command('unlock')}, then run this again"
        )

    def unlock(self) -> int:
        """Release the locks of a killed command once the user types their IDs; return the exit status.

        Raises OperateError while there is evidence that the holder still runs.
        """
        stacks = (self.settings.stack, self.settings.bootstrap_stack)
        locks = [lock for stack in stacks if (lock := self._find_lock(stack))]
        if not locks:
            self.report(f"no state of {self.settings.environment} is locked")
        for lock in locks:
            self.report(f"the state of {lock.stack} was locked by {lock}")
            if why := self._find_holder(lock).why:
                raise OperateError(
                    f"the lock was kept: {why}; wait until it ends, or end it with Ctrl-C where it runs, then run "
                    f"{self.target.format_command('unlock')} again"
                )
            if (
                self.read_input(
                    f"If you are certain that this command has ended, type the lock's ID {lock.id}: "
                ).strip()
                != lock.id
            ):
                self.report(f"the lock was kept: the ID {lock.id} was not typed")
                return 1
            lock.release()
            deploy = self.target.format_command("deploy")
            self.report(f"the lock was released; the next {deploy} imports what that command created")
        return 0

    def _find_lock(self, stack: str) -> Lock | None:
        bucket = find_bucket(self.cloud.storage, self.settings)
        return find_lock(bucket, stack) if bucket else None

    def _find_holder(self, lock: Lock) -> Holder:
        written = find_write_time(lock.blob.bucket, lock.stack)
        return find_holder(lock, written, self.environ, datetime.now(UTC))
