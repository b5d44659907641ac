"""Compare two archives of code file by file, and their requirements by version."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from review.findings.finding import Detail
from review.findings.text import SENSITIVE, plural, span
from review.plan.archives import MOST_FILE, Archive, Entry
from review.plan.differences import diff_lines
from review.secrets.forms import find_secrets_by_form

MOST_FILES = 40  # files that are shown as a diff
LINES_A_FILE = 40
REQUIREMENTS = re.compile(r"(?:^|/)(?:requirements|constraints)[\w.-]*\.(?:txt|in)$")
REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,\s-]*\])?\s*(?:([=~!<>]=?=?)\s*([^\s;\\#,]+))?")
INSTALLED = re.compile(r"(?:^|/)([A-Za-z0-9][\w.]*)-([\w.!+]+)\.dist-info/METADATA$")


@dataclass(frozen=True)
class FileChange:
    """One file that is added, removed or changed: its added and removed lines, and a short diff."""

    name: str
    what: str  # added, removed, changed
    added: int = 0
    removed: int = 0
    lines: tuple[str, ...] = ()
    binary: bool = False

    @property
    def summary(self) -> str:
        """The file in a few words, its name as a span."""
        if self.what != "changed":
            return f"{span(self.name)} {self.what}"
        return f"{span(self.name)} ({'binary' if self.binary else f'+{self.added} −{self.removed}'})"


@dataclass(frozen=True)
class CodeChange:
    """What differs between two archives; `problem` says why they could not be compared."""

    files: tuple[FileChange, ...] = ()
    requirements: tuple[str, ...] = ()
    problem: str = ""
    repeated: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The change in one line."""
        if self.problem:
            return self.problem
        if not self.files:
            return "no file differs"
        order = sorted(self.files, key=lambda each: (bool(REQUIREMENTS.search(each.name)), each.name))
        shown = ", ".join(each.summary for each in order[:5])
        more = f" and {plural(len(order) - 5, 'more file')}" if len(order) > 5 else ""
        needs = f"; requirements: {', '.join(self.requirements[:6])}" if self.requirements else ""
        rest = f" and {len(self.requirements) - 6} more" if len(self.requirements) > 6 else ""
        twice = (
            f"; duplicate entries: {', '.join(span(each) for each in self.repeated[:3])}"
            if self.repeated
            else ""
        )
        return f"{shown}{more}{needs}{rest}{twice}"

    def details(self, where: str) -> tuple[Detail, ...]:
        """Return a diff of each file."""
        details = [
            Detail(f"{where}: {each.summary}", each.lines, "diff")
            for each in self.files[:MOST_FILES]
            if each.lines
        ]
        if self.requirements:
            details.append(Detail(f"{where}: requirements", self.requirements))
        if len(self.files) > 5:
            details.append(
                Detail(f"{where}: every file that differs", tuple(each.summary for each in self.files))
            )
        return tuple(details)


def compare_archives(old: Archive | None, new: Archive | None, mask: Callable[[str], str]) -> CodeChange:
    """Return what differs between the deployed and the new archive; either may be missing or unreadable.

    `mask` hides secrets in whatever is shown of a file.
    """
    for side, archive in (("the old archive", old), ("the new archive", new)):
        if archive is None:
            return CodeChange(problem=f"{side} was not found, so its changes cannot be shown")
        if archive.problem:
            return CodeChange(problem=f"{side} cannot be read: {archive.problem}")
    assert old is not None  # noqa: S101
    assert new is not None  # noqa: S101
    before, after = dict(old.files), dict(new.files)
    if old.single and new.single:
        before = dict(zip(after, before.values(), strict=True))  # one file, named by what is in it
    found = tuple(_compare_files(before, after, mask))
    return CodeChange(found, tuple(_compare_requirements(before, after)), repeated=new.repeated)


def _compare_files(
    before: dict[str, Entry], after: dict[str, Entry], mask: Callable[[str], str]
) -> Iterator[FileChange]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and _is_same(old, new):
            continue
        what = "added" if old is None else "removed" if new is None else "changed"
        texts = _decode(old), _decode(new)
        if (old is not None and texts[0] is None) or (new is not None and texts[1] is None):
            yield FileChange(name, what, binary=True)
            continue
        if _is_generated(name):
            yield FileChange(name, what)
            continue
        shown = what == "changed"
        lines = (
            diff_lines(_hide_secrets(mask(texts[0] or "")), _hide_secrets(mask(texts[1] or "")), LINES_A_FILE)
            if shown
            else ()
        )
        yield FileChange(name, what, *_count_lines(texts[0] or "", texts[1] or ""), lines=lines)


def _hide_secrets(content: str) -> str:
    """Hide secrets by their form: the files of an archive are not in the plan, so nothing marks them."""
    for secret in find_secrets_by_form(content):
        content = content.replace(secret, SENSITIVE)
    return content


def _is_same(old: Entry, new: Entry) -> bool:
    if old.content is not None and new.content is not None:
        return old.content == new.content
    return (old.crc, old.size) == (new.crc, new.size)


def _decode(entry: Entry | None) -> str | None:
    """Return a file as text; None if it is binary, or too long to be compared."""
    if entry is None or entry.content is None or entry.size > MOST_FILE or b"\0" in entry.content:
        return None
    try:
        return entry.content.decode()
    except UnicodeDecodeError:
        return None


def _count_lines(old: str, new: str) -> tuple[int, int]:
    """Return how many lines are added and removed; the order of lines does not count."""
    left: dict[str, int] = {}
    for line in old.splitlines():
        left[line] = left.get(line, 0) + 1
    added = 0
    for line in new.splitlines():
        if left.get(line):
            left[line] -= 1
        else:
            added += 1
    return added, sum(left.values())


def _is_generated(name: str) -> bool:
    """Return whether a file is metadata of an installed package, which is reported by its version."""
    return any(part.endswith((".dist-info", ".egg-info")) for part in PurePosixPath(name).parts[:-1])


def _compare_requirements(before: dict[str, Entry], after: dict[str, Entry]) -> Iterator[str]:
    versions = _read_versions(before), _read_versions(after)
    for name in sorted({*versions[0], *versions[1]}):
        old, new = versions[0].get(name), versions[1].get(name)
        if old == new:
            continue
        if old is None:
            yield f"{span(name)} {_format_version(new)} is added"
        elif new is None:
            yield f"{span(name)} {_format_version(old)} is removed"
        else:
            yield f"{span(name)} {_format_version(old)} → {_format_version(new)}"


def _format_version(version: str | None) -> str:
    return span(version) if version else "(any version)"


def _read_versions(files: dict[str, Entry]) -> dict[str, str]:
    """Return required or installed packages, name → version as written."""
    found: dict[str, str] = {}
    for name in sorted(files):
        if installed := INSTALLED.search(name):
            found[_normalize(installed[1])] = installed[2]
        elif REQUIREMENTS.search(name):
            for line in (_decode(files[name]) or "").splitlines():
                if not line[:1].isspace() and (match := REQUIREMENT.match(line)):
                    sign = match[2] or ""
                    found[_normalize(match[1])] = f"{'' if sign == '==' else sign}{match[3] or ''}"
    return found


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
