"""The permissions that a request needs."""

from dataclasses import dataclass

from local.errors import LocalError
from local.iam_proxy.access import RequiredPermission


class UnknownMethodError(LocalError):
    """A call whose permissions are not known here, so that it can be neither allowed nor denied."""


@dataclass(frozen=True)
class RequestPermissions:
    """What a call needs: in any case, where the object that it writes is there, and to hear that one is not there."""

    required: tuple[RequiredPermission, ...] = ()
    to_overwrite: tuple[RequiredPermission, ...] = ()  # beside `needs`, where `target` exists
    overwritten_path: str = ""  # path of the object that would be replaced
    to_reveal_absence: tuple[
        RequiredPermission, ...
    ] = ()  # without these, what is not there is as what is forbidden
