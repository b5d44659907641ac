"""Describe the order of an apply: a resource after those that it refers to; deletions in reverse."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from review.findings.text import span
from review.plan.context import REFERENCE, Context
from review.plan.model import Change

WORDS = {"create": "created", "update": "updated", "delete": "deleted"}
MOST_NAMES = 12


def describe_apply_order(context: Context, changed: list[Change]) -> Iterator[str]:
    """Yield one line for each step that waits for the previous one; nothing if all changes can run at once."""
    acting: dict[str, list[Change]] = {}
    for change in changed:
        if change.action in ("create", "update", "replace"):
            acting.setdefault(change.configured_address, []).append(change)
    graph = {address: set(_list_references(context, address)) for address in context.plan.references}
    levels: dict[str, int] = {}
    try:
        for address in TopologicalSorter(graph).static_order():
            before = max((levels.get(each, 0) for each in graph.get(address, ())), default=0)
            levels[address] = before + (1 if address in acting else 0)
    except CycleError:
        return
    steps: dict[int, list[Change]] = {}
    for address, changes in acting.items():
        steps.setdefault(levels.get(address, 1), []).extend(changes)
    removed = [change for change in changed if change.action == "delete"]
    if len(steps) + bool(removed) < 2:
        return
    for number, step in enumerate(sorted(steps), start=1):
        yield f"{number}: {_describe_step(context, steps[step])}"
    if removed:
        names = [
            span(context.names.of(each.address), 80)
            for each in sorted(removed, key=lambda each: each.address)
        ]
        yield f"deletions, each before what it refers to: {_truncate_names(names)}"


def _list_references(context: Context, address: str) -> Iterator[str]:
    for references in context.plan.references[address].values():
        for reference in references:
            found = REFERENCE.fullmatch(reference)
            if found and found[1] != address and found[1] in context.plan.references:
                yield found[1]


def _describe_step(context: Context, changes: list[Change]) -> str:
    names: dict[str, list[str]] = {}
    for change in sorted(changes, key=lambda each: each.address):
        how = "new one created first" if change.created_first else "old one deleted first"
        word = f"replaced, {how}" if change.action == "replace" else WORDS[change.action]
        names.setdefault(word, []).append(span(context.names.of(change.address), 80))
    return "; ".join(f"{word}: {_truncate_names(each)}" for word, each in sorted(names.items()))


def _truncate_names(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (
        f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    )
