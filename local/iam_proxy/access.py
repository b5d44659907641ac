"""Who may do what here: the policies that the stack set, resolved as IAM resolves them.

A caller may do something where a role that has the permission is granted to it on the resource or on what holds it:
object → bucket → project, table → dataset → project. https://cloud.google.com/iam/docs/allow-policies,
https://cloud.google.com/iam/docs/conditions-overview

Only workloads are asked. Whoever deploys is an owner (`OWNER`); and this program's own calls (making resources,
reports, the demo's comparison, unpacking archives) go to the emulators themselves and past all of this.
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
from local.errors import LocalError

LOG = logging.getLogger(__name__)
ROLES = Path(__file__).with_name("roles.toml")
DEPLOYER = "deployer"  # the account, in the project, as which Terraform and `operate` call
ALL_USERS = "allUsers"
PUBLIC_MEMBERS = frozenset({ALL_USERS, "allAuthenticatedUsers"})
# The conditions that are understood, on the name of a resource.
CONDITION = re.compile(r"""resource\.name(?:\.startsWith\((["'])(.+)\1\)|\s*==\s*(["'])(.+)\3)""")
BUCKET = re.compile(r"projects/_/buckets/([^/]+)(/objects/.+)?", re.DOTALL)
FILE = "access.json"


@dataclass(frozen=True, order=True)
class RequiredPermission:
    """A permission on a resource, by the name that conditions have: `projects/_/buckets/<bucket>/objects/<object>`.

    https://cloud.google.com/iam/docs/conditions-resource-attributes
    """

    permission: str
    resource: str


class AccessError(LocalError):
    """A call that is not let through; `sentence` is for the user, `details` for the caller's program."""

    details: tuple[dict[str, Any], ...] = ()

    @property
    def summary(self) -> str:
        """What stands in the way."""
        return str(self)


class DeniedError(AccessError):
    """A caller lacks a permission: 403, in the words of the service that would say so in the cloud."""

    def __init__(self, identity: str, need: RequiredPermission) -> None:
        self.identity, self.need = identity, need
        super().__init__(format_denial(identity, need))

        metadata = {"principal": identity, "permission": need.permission, "resource": need.resource}
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED"}
        # https://cloud.google.com/apis/design/errors#error_info
        self.details = (info | {"domain": "iam.googleapis.com", "metadata": metadata},)

    @property
    def summary(self) -> str:
        """Who lacks what, and on what: Google's own words leave out one or the other."""
        return f"403: {self.identity} lacks {self.need.permission} on {self.need.resource}"


class UnauthenticatedError(LocalError):
    """No token, or one that no account of this project has: 401."""


class UndecidableError(AccessError):
    """Whether a caller may do something hangs on what is not known here: neither allowed nor denied, 501."""


@dataclass
class Usage:
    """How often an identity asked for a permission on a resource or something in it; `resource` is the first."""

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
    """Decides, and remembers who needed what; safe to use from any thread."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._policies = environment.collection("iam", "policies")
        self._accounts = environment.collection("iam", "serviceAccounts")
        self._custom = environment.collection("iam", "roles")
        self._bindings: tuple[int, dict[str, list[_Binding]]] = (-1, {})  # of which version of the policies
        self._usages: dict[tuple[str, str, str], Usage] = {}
        self._earlier: list[Usage] | None = None  # what access.json held before this began
        self._lock = threading.Lock()

    @property
    def deployer(self) -> str:
        """The e-mail of whoever deploys."""
        return f"{DEPLOYER}@{self._environment.project}.iam.gserviceaccount.com"

    def is_known(self, email: str) -> bool:
        """Whether an account of that e-mail is in the project."""
        if email == self.deployer:
            return True
        return (
            self._accounts.find(f"projects/{self._environment.project}/serviceAccounts/{email}") is not None
        )

    def check(self, identity: str, needs: Iterable[RequiredPermission]) -> None:
        """Return where the identity may do all of that. Raises DeniedError, UndecidableError."""
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
        """Whether a role of the identity has the permission on the resource; "" is who has none.

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
                        f"its role {binding.role} on {name}, which is not in local/iam_proxy/{ROLES.name}: add it there"
                    )
                elif need.permission in permissions:
                    holds = evaluate_condition(binding.condition, need.resource)
                    if holds:
                        return True
                    if holds is None:
                        unknown.append(
                            f"the condition {binding.condition!r}, which is not understood here: "
                            "teach local/iam_proxy/access.py to evaluate it"
                        )
        if unknown:
            raise UndecidableError(
                f"whether {identity} has {need.permission} on {need.resource} hangs on {unknown[0]}"
            )
        return False

    def usages(self) -> list[Usage]:
        """Who needed what since this began, sorted: one entry for everything in a bucket, table or other resource."""
        with self._lock:
            return [self._usages[key] for key in sorted(self._usages)]

    def denial_messages(self) -> list[str]:
        """A sentence for each entry of `used` that was denied."""
        return [
            f"{DeniedError(u.identity, RequiredPermission(u.permission, u.resource)).summary}"
            + (f" ({u.denied} times)" if u.denied > 1 else "")
            for u in self.usages()
            if u.denied
        ]

    def write(self, folder: Path) -> None:
        """Keep `used` as access.json, added to what earlier runs on the same data left there."""
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
        one = Usage(identity, need.permission, need.resource)
        with self._lock:
            usage = self._usages.setdefault(self._usage_key(one), one)
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
    """The permissions of each role in roles.toml, the names of access lists included."""
    with ROLES.open("rb") as file:
        table = tomllib.load(file)
    roles = {name: frozenset(permissions) for name, permissions in table["roles"].items()}
    return roles | {alias: roles[role] for alias, role in table["aliases"].items()}


def resource_hierarchy(resource: str, project: str) -> Iterator[str]:
    """Yield the names under which the grants are kept that reach a resource, the nearest first."""
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
    """Whether a grant's condition holds for a resource; None where the expression is not understood."""
    if not expression:
        return True
    match = CONDITION.fullmatch(expression.strip())
    if match is None:
        return None
    return resource.startswith(match[2]) if match[2] else resource == match[4]


def format_denial(identity: str, need: RequiredPermission) -> str:
    """Return what Google answers. BigQuery names no caller, Cloud Storage no resource: both are in the details."""
    permission, resource = need.permission, need.resource
    service = permission.partition(".")[0]
    if service == "storage":
        kind = "project" if resource.count("/") == 1 else "object" if "/objects/" in resource else "bucket"
        return (
            f"{identity} does not have {permission} access to the Google Cloud Storage {kind}. "
            f"Permission '{permission}' denied on resource (or it may not exist)."
        )
    if service == "bigquery":
        _, project, *rest = resource.split("/")
        if not rest:
            return f"Access Denied: Project {project}: User does not have {permission} permission in project {project}."
        kind, name = (
            ("table", f"{project}:{rest[1]}.{rest[3]}") if rest[2:] else ("dataset", f"{project}:{rest[1]}")
        )
        return (
            f"Access Denied: {kind.capitalize()} {name}: "
            f"Permission {permission} denied on {kind} {name} (or it may not exist)."
        )
    name = f"//{service}.googleapis.com/{resource}"
    return f"Permission '{permission}' denied on resource '{name}' (or it may not exist)."
