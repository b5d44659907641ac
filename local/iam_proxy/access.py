"""Access decisions: the stack's allow policies, evaluated as IAM evaluates them.

A principal has a permission on a resource where a role with the permission is granted to it on the resource or on a
parent: object → bucket → project, table → dataset → project. https://cloud.google.com/iam/docs/allow-policies,
https://cloud.google.com/iam/docs/conditions-overview

Only the requests of workloads are checked. The deployer is an owner (`DEPLOYER`), and the local run's own requests
(creating resources, reports, the demo's comparison, unpacking archives) go straight to the emulators.
"""

import json
import logging
import re
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from local.environment.environment import LocalEnvironment
from local.iam_proxy.denials import DeniedError, RequiredPermission, UndecidableError

LOG = logging.getLogger(__name__)
ROLES = Path(__file__).with_name("roles.toml")
DEPLOYER = "deployer"  # the project's account that Terraform and `operate` use
ALL_USERS = "allUsers"
PUBLIC_MEMBERS = frozenset({ALL_USERS, "allAuthenticatedUsers"})
# The supported conditions, which are on the name of a resource.
CONDITION = re.compile(r"""resource\.name(?:\.startsWith\((["'])(.+)\1\)|\s*==\s*(["'])(.+)\3)""")
BUCKET = re.compile(r"projects/_/buckets/([^/]+)(/objects/.+)?", re.DOTALL)
FILE = "access.json"


@dataclass
class Usage:
    """How often an identity needed a permission on a resource.

    A bucket and all of its objects share one entry, named after the first one that was used.
    """

    identity: str
    permission: str
    resource: str
    allowed: int = 0
    denied: int = 0


@dataclass(frozen=True)
class _Binding:
    role: str
    members: frozenset[str]
    condition: str


class AccessControl:
    """Decides about requests and counts who used which permission; safe to use from any thread."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._policies = environment.collection("iam", "policies")
        self._accounts = environment.collection("iam", "serviceAccounts")
        self._custom = environment.collection("iam", "roles")
        self._bindings: tuple[int, dict[str, list[_Binding]]] = (
            -1,
            {},
        )  # the version of the policies, and their bindings
        self._usages: dict[tuple[str, str, str], Usage] = {}
        self._earlier: list[Usage] | None = None  # the entries of access.json from earlier runs
        self._lock = threading.Lock()

    @property
    def deployer(self) -> str:
        """The e-mail of the deployer's account."""
        return f"{DEPLOYER}@{self._environment.project}.iam.gserviceaccount.com"

    def is_known(self, email: str) -> bool:
        """Whether the project has an account with that e-mail."""
        if email == self.deployer:
            return True
        return (
            self._accounts.find(f"projects/{self._environment.project}/serviceAccounts/{email}") is not None
        )

    def check(self, identity: str, needs: Iterable[RequiredPermission]) -> None:
        """Count the use of these permissions. Raises DeniedError if the identity lacks one, and UndecidableError."""
        for need in needs:
            try:
                allowed = self.is_allowed(identity, need)
            except UndecidableError as error:
                self._environment.report_unsupported(str(error))
                raise
            self._count(identity, need, allowed=allowed)
            if not allowed:
                raise DeniedError(identity, need)

    def is_allowed(self, identity: str, need: RequiredPermission) -> bool:
        """Whether a role of the identity has the permission on the resource; "" is an unauthenticated caller.

        Raises UndecidableError.
        """
        if identity == self.deployer:
            return True
        members = {f"serviceAccount:{identity}", *PUBLIC_MEMBERS} if identity else {ALL_USERS}
        unknown: list[str] = []
        for name in resource_hierarchy(need.resource, self._environment.project):
            for binding in self._bindings_on(name):
                if not members & binding.members:
                    continue
                permissions = self._permissions(binding.role)
                if permissions is None:
                    unknown.append(
                        f"the role {binding.role} on {name}, which is not in local/iam_proxy/{ROLES.name}: add it there"
                    )
                elif need.permission in permissions:
                    holds = evaluate_condition(binding.condition, need.resource)
                    if holds:
                        return True
                    if holds is None:
                        unknown.append(
                            f"the condition {binding.condition!r}, which is not supported: "
                            "evaluate it in local/iam_proxy/access.py"
                        )
        if unknown:
            raise UndecidableError(
                f"cannot decide whether {identity} has {need.permission} on {need.resource}: it depends on {unknown[0]}"
            )
        return False

    def usages(self) -> list[Usage]:
        """Return the permissions used in this run, sorted, with one entry for a bucket and all of its
        objects.
        """
        with self._lock:
            return [self._usages[key] for key in sorted(self._usages)]

    def denial_messages(self) -> list[str]:
        """Return a sentence for each entry of `usages` that was denied."""
        return [
            f"{DeniedError(u.identity, RequiredPermission(u.permission, u.resource)).summary}"
            + (f" ({u.denied} times)" if u.denied > 1 else "")
            for u in self.usages()
            if u.denied
        ]

    def write(self, folder: Path) -> None:
        """Write the usages to access.json, added to those of earlier runs on the same data."""
        file = folder / FILE
        if self._earlier is None:
            self._earlier = [Usage(**each) for each in json.loads(file.read_text())] if file.exists() else []
        added: dict[tuple[str, str, str], Usage] = {}
        for each in [*self._earlier, *self.usages()]:
            total = added.setdefault(self._usage_key(each), replace(each, allowed=0, denied=0))
            total.allowed += each.allowed
            total.denied += each.denied
        file.write_text(json.dumps([asdict(added[key]) for key in sorted(added)], indent=1))

    def _usage_key(self, usage: Usage) -> tuple[str, str, str]:
        return (
            usage.identity,
            usage.permission,
            next(resource_hierarchy(usage.resource, self._environment.project)),
        )

    def _bindings_on(self, resource: str) -> list[_Binding]:
        version, known = self._bindings
        if version != self._policies.version:
            version, known = self._policies.version, {}
            self._bindings = version, known
        if resource not in known:
            policy = self._policies.find(resource) or {"bindings": []}
            known[resource] = [_binding(each) for each in policy["bindings"]]
        return known[resource]

    def _permissions(self, role: str) -> frozenset[str] | None:
        if (found := load_predefined_roles().get(role)) is not None:
            return found
        custom = self._custom.find(role)
        return None if custom is None else frozenset(custom["includedPermissions"])

    def _count(self, identity: str, need: RequiredPermission, *, allowed: bool) -> None:
        new_usage = Usage(identity, need.permission, need.resource)
        with self._lock:
            usage = self._usages.setdefault(self._usage_key(new_usage), new_usage)
            usage.allowed += allowed
            usage.denied += not allowed
            first = usage.denied == 1 and not allowed
        if first:
            LOG.error("%s", DeniedError(identity, need).summary)


def _binding(binding: dict[str, Any]) -> _Binding:
    condition = (binding.get("condition") or {}).get("expression", "")
    return _Binding(binding["role"], frozenset(binding["members"]), condition)


@cache
def load_predefined_roles() -> Mapping[str, frozenset[str]]:
    """Return the permissions of each role in roles.toml, and of the roles' names in access lists."""
    with ROLES.open("rb") as file:
        table = tomllib.load(file)
    roles = {name: frozenset(permissions) for name, permissions in table["roles"].items()}
    return roles | {alias: roles[role] for alias, role in table["aliases"].items()}


def resource_hierarchy(resource: str, project: str) -> Iterator[str]:
    """Yield the names under which grants on a resource and its parents are stored, the resource first."""
    if match := BUCKET.fullmatch(resource):
        yield f"b/{match[1]}"
        yield f"projects/{project}"
        return
    yield resource
    dataset, separator, _ = resource.partition("/tables/")
    if separator:
        yield dataset
    top = "/".join(resource.split("/")[:2])
    if top != resource:
        yield top


def evaluate_condition(expression: str, resource: str) -> bool | None:
    """Whether a grant's condition is true of a resource, or None where the expression is not supported."""
    if not expression:
        return True
    match = CONDITION.fullmatch(expression.strip())
    if match is None:
        return None
    return resource.startswith(match[2]) if match[2] else resource == match[4]
