"""Group findings that state the same about resources of one kind: "12 tables in dataset d are deleted"."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from review.findings.finding import Detail, Finding
from review.findings.text import CLOSE, OPEN, plural, span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_text, is_known

FEWEST = 4  # findings that form a group
FEW_MEMBERS = 2  # findings about principals that form a group
MOST_NAMES = 12  # names of a group in its row
NAME_PLACEHOLDER = span("…")  # placeholder for each resource's own name
# Arguments that name the parent of a resource → its noun.
PARENTS = {
    "dataset_id": "dataset",
    "dataset": "dataset",
    "bucket": "bucket",
    "instance": "instance",
    "cluster": "cluster",
    "topic": "topic",
    "secret": "secret",
    "managed_zone": "zone",
    "repository": "repository",
    "database": "database",
    "network": "network",
}
OWN_NAMES = (
    "name",
    "id",
    "table_id",
    "dataset_id",
    "account_id",
    "secret_id",
    "topic",
    "role_id",
    "routine_id",
    "key",
)


@dataclass(frozen=True)
class Group:
    """A row of the table: one finding, or several that state the same."""

    first: Finding
    members: tuple[Finding, ...]

    @property
    def where(self) -> str:
        """The resource or the number of resources that the row is about."""
        if len(self.members) == 1 or self.first.subject:
            return self.first.where
        noun, _, _ = self.first.where.partition(OPEN)
        counted = plural(len(self.members), noun.strip())
        return f"{counted} in {self.first.parent}" if self.first.parent else counted

    @property
    def sentence(self) -> str:
        """The statement that all members share, with their names."""
        if len(self.members) == 1:
            return self.first.sentence
        if self.first.subject:
            return _truncate_names([each.subject for each in self.members]) + _strip_subject(self.first)
        names = _truncate_names(["".join(each.where.partition(OPEN)[1:]) for each in self.members])
        noun = self.first.where.partition(OPEN)[0].strip()
        phrase = self.first.shared_sentence.removeprefix(f"{noun} {NAME_PLACEHOLDER} ")
        if phrase.startswith("is "):
            phrase = re.sub(r"\bits\b", "their", f"are {phrase.removeprefix('is ')}")
            phrase = phrase.replace("unless it is", "unless they are")
        else:
            phrase = f"each: {phrase}"
        return f"{phrase}: {names}"

    @property
    def detail(self) -> Detail | None:
        """Every member with its own sentence; None if the row already has all of them."""
        many = len(self.members) > MOST_NAMES
        if len(self.members) == 1 or not (
            many or (self.first.shared_sentence and self.first.sentence != self.first.shared_sentence)
        ):
            return None
        return Detail(
            f"{self.where}, one by one", tuple(f"{each.where}: {each.sentence}" for each in self.members)
        )


def add_group_keys(finding: Finding, context: Context) -> Finding:
    """Return a finding with what it is grouped by: its sentence without its own name, and its parent."""
    change = context.by_address.get(finding.address)
    if finding.subject or change is None or not finding.where.rstrip().endswith(CLOSE):
        return finding
    return replace(
        finding,
        shared_sentence=_replace_own_names(finding.sentence, change, context),
        parent=_describe_parent(change),
    )


def _replace_own_names(sentence: str, change: Change, context: Context) -> str:
    """Return a sentence in which a placeholder replaces each span with the resource's own name."""
    own = {context.names.of(change.address), change.address, get_text(change.values, "name")}
    own |= {get_text(side, key) for side in (change.old, change.new) for key in OWN_NAMES}
    tails = {each for each in own if each}
    table = ".".join(get_text(change.values, key) for key in ("dataset_id", "table_id"))

    def put(match: re.Match[str]) -> str:
        return NAME_PLACEHOLDER if match[1] in tails or match[1] == table else match[0]

    return re.sub(f"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}", put, sentence)


def _describe_parent(change: Change) -> str:
    for argument, noun in PARENTS.items():
        value = change.values.get(argument)
        if isinstance(value, str) and value and is_known(value) and argument not in ("name",):
            if change.type.endswith(f"_{noun}"):
                continue
            return f"{noun} {span(value.rpartition('/')[2])}"
    return ""


def group_findings(findings: Iterable[Finding]) -> list[Group]:
    """Return the rows of findings in their order; a group is at the place of its first finding."""
    alike: defaultdict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for each in findings:
        alike[_group_key(each)].append(each)
    rows = []
    for members in alike.values():
        few = FEW_MEMBERS if members[0].subject else FEWEST
        if len(members) >= few and (members[0].shared_sentence or members[0].subject):
            rows.append(Group(members[0], tuple(members)))
        else:
            rows += [Group(each, (each,)) for each in members]
    order = {id(each): index for index, each in enumerate(findings)}
    return sorted(rows, key=lambda row: order[id(row.first)])


def _group_key(finding: Finding) -> tuple[object, ...]:
    noun = finding.where.partition(OPEN)[0]
    if finding.subject:
        return (finding.severity, finding.kind, finding.where, _strip_subject(finding), finding.recovery)
    if not finding.shared_sentence:
        return (id(finding),)
    return (finding.severity, finding.kind, noun, finding.shared_sentence, finding.parent, finding.recovery)


def _strip_subject(finding: Finding) -> str:
    """Return a sentence without its subject."""
    return finding.sentence.removeprefix(finding.subject)


def _truncate_names(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"
