"""A plan as a typed model: changes, drift, outputs, checks and actions; `review.plan.reading` reads one.

Values are hidden by `Secrets` as they are read. What Terraform only knows after the apply stands as UNKNOWN in `after`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from review.findings.finding import Finding
from review.plan.values import Values
from review.secrets.masking import Secrets

OLD_FORMATS = ("0.1", "0.2")  # of Terraform 0.12 to 1.0


@dataclass(frozen=True, eq=False)  # compared by identity, so that its differences can be cached
class Change:
    """What happens to one resource; `before` and `after` are None where it does not exist."""

    address: str
    type: str
    actions: tuple[str, ...]
    before: Values | None = None
    after: Values | None = None
    mode: str = "managed"
    name: str = ""
    module: str = ""
    index: str = ""
    reason: str = ""
    replace_paths: tuple[str, ...] = ()
    previous_address: str = ""  # the address it moves from
    import_id: str = ""  # the id it is imported by
    deposed: str = ""
    deferred_reason: str = ""  # why it is deferred to a later plan
    is_action_certain: bool = True  # False where only the provider knows whether an update replaces
    is_destroy_prevented: bool = False  # prevent_destroy: Terraform refuses to destroy it

    @property
    def action(self) -> str:
        """One word: create, read, update, replace, delete, forget, no-op, or what Terraform calls it."""
        if set(self.actions) in ({"create", "delete"}, {"create", "forget"}):
            return "replace"
        return self.actions[0]

    @property
    def values(self) -> Values:
        """The values after the apply; of a deleted resource those before it."""
        return self.after if self.after is not None else self.before or {}

    @property
    def present(self) -> Values:
        """The values before the apply; of a new resource those after it."""
        return self.before if self.before is not None else self.after or {}

    @property
    def old(self) -> Values:
        """The values before; empty if it did not exist."""
        return self.before or {}

    @property
    def new(self) -> Values:
        """The values after; empty if it will not exist."""
        return self.after or {}

    @property
    def created_first(self) -> bool:
        """Return whether a replacement is created before the old resource is deleted."""
        return self.actions == ("create", "delete")

    @property
    def destroys(self) -> bool:
        """Return whether the existing resource is deleted."""
        return "delete" in self.actions

    @property
    def forgets(self) -> bool:
        """Return whether Terraform removes it from the state and leaves it in place."""
        return "forget" in self.actions

    @property
    def configured_address(self) -> str:
        """The address in the configuration, without indexes."""
        return strip_indexes(self.address)


@dataclass(frozen=True)
class Output:
    """A change of an output's value."""

    name: str
    action: str
    before: Any
    after: Any
    is_disclosed: bool = False  # it was marked as sensitive, and no longer is


@dataclass(frozen=True)
class Check:
    """The result of a check, a condition or a variable's validation: pass, fail, error or unknown."""

    address: str
    status: str
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Invocation:
    """An action (Terraform 1.14) that the apply invokes: what it is given, and what triggers it."""

    address: str
    type: str
    values: Values = field(default_factory=dict)
    trigger: str = (
        ""  # the address of the resource whose change triggers it; empty where the command line does
    )
    event: str = ""  # before or after which step of that resource, such as AfterCreate
    deferred_reason: str = ""  # why it is deferred to a later plan


@dataclass(frozen=True)
class Plan:
    """Everything that a plan contains and a review uses."""

    changes: tuple[Change, ...] = ()
    drift: tuple[Change, ...] = ()
    deferred_changes: tuple[Change, ...] = ()
    outputs: tuple[Output, ...] = ()
    checks: tuple[Check, ...] = ()
    invocations: tuple[Invocation, ...] = ()
    errored: bool = False
    complete: bool | None = True  # None where the plan does not say it: Terraform before 1.8, OpenTofu
    format: str = ""
    applyable: bool | None = None
    is_comparison: bool = False  # made from two synthesized stacks, not by Terraform
    # Address in the configuration → argument → what it refers to.
    references: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    # Address in the configuration → its provisioners, as `type`, `when` and `arguments`; the old ones of a comparison.
    provisioners: Mapping[str, tuple[Values, ...]] = field(default_factory=dict)
    old_provisioners: Mapping[str, tuple[Values, ...]] = field(default_factory=dict)
    other_findings: tuple[Finding, ...] = ()  # differences of two stacks other than resources and outputs
    secrets: Secrets = field(default_factory=Secrets)


def strip_indexes(address: str) -> str:
    """Return an address without its indexes, which may hold dots, brackets and quotes themselves."""
    return re.sub(r'\[(?:"(?:[^"\\]|\\.)*"|\d+)\]', "", address)
