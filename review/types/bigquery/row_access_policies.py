"""Row access policies of BigQuery: grantees can read the rows that match the filter."""

from collections.abc import Iterator

from review.findings.text import UNKNOWN
from review.google_cloud.grants import Grant
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, get_text, get_texts, get_value

TYPES = ("google_bigquery_row_access_policy",)


def grants(change: Change, values: Values, context: Context) -> Iterator[Grant]:
    """Yield a grant for each grantee."""
    if not values:
        return
    dataset = get_text(values, "dataset_id") or context.names.of(
        context.referenced_address(change, "dataset_id")
    )
    table = get_text(values, "table_id") or context.names.of(context.referenced_address(change, "table_id"))
    members = get_texts(values, "grantees") or ([UNKNOWN] if get_value(values, "grantees") == UNKNOWN else [])
    for member in members:
        yield Grant(
            "table",
            f"{dataset}.{table}",
            "roles/bigquery.filteredDataViewer",
            member,
            condition=get_text(values, "filter_predicate"),
            address=change.address,
        )
