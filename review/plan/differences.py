"""List the arguments that differ between both sides of a change, of any resource type."""

import difflib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from review.findings.finding import Detail
from review.findings.text import HIDDEN, UNKNOWN, escape_invisible, format_value, span, truncate
from review.plan.model import Change
from review.plan.values import flatten_values, is_known, is_nested_deeper

# Computed by the provider from other arguments, which are reported instead.
COMPUTED = frozenset(
    {
        "etag",
        "fingerprint",
        "generation",
        "effective_labels",
        "terraform_labels",
        "update_time",
        "updated",
        "self_link",
        "timeouts",
        "last_modified_time",
        "metageneration",
        "observed_generation",
        "effective_annotations",
        "last_modifier",
        "create_time",
        "time_created",
        "creation_time",
        "id",
        "terminal_condition",
        "latest_ready_revision",
        "latest_created_revision",
        "reconciling",
        "traffic_statuses",
        "md5hash",
        "md5hexhash",
        "crc32c",
        "media_link",
        "output_name",
        "num_bytes",
        "num_rows",
        "num_long_term_bytes",
        "uid",
        "urls",
        "generated_id",
        "detect_md5hash",
        "creation_timestamp",
    }
)
# Computed for most types, configured for some: a difference in a plan is configured, in drift usually computed.
STATUS = frozenset({"conditions", "environment", "state"})
LONG = 120  # characters above which a text is shown as a diff
LONG_LINE = 160  # characters above which a line is split before it is compared
BREAKS = re.compile(
    r"(?<=[,;]) +| +(?=(?:SELECT|FROM|WHERE|GROUP BY|ORDER BY|HAVING|QUALIFY|UNION|WITH|LIMIT|AND|OR|"
    r"(?:LEFT |RIGHT |FULL |INNER |CROSS )?(?:OUTER )?JOIN)\b)",
    re.IGNORECASE,
)
DEEPEST = 60
MOST_LINES = 1500
MOST_SHOWN = 80  # lines of one diff
CONTEXT_LINES = 2


@dataclass(frozen=True)
class Difference:
    """One argument that differs, by its dotted path."""

    path: str
    before: Any
    after: Any


@functools.lru_cache(maxsize=10_000)  # several rules read the differences of each change
def list_differences(change: Change) -> tuple[Difference, ...]:
    """Return the arguments that differ, except those that the provider computes."""
    before, after = change.old, change.new
    found = [
        each
        for key in sorted({*before, *after})
        if not (
            (key in COMPUTED and (after.get(key) == UNKNOWN or key != "effective_labels"))
            or (key in STATUS and after.get(key) == UNKNOWN)
        )
        for each in _compare_values(before.get(key), after.get(key), key)
    ]
    if any(each.path.split(".")[0].split("[")[0] == "labels" for each in found):
        found = [each for each in found if not each.path.startswith("effective_labels")]
    return tuple(found)


def list_differing_paths(change: Change) -> set[str]:
    """Return the path of every value that differs, dotted and without indexes."""
    return {
        re.sub(r"\[[^\]]*\]", "", leaf)
        for each in list_differences(change)
        for side in (each.before, each.after)
        for leaf, _ in flatten_values(side, each.path)
    }


def list_computed_arguments(change: Change) -> list[str]:
    """Return the arguments that are known only after the apply."""
    return sorted(
        key for key, value in change.new.items() if value == UNKNOWN and key not in COMPUTED | STATUS
    )


def _compare_values(before: Any, after: Any, path: str) -> Iterator[Difference]:
    are_maps = isinstance(before, Mapping) and isinstance(after, Mapping) and before.keys() != after.keys()
    if before == after or _is_same_bucket(before, after):
        return
    if _is_unset(before) and _is_unset(after) and not are_maps:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            old, new = before.get(key), after.get(key)
            if (key in before) is not (key in after) and (new if old is None else old) in ("", False, 0):
                yield Difference(
                    f"{path}.{key}", old, new
                )  # an entry of a map: blocks have all their arguments
            else:
                yield from _compare_values(old, new, f"{path}.{key}")
        return
    if isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(before, after, path)
        return
    documents = _parse_json(before), _parse_json(after)
    if all(isinstance(each, dict | list) for each in documents):
        yield from _compare_values(*documents, path)
        return
    yield Difference(path, before, after)


def _is_same_bucket(before: Any, after: Any) -> bool:
    """Return whether both name one bucket: the provider stores it in grants as `b/NAME`."""
    return isinstance(before, str) and isinstance(after, str) and before == f"b/{after}"


def _compare_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Difference]:
    """Compare items by name if all have one, by index if the lengths are equal, else as added and removed items."""
    names = _index_by_name(before), _index_by_name(after)
    if names[0] is not None and names[1] is not None:
        for name in sorted({*names[0], *names[1]}):
            yield from _compare_values(names[0].get(name), names[1].get(name), f"{path}[{name}]")
    elif len(before) == len(after) and any(isinstance(each, dict | list) for each in [*before, *after]):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _compare_values(old, new, path if len(before) == 1 else f"{path}[{index}]")
    else:
        there = {format_value(each) for each in before}, {format_value(each) for each in after}
        removed = [each for each in before if format_value(each) not in there[1]]
        added = [each for each in after if format_value(each) not in there[0]]
        if not removed and not added:
            yield Difference(path, before, after)  # only their order or their number differs
        if len(removed) == len(added) == 1:
            yield from _compare_values(removed[0], added[0], path)
            return
        for old in removed:
            yield Difference(path, old, None)
        for new in added:
            yield Difference(path, None, new)


def _index_by_name(items: list[Any]) -> dict[str, Any] | None:
    found = {}
    for each in items:
        key = each.get("name") or each.get("id") if isinstance(each, Mapping) else None
        if not isinstance(key, str) or not is_known(key) or key in found:
            return None
        found[key] = each
    return found


def _is_unset(value: Any) -> bool:
    """Return whether a value is unset, or a block of unset values."""
    if isinstance(value, Mapping):
        return all(_is_unset(each) for each in value.values())
    if isinstance(value, list):
        return all(_is_unset(each) for each in value)
    return value in (None, "", False, 0)


def _parse_json(value: Any) -> Any:
    """Return a JSON document that a text holds; None for any other text."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return None if is_nested_deeper(found, DEEPEST) else found


def format_difference(difference: Difference) -> str:
    """Return a difference as one line, its values as spans."""
    before, after = difference.before, difference.after
    if before == after:
        return f"{span(difference.path)}: order changed"
    if isinstance(before, str) and isinstance(after, str) and HIDDEN in before and HIDDEN in after:
        return f"{span(difference.path)}: changed (sensitive)"
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > LONG:
        before, after = _from_first_difference(escape_invisible(before), escape_invisible(after))
    return f"{span(difference.path)}: {span(before)} → {span(after)}"


def _from_first_difference(before: str, after: str) -> tuple[str, str]:
    """Return two long texts from shortly before their first difference."""
    at = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
        min(len(before), len(after)),
    )
    at = max(0, at - 30)
    return (f"…{before[at:]}", f"…{after[at:]}") if at else (before, after)


def list_argument_details(change: Change) -> tuple[Detail, ...]:
    """Return every argument that differs, as details: one list, and a diff for each long text."""
    found = (*list_differences(change), *_list_off_values(change))
    if change.action in (
        "create",
        "replace",
    ):  # most arguments of a new resource are known only after the apply
        found = tuple(each for each in found if each.after != UNKNOWN)
    found = tuple(sorted(found, key=lambda each: each.path))
    long = [each for each in found if _is_long(each)]
    lines = tuple(format_difference(each) for each in found if each not in long)
    details = [Detail("arguments", lines)] if lines else []
    return (
        *details,
        *(Detail(span(each.path), diff_lines(each.before, each.after), "diff") for each in long),
    )


def _list_off_values(change: Change) -> Iterator[Difference]:
    """Yield the arguments of a created or deleted resource that are false or 0, as if they differed from unset ones."""
    if change.before is not None and change.after is not None:
        return
    for key, value in change.values.items():
        if key not in COMPUTED and value in (False, 0) and isinstance(value, bool | int | float):
            yield Difference(key, *((None, value) if change.before is None else (value, None)))


def _is_long(difference: Difference) -> bool:
    both = (difference.before, difference.after)
    return all(isinstance(each, str) and is_known(each) for each in both) and any(
        len(each) > LONG or "\n" in each for each in both
    )


def diff_lines(before: str, after: str, most: int = MOST_SHOWN) -> tuple[str, ...]:
    """Return a short diff of two texts, line by line, without headers; it says what it leaves out."""
    old, new = _split_lines(before), _split_lines(after)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    if max(len(old), len(new)) - start - end > MOST_LINES:
        removed, added = len(old) - start - end, len(new) - start - end
        return (f"(too long to compare line by line: {removed:,} lines become {added:,})",)
    lo = max(0, start - CONTEXT_LINES)
    tail = max(0, end - CONTEXT_LINES)
    shown = [
        line if not line.startswith("@@") else _renumber_hunk(line, lo)
        for line in difflib.unified_diff(
            old[lo : len(old) - tail], new[lo : len(new) - tail], n=CONTEXT_LINES, lineterm=""
        )
    ][2:]
    lines = [truncate(escape_invisible(line.expandtabs(4)), 240) for line in shown]
    return tuple(lines if len(lines) <= most else [*lines[:most], f"(and {len(lines) - most} more lines)"])


def _split_lines(text: str) -> list[str]:
    """Return the lines of a text, long ones split at SQL keywords and commas."""
    return [
        part
        for line in text.splitlines()
        for part in (BREAKS.sub("\n", line).split("\n") if len(line) > LONG_LINE else [line])
    ]


def _renumber_hunk(line: str, skipped: int) -> str:
    """Return a hunk's header with the line numbers of the whole text."""
    words = line.split(" ")
    for at in (1, 2):
        number, comma, count = words[at][1:].partition(",")
        words[at] = f"{words[at][0]}{int(number) + skipped}{comma}{count}"
    return " ".join(words)
