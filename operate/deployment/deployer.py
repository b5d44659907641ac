"""Deploy and destroy an environment's stacks; `operate.__main__` checks the prerequisites first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cdk.settings import Settings
from commands.recipes import OUTPUT
from operate.cloud import Cloud
from operate.deployment import orphaned_resources
from operate.deployment.adoption import find_adoptable, find_existing, format_adopt_variable
from operate.deployment.changes import check_changes
from operate.deployment.identity_pools import restore_identity_pool
from operate.deployment.prerequisites import fetch_project_number
from operate.deployment.saved_plans import SavedPlan, fetch_replaced_artifacts
from operate.deployment.terraform import ROOT
from operate.errors import OperateError
from operate.state.bucket import check_owner, ensure_bucket, find_bucket, remove_bucket
from operate.state.locking import Locking
from operate.state.state_files import DamagedStateError, State, read_states
from operate.target import Target

# The cdktf command of each command that runs cdktf alone.
CDKTF_COMMANDS = {"deploy": "deploy", "diff": "diff", "outputs": "output", "destroy": "destroy"}
# These make a plan, which would create again what exists and is in no state.
PLANNING = ("deploy", "diff", "plan")
# The stack alone sets the backend, whatever an earlier command configured in this folder.
INIT = ("init", "-input=false", "-reconfigure", "-no-color")
PLANS = ROOT / OUTPUT / "plans"
# A plan needs no lock, so that users who may not write one can plan; these always take it.
LOCKING = ("deploy", "destroy")
Document = Mapping[str, Any]  # a stack's synthesized JSON


class Cdktf(Protocol):
    """Synthesizes stacks and runs `cdktf` on them; implemented by `operate.deployment.terraform.Cdktf`."""

    def synthesize(self, stack: str, variables: Mapping[str, str]) -> dict[str, Any]:
        """Return a stack's JSON; `variables` are added to the environment variables. Raises OperateError."""
        ...

    def run(self, argv: Sequence[str]) -> int:
        """Return cdktf's exit status. Raises OperateError."""
        ...

    def terraform(self, stack: str, argv: Sequence[str], output: Path | None = None) -> int:
        """Run Terraform in a synthesized stack's folder, with its output in a file; return the exit status."""
        ...


@dataclass(frozen=True)
class Deployer:
    """Deploys and destroys one environment; `report` prints a line."""

    settings: Settings
    cloud: Cloud
    cdktf: Cdktf
    locking: Locking
    report: Callable[[str], None]
    auto_approve: bool = False
    local_folder: Path | None = None
    plans: Path = PLANS

    @property
    def target(self) -> Target:
        """Where the environment is deployed; messages name commands for it."""
        return Target(self.settings.environment, self.local_folder)

    def bootstrap(self) -> int:
        """Create the state bucket, then deploy the bootstrap stack. Idempotent."""
        self.report(
            ensure_bucket(self.cloud.storage, self.settings, fetch_project_number(self.cloud, self.settings))
        )
        if self.settings.ci:
            restore_identity_pool(self.cloud, self.settings)
        return self._run("deploy", self.settings.bootstrap_stack)

    def unbootstrap(self) -> int:
        """Destroy the bootstrap stack, then the state bucket. Raises OperateError while another stack is deployed."""
        settings, storage = self.settings, self.cloud.storage
        bucket = find_bucket(storage, settings)
        if bucket is None:
            self.report(f"the state bucket {settings.bucket('tfstate')} does not exist: nothing to remove")
            return 0
        check_owner(bucket, settings, fetch_project_number(self.cloud, settings))
        others = [
            state.stack
            for state in self._read_all_states()
            if state.resources and state.stack != settings.bootstrap_stack
        ]
        if others:
            raise OperateError(
                f"stacks with a state in {bucket.name} are still deployed: {', '.join(others)}; run `make destroy` for "
                "the environment of each, then this again"
            )
        document = self.cdktf.synthesize(settings.bootstrap_stack, {})
        self._check_unmanaged_resources(settings.bootstrap_stack, document, "bootstrap", "unbootstrap")
        if status := self._run("destroy", settings.bootstrap_stack, document):
            return status
        remove_bucket(storage, bucket)
        self.report(f"the state bucket {bucket.name} is deleted; the APIs stay enabled, which costs nothing")
        return 0

    def destroy(self) -> int:
        """Destroy the environment. Raises OperateError if resources are protected, or exist and are in no state."""
        stack = self.settings.stack
        if protected := [address for state in self._read_stack_states(stack) for address in state.protected]:
            env = self.settings.environment
            raise OperateError(
                f"the deployed resources of {env} are still protected ({len(protected)} resources, such as "
                f"{protected[0]}), although environments/{env}.toml sets protected = false: run "
                f"`make deploy ENV={env}` to remove the protection, then `make destroy ENV={env}`"
            )
        document = self.cdktf.synthesize(stack, {})
        self._check_unmanaged_resources(stack, document, "deploy", "destroy")
        status = self._run("destroy", stack, document)
        # If the user types "no" at Terraform's prompt, the state still has resources.
        if status == 0 and not any(state.resources for state in self._read_stack_states(stack)):
            self._check_destroyed(document)
        return status

    def _check_unmanaged_resources(self, stack: str, document: Document, deploy: str, destroy: str) -> None:
        """Raise OperateError if resources exist that the state lacks: a destroy would orphan them."""
        if lost := find_existing(
            self.cloud, self.settings.project, document, self._list_known_addresses(stack)
        ):
            make = self.target.format_command
            # `make orphans` looks up the environment's stack alone.
            hint = (
                ""
                if stack != self.settings.stack
                else f"; {make('orphans')} lists commands that need no state"
            )
            raise OperateError(
                f"{len(lost)} resources of {stack} exist in {self.settings.project} and are not in its state, such as "
                f"{next(iter(lost))}: {make(destroy)} would leave them. Nothing was changed. Run {make(deploy)}, which "
                f"imports them, then {make(destroy)}{hint}"
            )

    def _check_destroyed(self, document: Document) -> None:
        """Raise OperateError if a declared resource still exists after the destroy."""
        found = orphaned_resources.find_orphaned_resources(self.cloud, self.settings, document)
        if declared := [resource for resource in found if resource.is_declared]:
            raise OperateError(
                "\n".join(orphaned_resources.format_orphaned_resources(declared, self.settings, self.target))
            )
        for resource in found:
            self.report(
                f"{resource.kind} {resource.name}, which Google Cloud created and the stack does not declare, still "
                f"exists: run {self.target.format_command('orphans')} for the command that deletes it"
            )

    @property
    def saved_plan(self) -> SavedPlan:
        """The files of the environment's plan."""
        return SavedPlan(self.plans / self.settings.environment)

    def plan(self) -> int:
        """Write a plan, its JSON and the deployed artifacts that it replaces; change nothing.

        No lock is taken, since a reader may not write one: Terraform refuses to apply a plan of an older state.
        """
        stack, saved_plan = self.settings.stack, self.saved_plan
        saved_plan.renew()
        self._synthesize("plan", stack)
        self.report(f"planning {stack} …")
        made = ["plan", "-input=false", "-lock=false", "-no-color", f"-out={saved_plan.plan}"]
        status = self.cdktf.terraform(stack, [*INIT], saved_plan.log) or self.cdktf.terraform(
            stack, made, saved_plan.log
        )
        # A plan that failed half-way is also kept: its JSON says that it is incomplete.
        if saved_plan.plan.exists():
            status = (
                self.cdktf.terraform(stack, ["show", "-json", str(saved_plan.plan)], saved_plan.json)
                or status
            )
        if status:
            self.report(f"planning {stack} failed: the output of Terraform is in {saved_plan.log}")
            return status
        for problem in fetch_replaced_artifacts(self.cloud.storage, saved_plan):
            self.report(problem)
        return 0

    def apply(self) -> int:
        """Apply the plan that `plan` wrote. Raises OperateError if there is none."""
        stack, saved_plan = self.settings.stack, self.saved_plan
        if not saved_plan.plan.is_file():
            raise OperateError(f"there is no plan of {stack}: run {self.target.format_command('plan')} first")
        self.locking.wait_until_free(stack)
        if status := self.cdktf.terraform(
            stack, ["apply", "-input=false", "-no-color", str(saved_plan.plan)]
        ):
            return status
        saved_plan.plan.unlink()  # it can be applied once
        return 0

    def run_cdktf(self, command: str) -> int:
        """Run a cdktf command on the environment's stack."""
        return self._run(CDKTF_COMMANDS[command], self.settings.stack)

    def _run(self, command: str, stack: str, synthesized: Document | None = None) -> int:
        if command in LOCKING:
            self.locking.wait_until_free(stack)
        if synthesized is None:
            self._synthesize(command, stack)
        approve = ["--auto-approve"] if self.auto_approve and command in LOCKING else []
        status = self.cdktf.run([command, stack, *approve])
        if command in LOCKING:
            self.locking.check_remaining_lock(command, stack, status)
        return status

    def _synthesize(self, command: str, stack: str) -> None:
        document = self.cdktf.synthesize(stack, {})
        if command not in PLANNING:
            return
        deployed = self._read_all_states()
        check_changes(self.settings, self.target, document, deployed)
        is_first = not any(each.resources for each in deployed if each.stack == stack)
        if command == "deploy" and stack == self.settings.stack and is_first:
            self.report(
                f"{stack} has no state in {self.settings.project}: this is its first deploy, or its state was lost; "
                "what an environment left in another project stays there"
            )
        if lost := find_adoptable(
            self.cloud, self.settings.project, document, self._list_known_addresses(stack)
        ):
            self.report(
                f"{len(lost)} resources exist in {self.settings.project} and are not in the state of {stack}, as after "
                f"a deploy that was killed or a state that was lost; they are imported, such as {next(iter(lost))}"
            )
            self.cdktf.synthesize(stack, format_adopt_variable(stack, lost))

    def _read_all_states(self) -> list[State]:
        """Return the state of every stack in the project's state bucket."""
        bucket = find_bucket(self.cloud.storage, self.settings)
        try:
            return read_states(self.cloud.storage, bucket) if bucket else []
        except DamagedStateError as error:
            if self.local_folder is None:
                raise
            file = self.local_folder / "storage" / self.settings.bucket("tfstate")
            raise OperateError(
                f"{error.problem}: run `make down ENV={self.settings.environment}`, delete the file below {file}, then "
                f"run {self.target.format_command('deploy')}, which imports what exists"
            ) from None

    def _read_stack_states(self, stack: str) -> list[State]:
        """Return the stack's state; empty if it was never deployed."""
        return [each for each in self._read_all_states() if each.stack == stack]

    def _list_known_addresses(self, stack: str) -> set[str]:
        return {address for state in self._read_stack_states(stack) for address in state.resources}


def check_unprotected(settings: Settings) -> None:
    """Raise OperateError, with the steps to take, if the environment is protected."""
    if settings.protected:
        env = settings.environment
        raise OperateError(
            f"{env} is protected, and nothing was changed; to destroy it with all its data, set `protected = false` in "
            f"environments/{env}.toml, take the protection off with `make deploy ENV={env}`, then run "
            f"`make destroy ENV={env}` again"
        )
