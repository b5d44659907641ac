"""What a review says: findings, each of one kind and one severity."""

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
    """How much a finding matters to who approves; the order is the table's."""

    NOTE = 0
    CHANGE = 1
    CODE = 2
    CARE = 3
    INTERRUPTED = 4
    WIDENED = 5
    POSSIBLE_LOSS = 6
    LOSS = 7

    @property
    def words(self) -> str:
        """The severity's name in tables and JSON."""
        return _WORDS[self]

    @property
    def acknowledgement(self) -> str:
        """What somebody has to acknowledge before this is applied; empty where nothing is."""
        if self >= Severity.POSSIBLE_LOSS:
            return DATA_LOSS
        return ACCESS_WIDENED if self is Severity.WIDENED else ""


DATA_LOSS = "data loss"
ACCESS_WIDENED = "access widened"
ACKNOWLEDGEMENTS = (DATA_LOSS, ACCESS_WIDENED)
_WORDS = {
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
    """Lines to be folded away below a finding; `language` is that of a code block, empty for a list."""

    title: str
    lines: tuple[str, ...]
    language: str = ""


@dataclass(frozen=True)
class Finding:
    """One sentence about one resource. Texts hold data in spans, see `review.findings.text`.

    `undo` says whether reverting the change brings back what there was; `size` orders findings of one severity.
    """

    kind: Kind
    severity: Severity
    where: str
    sentence: str
    undo: str = YES
    size: int = 0
    details: tuple[Detail, ...] = ()
    address: str = ""
    new: bool = False  # says only that something is made new
    subject: str = ""  # who the sentence is about, where it begins with that
    shared_sentence: str = (
        ""  # the sentence without its own name: the same for others of which the same is said
    )
    within: str = ""  # what the resource is part of, such as a dataset
    unexamined: bool = (
        False  # reported because a type or an argument is not known, not because of what it does
    )
    opaque: str = ""  # what may do anything to data and access that the plan does not show, such as an action


def sort_key(finding: Finding) -> tuple[int, int, str, str, str]:
    """Sort key: by severity, then by size, then by name, so that the same plan gives the same text."""
    return (-finding.severity, -finding.size, finding.address, finding.kind.value, finding.sentence)
