"""Data lost by a change in place: column families, DDL statements, TTL; and node pools whose nodes are recreated."""

import re
from collections.abc import Iterator

from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import span, spans
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_blocks, get_number, get_text, get_texts, get_value

TYPES = (
    "google_bigtable_table",
    "google_bigtable_gc_policy",
    "google_spanner_database",
    "google_firestore_field",
    "google_container_node_pool",
)
DROPS = re.compile(r"\bDROP\s+(TABLE|COLUMN|SCHEMA|DATABASE)\b|\bTRUNCATE\b|\bDELETE\s+FROM\b", re.IGNORECASE)
EXPIRES = re.compile(r"\b(?:ADD|REPLACE|ALTER)\s+ROW\s+DELETION\s+POLICY\b", re.IGNORECASE)
# Arguments of a node pool whose change recreates its nodes, one after the other.
ROLLS = ("machine_type", "disk_size_gb", "disk_type", "image_type", "local_ssd_count", "service_account")


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which rows are lost by a change in place, or expire; and whether nodes are recreated."""
    if change.after is None or change.action == "replace":
        return
    if change.type == "google_bigtable_table":
        old, new = (
            {get_text(each, "family") for each in get_blocks(side, "column_family")}
            for side in (change.old, change.new)
        )
        if change.before is not None and (removed := sorted(old - new)):
            many = len(removed) > 1
            words = f"column {'families' if many else 'family'} {spans(removed)} {'are' if many else 'is'} removed"
            yield _loss_finding(change, context, f"{words}: every cell in {'them' if many else 'it'} is lost")
    elif change.type == "google_bigtable_gc_policy":
        yield from _garbage_collection_findings(change, context)
    elif change.type == "google_spanner_database":
        added = [each for each in get_texts(change.new, "ddl") if each not in get_texts(change.old, "ddl")]
        for statement in added if change.before is not None else []:
            if DROPS.search(statement):
                yield _loss_finding(change, context, f"runs {span(statement)}: its data is lost")
            elif EXPIRES.search(statement):
                yield _loss_finding(change, context, f"runs {span(statement)}: older rows are deleted")
    elif change.type == "google_firestore_field":
        if get_blocks(change.new, "ttl_config") and not get_blocks(change.old, "ttl_config"):
            field = span(f"{get_text(change.new, 'collection')}.{get_text(change.new, 'field')}")
            words = f"documents are deleted after the time in {field}; those already past it within a day"
            yield _loss_finding(change, context, words)
    elif change.before is not None:
        path = "node_config"
        rolls = [
            key
            for key in ROLLS
            if get_value(change.old, f"{path}.{key}") != get_value(change.new, f"{path}.{key}")
        ]
        if rolls:
            verb = "changes" if len(rolls) == 1 else "change"
            sentence = f"its nodes are recreated because {spans(rolls)} {verb}: workloads are rescheduled"
            yield Finding(
                Kind.SERVICE,
                Severity.INTERRUPTED,
                context.where(change),
                sentence,
                YES,
                5,
                address=change.address,
            )


def _garbage_collection_findings(change: Change, context: Context) -> Iterator[Finding]:
    old, new = (_describe_retention(change, new=each) for each in (False, True))
    if new != old and change.new:
        family = span(get_text(change.new, "column_family"))
        shorter = (
            f"garbage collection deletes cells of column family {family} by the rule "
            f"{span(new or '(another rule)')}"
        )
        before = f"; before: {span(old)}" if old else ""
        yield _loss_finding(change, context, f"{shorter}{before}")


def _describe_retention(change: Change, *, new: bool) -> str:
    values = change.new if new else change.old
    parts = [
        f"age {get_text(each, 'duration') or get_text(each, 'days')}"
        for each in get_blocks(values, "max_age")
    ]
    parts += [
        f"{get_number(each, 'number'):g} versions"
        for each in get_blocks(values, "max_version")
        if get_number(each, "number")
    ]
    return f" {get_text(values, 'mode') or 'or'} ".join(
        [*parts, *filter(None, [get_text(values, "gc_rules")])]
    )


def _loss_finding(change: Change, context: Context, sentence: str) -> Finding:
    return Finding(Kind.DATA, Severity.LOSS, context.where(change), sentence, NO, 60, address=change.address)
