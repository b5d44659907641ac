"""Report changes of a workload: its environment variables, identity, ingress and size."""

from collections.abc import Iterator, Mapping
from typing import Any

from review.findings.finding import Finding, Kind, Severity
from review.findings.text import HIDDEN, plural, span
from review.google_cloud.grants import Grant, describe_resource
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_blocks, get_text, get_value, is_known

MOST = 8
Variables = dict[str, str]


def read_variables(values: Any, *paths: str) -> Variables:
    """Return environment variables by name, from mappings, from blocks of name and value, and from secrets."""
    found: Variables = {}
    for path in paths:
        value = get_value(values, path)
        if isinstance(value, Mapping):
            found.update({name: _format_value(each) for name, each in value.items()})
            continue
        for block in get_blocks(values, path):
            name = get_text(block, "name") or get_text(block, "key")
            source = get_blocks(block, "value_source.secret_key_ref") or (
                [block] if "secret" in block else []
            )
            if source:
                version = get_text(source[0], "version") or "latest"
                found[name] = f"version {version} of the secret {get_text(source[0], 'secret')}"
            else:
                found[name] = _format_value(get_value(block, "value"))
    return found


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def environment_findings(
    change: Change, context: Context, old: Variables, new: Variables, of: str = ""
) -> Iterator[Finding]:
    """Yield which environment variables are added, removed and changed."""
    parts = []
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        if name not in old:
            parts.append(f"{span(name)} is set to {span(new[name])}")
        elif name not in new:
            parts.append(f"{span(name)} is no longer set (it was {span(old[name])})")
        elif HIDDEN in old[name] and HIDDEN in new[name]:
            parts.append(f"{span(name)} changes (sensitive)")
        else:
            parts.append(f"{span(name)}: {span(old[name])} → {span(new[name])}")
    if parts:
        more = f"; and {plural(len(parts) - MOST, 'more variable')}" if len(parts) > MOST else ""
        sentence = f"environment variables{of}: {'; '.join(parts[:MOST])}{more}"
        yield Finding(
            Kind.CODE, Severity.CODE, context.where(change), sentence, size=3, address=change.address
        )


def identity_findings(change: Change, context: Context, path: str) -> Iterator[Finding]:
    """Yield the new service account of a workload, and what that account can do that the previous one could not."""
    old, new = get_text(change.old, path), get_text(change.new, path)
    if change.before is None or change.after is None or old == new:
        return
    if not is_known(get_value(change.new, path)) and get_value(change.new, path) is not None:
        before = span(old or "the default one")
        sentence = f"runs as {context.format_argument(change, change.new, path)} instead of {before}"
        yield _identity_finding(change, context, sentence, widened=True)
        return
    had = {(each.kind, each.resource, each.role) for each in _list_grants(old, context, new=False)}
    gains = [
        each
        for each in _list_grants(new, context, new=True)
        if (each.kind, each.resource, each.role) not in had
    ]
    before = span(old) if old else "the project's default account"
    if not new:
        sentence = (
            f"runs as the project's default account, which can often edit the whole project; before: {before}"
        )
        yield _identity_finding(change, context, sentence, widened=True)
        return
    may = "; ".join(f"{each.role_facts.phrase} {describe_resource(each)}" for each in gains[:4])
    more = f"; and {plural(len(gains) - 4, 'more permission')}" if len(gains) > 4 else ""
    known_grants = gains or _list_grants(new, context, new=True)
    after = (
        f": it can now {may}{more}"
        if gains
        else ""
        if known_grants
        else ": the permissions of that account are not in this plan"
    )
    sentence = f"runs as {span(new)} instead of {before}{after}"
    yield _identity_finding(change, context, sentence, widened=bool(gains) or not known_grants)


def _list_grants(email: str, context: Context, *, new: bool) -> tuple[Grant, ...]:
    return (
        context.grants_by_member.get((f"serviceAccount:{email.rpartition('/')[2]}", new), ()) if email else ()
    )


def _identity_finding(change: Change, context: Context, sentence: str, *, widened: bool) -> Finding:
    return Finding(
        Kind.ACCESS,
        Severity.WIDENED if widened else Severity.CHANGE,
        context.where(change),
        sentence,
        size=33 if widened else 0,
        address=change.address,
    )


def ingress_findings(
    change: Change, context: Context, path: str, words: Mapping[str, tuple[int, str]]
) -> Iterator[Finding]:
    """Yield from where a workload can be reached. `words`: setting → rank of openness, and a description."""
    old, new = get_text(change.old, path), get_text(change.new, path)
    if change.before is None or change.after is None or old == new:
        return
    before, after = words.get(old, (2, span(old or "unset"))), words.get(new, (2, span(new or "unset")))
    widened = after[0] > before[0]
    yield Finding(
        Kind.ACCESS,
        Severity.WIDENED if widened else Severity.CHANGE,
        context.where(change),
        f"can be reached {after[1]} instead of {before[1]}; its grants decide who can call it",
        size=45 if widened and after[0] >= 2 else 31 if widened else 0,
        address=change.address,
    )


def size_findings(change: Change, context: Context, paths: Mapping[str, str]) -> Iterator[Finding]:
    """Yield how a workload's size or limits change. `paths`: argument → its description."""
    parts = []
    for path, words in paths.items():
        old, new = get_value(change.old, path), get_value(change.new, path)
        if change.before is not None and change.after is not None and old != new and (old or new):
            parts.append(
                f"{words} {span(old if old is not None else 'unset')} → {span(new if new is not None else 'unset')}"
            )
    if parts:
        sentence = "; ".join(parts)
        yield Finding(
            Kind.SERVICE, Severity.CHANGE, context.where(change), sentence, size=2, address=change.address
        )
