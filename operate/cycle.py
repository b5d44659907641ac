"""The commands of a deployment's life, each on a project that has what it needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cdk.settings import Settings
from operate.adoption import adoptable, as_variable
from operate.checks import project_number
from operate.cloud import Cloud
from operate.errors import OperateError
from operate.place import Place
from operate.planning import Kept, fetch_replaced
from operate.pools import revive
from operate.state import Lock, State, check_owner, find_bucket, find_lock, make_bucket, remove_bucket, states
from operate.terraform import OUTDIR, ROOT

# cdktf's name of each command that only passes through it.
CDKTF_COMMANDS = {"deploy": "deploy", "diff": "diff", "outputs": "output", "destroy": "destroy"}
# They make a plan, in which something that no state knows would be made a second time.
PLANNING = ("deploy", "diff", "plan")
# The backend is set by the stack alone, whatever an earlier command had in this folder.
INIT = ("init", "-input=false", "-reconfigure", "-no-color")
PLANS = ROOT / OUTDIR / "plans"
# A plan may be made without a lock, by who may not write one; these never.
LOCKING = ("deploy", "destroy")


class Cdktf(Protocol):
    """What synthesizes, and runs `cdktf` on the result: `operate.terraform.Cdktf`."""

    def synthesize(self, stack: str, variables: Mapping[str, str]) -> dict[str, Any]:
        """Return a stack's JSON; `variables` come on top of the environment's. Raises OperateError."""
        ...

    def run(self, words: Sequence[str]) -> int:
        """Return cdktf's exit status. Raises OperateError."""
        ...

    def terraform(self, stack: str, words: Sequence[str], output: Path | None = None) -> int:
        """Run Terraform in the folder of a synthesized stack, its output into a file; return the exit status."""
        ...


@dataclass(frozen=True)
class Cycle:
    """What the commands work with; `say` shows a line."""

    settings: Settings
    cloud: Cloud
    cdktf: Cdktf
    say: Callable[[str], None]
    auto_approve: bool = False
    confirm: Callable[[str], bool] = lambda _question: False
    here: Path | None = None
    plans: Path = PLANS

    @property
    def place(self) -> Place:
        """Where the environment is deployed, which its commands name."""
        return Place(self.settings.environment, self.here)

    def bootstrap(self) -> int:
        """Make the state bucket, then deploy the bootstrap stack; again and again to the same end."""
        self.say(make_bucket(self.cloud.storage, self.settings, project_number(self.cloud, self.settings)))
        if self.settings.ci:
            revive(self.cloud, self.settings)
        return self._run("deploy", self.settings.bootstrap_stack)

    def unbootstrap(self) -> int:
        """Destroy the bootstrap stack, then the state bucket, unless something else is still deployed."""
        settings, storage = self.settings, self.cloud.storage
        bucket = find_bucket(storage, settings)
        if bucket is None:
            self.say(f"the state bucket {settings.bucket('tfstate')} is not there: nothing to undo")
            return 0
        check_owner(bucket, settings, project_number(self.cloud, settings))
        others = [
            state.stack
            for state in states(storage, bucket)
            if state.resources and state.stack != settings.bootstrap_stack
        ]
        if others:
            raise OperateError(
                f"{', '.join(others)} is still deployed, and its state lies in {bucket.name}: run "
                f"`make destroy ENV={settings.environment}` first"
            )
        if status := self._run("destroy", settings.bootstrap_stack):
            return status
        remove_bucket(storage, bucket)
        self.say(f"the state bucket {bucket.name} is deleted; the APIs stay enabled, which costs nothing")
        return 0

    def destroy(self) -> int:
        """Destroy the environment, unless what is deployed would refuse to go half-way."""
        if protected := [
            address for state in self._states(self.settings.stack) for address in state.protected
        ]:
            env = self.settings.environment
            raise OperateError(
                f"what is deployed of {env} is still protected ({len(protected)} resources, such as {protected[0]}), "
                f"though environments/{env}.toml is not: run `make deploy ENV={env}` to take the protection off, "
                f"then `make destroy ENV={env}`"
            )
        return self.through("destroy")

    def unlock(self) -> int:
        """Release what a command that was killed had locked, after a question; there may be nothing locked."""
        bucket = find_bucket(self.cloud.storage, self.settings)
        stacks = (self.settings.stack, self.settings.bootstrap_stack)
        locks = [lock for stack in stacks if bucket and (lock := find_lock(bucket, stack))]
        if not locks:
            self.say(f"no state of {self.settings.environment} is locked")
        for lock in locks:
            self.say(f"the state of {lock.stack} was locked by {lock}")
            if not self.auto_approve and not self.confirm("Is that command ended for certain? (yes/no) "):
                self.say("it stays locked")
                return 1
            lock.release()
            self.say(
                f"it is released; what that command made is found by the next {self.place.make('deploy')}"
            )
        return 0

    @property
    def kept(self) -> Kept:
        """Where the environment's plan is kept."""
        return Kept(self.plans / self.settings.environment)

    def plan(self) -> int:
        """Keep a plan and its JSON, and beside them the deployed artifacts that it replaces; nothing is changed.

        No lock is held, as who reads may write none: a plan that the state has left behind is refused when applied.
        """
        stack, kept = self.settings.stack, self.kept
        kept.renew()
        self._synthesize("plan", stack)
        self.say(f"planning {stack} …")
        made = ["plan", "-input=false", "-lock=false", "-no-color", f"-out={kept.plan}"]
        status = self.cdktf.terraform(stack, [*INIT], kept.log) or self.cdktf.terraform(stack, made, kept.log)
        # A plan that failed half-way is kept too, and says so itself.
        if kept.plan.exists():
            status = self.cdktf.terraform(stack, ["show", "-json", str(kept.plan)], kept.json) or status
        if status:
            self.say(f"there is no plan of {stack} that could be applied; what Terraform printed: {kept.log}")
            return status
        for problem in fetch_replaced(self.cloud.storage, kept):
            self.say(problem)
        return 0

    def apply(self) -> int:
        """Apply the kept plan, and no other. Raises OperateError where there is none."""
        stack, kept = self.settings.stack, self.kept
        if not kept.plan.is_file():
            raise OperateError(f"there is no plan of {stack}: run {self.place.make('plan')} first")
        self._check_free(stack)
        if status := self.cdktf.terraform(stack, ["apply", "-input=false", "-no-color", str(kept.plan)]):
            return status
        kept.plan.unlink()  # it can be applied once
        return 0

    def through(self, command: str) -> int:
        """Let cdktf do a command on the environment's stack."""
        return self._run(CDKTF_COMMANDS[command], self.settings.stack)

    def _run(self, command: str, stack: str) -> int:
        if command in LOCKING:
            self._check_free(stack)
        self._synthesize(command, stack)
        approve = ["--auto-approve"] if self.auto_approve and command in ("deploy", "destroy") else []
        status = self.cdktf.run([command, stack, *approve])
        if command in LOCKING and (lock := self._lock(stack)):
            # Where Terraform was killed, cdktf says that all went well.
            raise OperateError(
                f"Terraform was ended before {command} was done and left the state of {stack} locked by {lock}: run "
                f"{self.place.make('unlock')}, then this again"
            )
        return status

    def _synthesize(self, command: str, stack: str) -> None:
        document = self.cdktf.synthesize(stack, {})
        if command in PLANNING and (lost := self._lost(stack, document)):
            self.say(
                f"{len(lost)} resources are in {self.settings.project} though the state of {stack} does not know them, "
                f"as after a deploy that was killed; they are adopted, such as {next(iter(lost))}"
            )
            self.cdktf.synthesize(stack, as_variable(stack, lost))

    def _lock(self, stack: str) -> Lock | None:
        bucket = find_bucket(self.cloud.storage, self.settings)
        return find_lock(bucket, stack) if bucket else None

    def _check_free(self, stack: str) -> None:
        if lock := self._lock(stack):
            raise OperateError(
                f"the state of {stack} is locked by {lock}: wait until that is done; if it was killed, run "
                f"{self.place.make('unlock')}, then this again"
            )

    def _states(self, stack: str) -> list[State]:
        """The stack's state, none where nothing was ever deployed."""
        bucket = find_bucket(self.cloud.storage, self.settings)
        return [each for each in states(self.cloud.storage, bucket) if each.stack == stack] if bucket else []

    def _lost(self, stack: str, document: Mapping[str, Any]) -> dict[str, str]:
        known = {address for state in self._states(stack) for address in state.resources}
        return adoptable(self.cloud, self.settings.project, document, known)


def check_unprotected(settings: Settings) -> None:
    """Raise OperateError, with the steps, where the environment is protected: before anything is asked."""
    if settings.protected:
        env = settings.environment
        raise OperateError(
            f"{env} is protected and nothing was touched; to destroy it with all its data, set `protected = false` in "
            f"environments/{env}.toml, take the protection off with `make deploy ENV={env}`, then run "
            f"`make destroy ENV={env}` again"
        )
