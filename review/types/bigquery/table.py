"""BigQuery tables and views: deletion, columns and queries."""

import functools
import re
from collections.abc import Iterator

from review.data.bigquery_schema import ColumnChange, compare_schemas
from review.data.destruction import destruction_finding
from review.findings.finding import Detail, Finding, Kind, Severity
from review.findings.text import span, spans
from review.plan.context import Context
from review.plan.differences import diff_lines
from review.plan.model import Change
from review.plan.values import (
    get_blocks,
    get_text,
    get_value,
    is_known,
)

TYPES = ("google_bigquery_table",)
REPORTS_DELETION = True
BY_HAND = "manually at best, within the dataset's time travel window (7 days by default)"


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what happens to the rows, the columns and the query of one table."""
    name = span(read_table_name(change, context))
    if change.destroys:
        yield from _destruction_findings(change, context, name)
    if change.before is not None and change.after is not None:
        yield from _schema_findings(change, context, name)
        yield from _query_findings(change, context, name)


def read_table_name(change: Change, context: Context) -> str:
    """Return `dataset.table`, as in a query."""
    dataset = get_value(change.present, "dataset_id")
    sentence = (
        str(dataset)
        if is_known(dataset)
        else context.names.of(context.referenced_address(change, "dataset_id"))
    )
    table = get_value(change.present, "table_id")
    return f"{sentence}.{table}" if sentence else str(table or context.names.of(change.address))


def holds_rows(change: Change) -> bool:
    """Return whether a table stores rows; views and external tables do not."""
    return not any(
        get_blocks(change.old, part) for part in ("view", "materialized_view", "external_data_configuration")
    )


def _destruction_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    rows = holds_rows(change)
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
    if not holds_rows(change):
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
            f"in {name}, {column.sentence}: {describe_replacement(replaced=replaced)}",
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
        end = describe_replacement(replaced=replaced)
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


def describe_replacement(*, replaced: bool) -> str:
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
