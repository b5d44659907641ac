"""Findings: statements about a change, each of one kind and one severity."""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Kind(Enum):
    """What a finding is about."""

    DATA = "data"
    ACCESS = "access"
    CODE = "code"
    COST = "cost"
    SERVICE = "service"


class Severity(IntEnum):
    """How serious a finding is; the table is sorted by it."""

    NOTE = 0
    CHANGE = 1
    CODE = 2
    CARE = 3
    INTERRUPTED = 4
    WIDENED = 5
    POSSIBLE_LOSS = 6
    LOSS = 7

    @property
    def label(self) -> str:
        """The severity's name in tables and JSON."""
        return _LABELS[self]

    @property
    def acknowledgement(self) -> str:
        """The acknowledgement that is required before the plan is applied; empty if none is."""
        if self >= Severity.POSSIBLE_LOSS:
            return DATA_LOSS
        return ACCESS_WIDENED if self is Severity.WIDENED else ""


DATA_LOSS = "data loss"
ACCESS_WIDENED = "access widened"
ACKNOWLEDGEMENTS = (DATA_LOSS, ACCESS_WIDENED)
_LABELS = {
    Severity.NOTE: "note",
    Severity.CHANGE: "change",
    Severity.CODE: "code",
    Severity.CARE: "needs care",
    Severity.INTERRUPTED: "service interrupted",
    Severity.WIDENED: ACCESS_WIDENED,
    Severity.POSSIBLE_LOSS: "data loss possible",
    Severity.LOSS: DATA_LOSS,
}
NO = "no"
YES = "yes"


@dataclass(frozen=True)
class Detail:
    """Lines of a collapsed section about a finding; `language` is that of a code block, empty for a list."""

    title: str
    lines: tuple[str, ...]
    language: str = ""


@dataclass(frozen=True)
class Finding:
    """One sentence about one resource. Values of the plan are spans in its texts, see `review.findings.text`.

    `recovery` says whether reverting the change brings back what there was; `size` orders findings of one severity.
    """

    kind: Kind
    severity: Severity
    where: str
    sentence: str
    recovery: str = YES
    size: int = 0
    details: tuple[Detail, ...] = ()
    address: str = ""
    new: bool = False  # only says that a resource is created
    subject: str = ""  # the principal with which the sentence begins, if it does
    shared_sentence: str = (
        ""  # the sentence with a placeholder for the resource's name, equal in all findings of a group
    )
    parent: str = ""  # the parent of the resource, such as a dataset
    unexamined: bool = (
        False  # reported because a type or an argument is not known, not because of what it does
    )
    opaque: str = ""  # what can change data and access without showing in the plan, such as an action


def sort_key(finding: Finding) -> tuple[int, int, str, str, str]:
    """Return the sort key: severity, then size, then name, so that the same plan gives the same text."""
    return (-finding.severity, -finding.size, finding.address, finding.kind.value, finding.sentence)
