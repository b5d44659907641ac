"""The permissions that a request requires."""

from dataclasses import dataclass

from local.errors import LocalError
from local.iam_proxy.denials import RequiredPermission


class UnknownMethodError(LocalError):
    """A request whose required permissions are not known, so that it can be neither allowed nor denied.

    What to do: add the method with its permissions to `local/iam_proxy`.
    """


@dataclass(frozen=True)
class RequestPermissions:
    """The permissions of a request: those always required, those to overwrite an object, and those to learn of its
    absence.
    """

    required: tuple[RequiredPermission, ...] = ()
    to_overwrite: tuple[RequiredPermission, ...] = ()  # in addition, where `overwritten_path` exists
    overwritten_path: str = ""  # the path of the object that would be overwritten
    to_reveal_absence: tuple[RequiredPermission, ...] = ()  # a caller without these gets 403 instead of 404
