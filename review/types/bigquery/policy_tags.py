"""Policy tags of BigQuery columns: without its tag, a column can be read by everyone who can read the table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from review.data.bigquery_schema import parse_columns
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span, spans
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_text

TYPES = ("google_bigquery_table",)


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which columns lose a policy tag or get another one, in the table's order."""
    if change.before is None or change.after is None:
        return
    old, new = (
        dict(_read_tags(parse_columns(side.get("schema")) or [])) for side in (change.old, change.new)
    )
    removed = [name for name, tags in old.items() if name in new and tags and not new[name]]
    others = [name for name, tags in old.items() if tags and new.get(name) and new[name] != tags]
    table = span(f"{get_text(change.present, 'dataset_id')}.{get_text(change.present, 'table_id')}")
    if removed:
        sentence = (
            f"anyone who can read table {table} can now read {spans(removed, 5)}: "
            f"{'its policy tag is' if len(removed) == 1 else 'their policy tags are'} removed"
        )
        yield _finding(change, context, sentence, size=52)
    if others:
        sentence = f"{spans(others, 5)} of table {table}: another policy tag decides who can read it"
        yield _finding(change, context, sentence, size=32)


def _read_tags(schema: Sequence[Mapping[str, Any]], above: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each column, nested ones by their path, with its policy tags."""
    for column in schema:
        path = f"{above}{column.get('name')}"
        tags = column.get("policyTags") or column.get("policy_tags")
        names = tags.get("names") if isinstance(tags, Mapping) else None
        yield path, tuple(str(each) for each in names) if isinstance(names, list) else ()
        fields = column.get("fields")
        if isinstance(fields, list):
            yield from _read_tags([each for each in fields if isinstance(each, Mapping)], f"{path}.")


def _finding(change: Change, context: Context, sentence: str, size: int) -> Finding:
    return Finding(
        Kind.ACCESS,
        Severity.WIDENED,
        context.where(change),
        sentence,
        recovery="yes, but not what was read in the meantime",
        size=size,
        address=change.address,
    )
