"""Reject edits of an environment's settings that cannot be applied in place, before anything is planned.

docs/deploy.md lists what the provider does with an edit of each key.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cdk.settings import Settings
from operate.errors import OperateError
from operate.state.state_files import State
from operate.target import Target


def check_changes(
    settings: Settings, target: Target, stack: Mapping[str, Any], deployed: Sequence[State]
) -> None:
    """Raise OperateError, with the steps to take, for an edit that cannot be planned on the deployed resources.

    `stack` is the synthesized JSON, `deployed` every state of the project's state bucket.
    """
    others = [
        state.stack
        for state in deployed
        if state.resources and state.stack not in (settings.stack, settings.bootstrap_stack)
    ]
    if others:
        raise OperateError(_explain_other_environment(settings, others[0]))
    for state in deployed:
        if state.stack == settings.stack:
            regions = set(_find_former_regions(settings, stack, state))
            if regions:
                raise OperateError(_explain_region_change(settings, target, ", ".join(sorted(regions))))


def _find_former_regions(settings: Settings, stack: Mapping[str, Any], state: State) -> Iterator[str]:
    """Yield the regions of deployed resources that the stack would replace with ones in the settings' region."""
    for address, region in state.locations.items():
        kind, _, name = address.partition(".")
        arguments = stack.get("resource", {}).get(kind, {}).get(name)
        if arguments is None or "location" in arguments.get("lifecycle", {}).get("ignore_changes", ()):
            continue
        wanted = arguments.get("location") or arguments.get("region")
        if isinstance(wanted, str) and wanted.lower() == settings.region != region:
            yield region


def _explain_region_change(settings: Settings, target: Target, former: str) -> str:
    env, file = settings.environment, f"environments/{settings.environment}.toml"
    steps = (
        ["destroy", "unbootstrap", "bootstrap", "deploy"]
        if target.local_folder is None
        else ["destroy", "deploy"]
    )
    protected = "set `protected = false` and deploy that first; " if settings.protected else ""
    return (
        f"{file}: region: {env} is deployed in {former} and cannot move to {settings.region}: its buckets and its "
        "dataset would be deleted with their data and created anew. Nothing was touched.\n"
        f'To go on as it is, set region = "{former}" again. To keep the data, deploy a new environment in a project of '
        f'its own and copy the archive: docs/deploy.md, "To another region". To begin anew without the data: '
        f"{protected}{', then '.join(target.format_command(step) for step in steps)}"
    )


def _explain_other_environment(settings: Settings, other: str) -> str:
    bucket, name = settings.bucket("tfstate"), settings.environment
    former = other.removeprefix("vlille-").removesuffix("-bootstrap")
    return (
        f"{settings.project} already holds {other}, whose state is gs://{bucket}/{other}/: without "
        "shared_project, the resources of both have the same names. Nothing was touched.\n"
        f"To deploy {name} beside it, set another project or shared_project = true in environments/{name}.toml. If "
        f"environments/{former}.toml was renamed to {name}.toml, rename it back, or run `make destroy ENV={former}` "
        f"and `make unbootstrap ENV={former}` before you rename it"
    )
