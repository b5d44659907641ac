"""The commands of a deployment's life, each on a project that has what it needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cdk.settings import Settings
from operate.checks import project_number
from operate.cloud import Cloud
from operate.errors import OperateError
from operate.pools import revive
from operate.state import check_owner, find_bucket, make_bucket, remove_bucket, states

# cdktf's name of each command that only passes through it.
CDKTF_COMMANDS = {"deploy": "deploy", "diff": "diff", "outputs": "output", "destroy": "destroy"}


@dataclass(frozen=True)
class Cycle:
    """What the commands work with: `cdktf(words, variables)` returns an exit status, `say` shows a line."""

    settings: Settings
    cloud: Cloud
    cdktf: Callable[[Sequence[str], dict[str, str]], int]
    say: Callable[[str], None]
    auto_approve: bool = False

    def bootstrap(self) -> int:
        """Make the state bucket, then deploy the bootstrap stack; again and again to the same end."""
        self.say(make_bucket(self.cloud.storage, self.settings, project_number(self.cloud, self.settings)))
        adopt = revive(self.cloud, self.settings) if self.settings.ci else []
        return self._run("deploy", self.settings.bootstrap_stack, {"VLILLE_ADOPT": " ".join(adopt)})

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
        if status := self._run("destroy", settings.bootstrap_stack, {}):
            return status
        remove_bucket(storage, bucket)
        self.say(f"the state bucket {bucket.name} is deleted; the APIs stay enabled, which costs nothing")
        return 0

    def destroy(self) -> int:
        """Destroy the environment, unless what is deployed would refuse to go half-way."""
        bucket = find_bucket(self.cloud.storage, self.settings)
        deployed = states(self.cloud.storage, bucket) if bucket else []
        protected = [
            address for state in deployed if state.stack == self.settings.stack for address in state.protected
        ]
        if protected:
            env = self.settings.environment
            raise OperateError(
                f"what is deployed of {env} is still protected ({len(protected)} resources, such as {protected[0]}), "
                f"though environments/{env}.toml is not: run `make deploy ENV={env}` to take the protection off, "
                f"then `make destroy ENV={env}`"
            )
        return self.through("destroy")

    def through(self, command: str) -> int:
        """Let cdktf do a command on the environment's stack."""
        return self._run(CDKTF_COMMANDS[command], self.settings.stack, {})

    def _run(self, command: str, stack: str, variables: dict[str, str]) -> int:
        approve = ["--auto-approve"] if self.auto_approve and command in ("deploy", "destroy") else []
        return self.cdktf([command, stack, *approve], variables)


def check_unprotected(settings: Settings) -> None:
    """Raise OperateError, with the steps, where the environment is protected: before anything is asked."""
    if settings.protected:
        env = settings.environment
        raise OperateError(
            f"{env} is protected and nothing was touched; to destroy it with all its data, set `protected = false` in "
            f"environments/{env}.toml, take the protection off with `make deploy ENV={env}`, then run "
            f"`make destroy ENV={env}` again"
        )
