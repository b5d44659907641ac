"""BigQuery tables and views: columns, partitions, clusters, queries."""

import functools
import re
from collections.abc import Iterator

from review.data.bigquery_schema import ColumnChange, compare_schemas
from review.data.destruction import destruction_finding
from review.findings.finding import NO, Detail, Finding, Kind, Severity
from review.findings.text import span, spans
from review.plan.context import Context
from review.plan.differences import diff_lines
from review.plan.model import Change
from review.plan.values import (
    format_duration,
    get_blocks,
    get_flag,
    get_number,
    get_text,
    get_texts,
    get_value,
    is_known,
)

TYPES = ("google_bigquery_table",)
REPORTS_DELETION = True
BY_HAND = "manually at best, within the dataset's time travel window (7 days by default)"


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what happens to the rows, the columns and the query of one table."""
    name = span(_table_name(change, context))
    if change.destroys:
        yield from _destruction_findings(change, context, name)
    if change.before is not None and change.after is not None:
        yield from _schema_findings(change, context, name)
        yield from _partitioning_findings(change, context, name)
        yield from _clustering_findings(change, context, name)
        yield from _query_findings(change, context, name)
        yield from _expiration_findings(change, context, name)


def _table_name(change: Change, context: Context) -> str:
    """Return `dataset.table`, as in a query."""
    dataset = get_value(change.present, "dataset_id")
    sentence = (
        str(dataset)
        if is_known(dataset)
        else context.names.of(context.referenced_address(change, "dataset_id"))
    )
    table = get_value(change.present, "table_id")
    return f"{sentence}.{table}" if sentence else str(table or context.names.of(change.address))


def _holds_rows(change: Change) -> bool:
    """Return whether a table stores rows; views and external tables do not."""
    return not any(
        get_blocks(change.old, part) for part in ("view", "materialized_view", "external_data_configuration")
    )


def _destruction_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    rows = _holds_rows(change)
    what = "table" if rows else "view" if get_blocks(change.old, "view") else "table without rows of its own"
    if get_blocks(change.old, "materialized_view"):
        what = "materialized view"
    verb = "replaced" if change.action == "replace" else "deleted"
    because = _describe_reason(change)
    if rows:
        yield destruction_finding(
            change,
            context,
            f"table {name} is {verb}{because}: all its rows are lost",
            size=70,
            recovery=BY_HAND,
        )
        return
    sentence = f"{what} {name} is {verb}{because}; no rows are lost"
    until = "permanently" if verb == "deleted" else "until it is created again"
    yield Finding(
        Kind.SERVICE,
        Severity.INTERRUPTED,
        context.where(change),
        f"{sentence}, and queries on it fail {until}",
        address=change.address,
    )


def _describe_reason(change: Change) -> str:
    """Return why the table is replaced, if the finding of a column does not say so."""
    paths = sorted({each for each in change.replace_paths if each and each != "schema"})
    return f" because {spans(paths)} {'changes' if len(paths) == 1 else 'change'}" if paths else ""


def _schema_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    before, after = get_value(change.old, "schema"), get_value(change.new, "schema")
    if before == after or (not before and after is not None and not is_known(after)):
        return
    if not _holds_rows(change):
        return
    columns = compare_schemas(before, after)
    if columns is None:
        yield Finding(
            Kind.DATA,
            Severity.POSSIBLE_LOSS,
            context.where(change),
            f"the columns of table {name} change, but the plan does not show them: whether a column is "
            "lost is not known",
            recovery="not known",
            address=change.address,
        )
        return
    replaced = change.action == "replace"
    lost = [each for each in columns if each.loses_values]
    for column in lost:
        yield _column_loss_finding(change, context, name, column, replaced=replaced)
    costly = [each for each in columns if each.replaces and not each.loses_values]
    for column in costly:
        yield Finding(
            Kind.DATA,
            Severity.LOSS if replaced else Severity.POSSIBLE_LOSS,
            context.where(change),
            f"in {name}, {column.sentence}: {_describe_replacement(replaced=replaced)}",
            recovery=BY_HAND,
            size=40,
            address=change.address,
        )
    rest = [each for each in columns if not each.loses_values and not each.replaces]
    if rest:
        shown = "; ".join(each.sentence for each in rest[:3])
        more = f"; and {len(rest) - 3} more columns" if len(rest) > 3 else ""
        ending = "" if replaced else " (in place, rows are kept)"
        yield Finding(
            Kind.DATA,
            Severity.CHANGE,
            context.where(change),
            f"in {name}, {shown}{more}{ending}",
            details=(Detail(f"columns of {name}", tuple(each.sentence for each in columns)),)
            if len(rest) > 3
            else (),
            address=change.address,
        )


def _column_loss_finding(
    change: Change, context: Context, name: str, column: ColumnChange, *, replaced: bool
) -> Finding:
    if replaced or column.replaces:
        end = _describe_replacement(replaced=replaced)
    else:
        end = "its values are lost, other columns keep theirs"
    return Finding(
        Kind.DATA,
        Severity.LOSS,
        context.where(change),
        f"in {name}, {column.sentence}: {end}{_describe_readers(change, context, column.column)}",
        recovery=BY_HAND,
        size=45 if replaced or column.replaces else 50,
        address=change.address,
    )


def _describe_replacement(*, replaced: bool) -> str:
    if replaced:
        return "the table is replaced and all its rows are lost"
    return "the provider replaces the table for this, and all its rows are lost"


def _describe_readers(change: Change, context: Context, column: str) -> str:
    """Return the views of the plan that still read a column, and would fail."""
    table = get_text(change.old, "table_id")
    name = column.rpartition(".")[2]
    if not table:
        return ""
    found = [
        context.where(each)
        for each, query in _list_views(context)
        if _has_word(table, query) and _has_word(name, query)
    ]
    return f"; {', '.join(found[:4])} may still read it, and would fail" if found else ""


@functools.lru_cache(maxsize=4)
def _list_views(context: Context) -> tuple[tuple[Change, str], ...]:
    """Return every view with its query after the apply."""
    found = (
        (each, get_text(each.new, "view.query") or get_text(each.new, "materialized_view.query"))
        for each in context.of_type("google_bigquery_table")
    )
    return tuple((each, query) for each, query in found if query)


def _has_word(word: str, query: str) -> bool:
    return word in query and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", query) is not None


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
            sentence = f"table {name} {now}; {then}; {_describe_replacement(replaced=change.destroys)}"
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


def _query_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    for block, noun in (("view", "view"), ("materialized_view", "materialized view")):
        old, new = get_value(change.old, f"{block}.query"), get_value(change.new, f"{block}.query")
        if old == new or not (isinstance(old, str) and isinstance(new, str)):
            continue
        details = (
            (Detail(f"query of {name}", diff_lines(old, new), "diff"),)
            if is_known(old) and is_known(new)
            else ()
        )
        sentence = f"the query of {noun} {name} changes, and so do its results"
        yield Finding(
            Kind.DATA, Severity.CARE, context.where(change), sentence, details=details, address=change.address
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
