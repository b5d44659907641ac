"""The permissions that a request needs."""

from dataclasses import dataclass

from local.errors import LocalError
from local.iam_proxy.access import Need


class UnansweredError(LocalError):
    """A call whose permissions are not known here, so that it can be neither allowed nor denied."""


@dataclass(frozen=True)
class Asked:
    """What a call needs: in any case, where the object that it writes is there, and to hear that one is not there."""

    needs: tuple[Need, ...] = ()
    if_there: tuple[Need, ...] = ()  # beside `needs`, where `target` exists
    target: str = ""  # path of the object that would be replaced
    to_hear_404: tuple[Need, ...] = ()  # without these, what is not there is as what is forbidden
