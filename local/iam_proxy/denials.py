"""Required permissions, and the errors of requests that lack one, with Google's messages."""

from dataclasses import dataclass
from typing import Any

from local.errors import LocalError


@dataclass(frozen=True, order=True)
class RequiredPermission:
    """A permission on a resource; the resource is named as in conditions:
    `projects/_/buckets/<bucket>/objects/<object>`.

    https://cloud.google.com/iam/docs/conditions-resource-attributes
    """

    permission: str
    resource: str


class AccessError(LocalError):
    """A request that is not allowed; `summary` is for the user, `details` are for the caller's program."""

    details: tuple[dict[str, Any], ...] = ()

    @property
    def summary(self) -> str:
        """The reason in one sentence."""
        return str(self)


class DeniedError(AccessError):
    """The caller lacks a permission (403); the message is that of the Google service.

    What to do: grant the role in `cdk/` that has the permission, and add the grant to docs/access.md.
    """

    def __init__(self, identity: str, need: RequiredPermission) -> None:
        self.identity, self.need = identity, need
        super().__init__(format_denial(identity, need))

        metadata = {"principal": identity, "permission": need.permission, "resource": need.resource}
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED"}
        # https://cloud.google.com/apis/design/errors#error_info
        self.details = (info | {"domain": "iam.googleapis.com", "metadata": metadata},)

    @property
    def summary(self) -> str:
        """The principal, the permission and the resource; Google's messages leave out one of them."""
        return f"403: {self.identity} lacks {self.need.permission} on {self.need.resource}"


class UnauthenticatedError(LocalError):
    """The request has no token, or the token of an account that is not in the project (401).

    What to do: call with the token of a service account of the project; `make open` adds yours.
    """


class UndecidableError(AccessError):
    """The decision depends on a role or a condition that is not known: neither allowed nor denied (501).

    What to do: add the missing role or condition where the message says: `local/iam_proxy/roles.toml` or the IAM
    proxy.
    """


def format_denial(identity: str, need: RequiredPermission) -> str:
    """Return Google's error message. BigQuery's has no caller and Cloud Storage's no resource; the details have
    both.
    """
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
