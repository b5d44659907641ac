"""BigQuery tables: partitioning, clustering and expiration."""

from collections.abc import Iterator

from review.findings.finding import NO, Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import (
    format_duration,
    get_blocks,
    get_flag,
    get_number,
    get_text,
    get_texts,
)
from review.types.bigquery.table import BY_HAND, describe_replacement, read_table_name

TYPES = ("google_bigquery_table",)


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield how the rows of a table are stored from now on, and when they expire."""
    if change.before is not None and change.after is not None:
        name = span(read_table_name(change, context))
        yield from _partitioning_findings(change, context, name)
        yield from _clustering_findings(change, context, name)
        yield from _expiration_findings(change, context, name)


def _partitioning_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    for block, noun in (("time_partitioning", "time"), ("range_partitioning", "range")):
        old, new = (get_text(side, f"{block}.field") for side in (change.old, change.new))
        had, has = bool(get_blocks(change.old, block)), bool(get_blocks(change.new, block))
        if had != has or old != new:
            now = (
                f"is partitioned by {noun} of {span(new or 'ingestion')}"
                if has
                else f"is no longer partitioned by {noun}"
            )
            then = f"before: by {noun} of {span(old or 'ingestion')}" if had else "before: it was not"
            sentence = f"table {name} {now}; {then}; {describe_replacement(replaced=change.destroys)}"
            yield _replacement_finding(change, context, sentence)
        elif has and get_text(change.old, f"{block}.type") != get_text(change.new, f"{block}.type"):
            types = get_text(change.old, f"{block}.type"), get_text(change.new, f"{block}.type")
            sentence = (
                f"the partitions of {name} change from {span(types[0])} to {span(types[1])}: BigQuery "
                "refuses that"
            )
            yield _replacement_finding(change, context, f"{sentence} for an existing table")
    if get_flag(change.new, "require_partition_filter") and not get_flag(
        change.old, "require_partition_filter"
    ):
        sentence = f"queries on {name} without a partition filter start to fail"
        yield Finding(
            Kind.SERVICE, Severity.INTERRUPTED, context.where(change), sentence, address=change.address
        )


def _replacement_finding(change: Change, context: Context, sentence: str) -> Finding:
    severity = Severity.CARE if not change.destroys else Severity.LOSS
    return Finding(
        Kind.DATA, severity, context.where(change), sentence, recovery=NO, size=42, address=change.address
    )


def _clustering_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    old, new = get_texts(change.old, "clustering"), get_texts(change.new, "clustering")
    if old != new:
        columns = ", ".join(span(each) for each in new) or "none"
        before = ", ".join(span(each) for each in old) or "none"
        sentence = f"the clustering of table {name} changes from {before} to {columns}"
        yield Finding(
            Kind.DATA,
            Severity.CHANGE,
            context.where(change),
            f"{sentence} (in place, for new data only)",
            address=change.address,
        )


def _expiration_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    old, new = (get_number(side, "time_partitioning.expiration_ms") or 0 for side in (change.old, change.new))
    if new and (not old or new < old):
        then = format_duration(old / 1000) if old else "never"
        yield Finding(
            Kind.DATA,
            Severity.LOSS,
            context.where(change),
            f"partitions of {name} are deleted after {format_duration(new / 1000)} (before: {then}): "
            "older ones are deleted within hours of the apply",
            recovery=BY_HAND,
            size=48,
            address=change.address,
        )
    elif old != new:
        now = f"deleted after {format_duration(new / 1000)}" if new else "no longer deleted"
        sentence = f"partitions of {name} are {now}; before: after {format_duration(old / 1000)}"
        yield Finding(Kind.DATA, Severity.CHANGE, context.where(change), sentence, address=change.address)
    times = get_number(change.old, "expiration_time"), get_number(change.new, "expiration_time")
    if times[1] and times[1] != times[0]:
        sentence = f"table {name} expires, with all its rows, at {_format_time(times[1])}"
        yield Finding(
            Kind.DATA,
            Severity.LOSS,
            context.where(change),
            sentence,
            recovery=BY_HAND,
            size=47,
            address=change.address,
        )


def _format_time(milliseconds: float) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 (few plans need it)

    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "an unknown time"
