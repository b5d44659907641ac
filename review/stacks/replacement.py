"""Which changes replace a resource: what only the provider knows, from `google_types.json`."""

import ipaddress
import re
from collections.abc import Iterator

from review.data.bigquery_schema import compare
from review.google_cloud.resource_types import facts
from review.plan.differences import differences
from review.plan.model import Change
from review.plan.values import blocks, get, leaves


def replacing_arguments(change: Change) -> Iterator[str]:
    """Yield each argument whose change replaces the resource."""
    known = facts(change.type)
    paths = known.replaces if known else ()
    for difference in differences(change):
        for side in (difference.before, difference.after):
            for leaf, _ in leaves(side, difference.path):
                path = re.sub(r"\[[^\]]*\]", "", leaf)
                if any(
                    each in ("*", path) or path.startswith(f"{each}.") for each in paths
                ) and not _is_in_place(change, path):
                    yield path
    if change.type == "google_bigquery_table":
        yield from _replacing_table_arguments(change)


def _is_in_place(change: Change, path: str) -> bool:
    """Tell whether the provider makes this change in place, though it replaces for others of the same argument."""
    old, new = get(change.old, path), get(change.new, path)
    if path == "ip_cidr_range":
        return grows(str(old), str(new))
    return path == "location" and str(old).lower() == str(new).lower()


def _replacing_table_arguments(change: Change) -> Iterator[str]:
    """Yield what replaces a BigQuery table: a column that cannot change in place, partitioning, a view's query."""
    columns = compare(get(change.old, "schema"), get(change.new, "schema")) or ()
    is_view = any(blocks(change.new, part) for part in ("view", "materialized_view"))
    if not is_view and any(each.replaces for each in columns):
        yield "schema"
    for block in ("time_partitioning", "range_partitioning", "view", "materialized_view"):
        if blocks(change.old, block) and not blocks(change.new, block):
            yield block


def grows(old: str, new: str) -> bool:
    """Tell whether a range of addresses contains another, which a subnetwork grows to in place."""
    try:
        ranges = ipaddress.ip_network(old), ipaddress.ip_network(new)
    except ValueError:
        return False
    return ranges[0].version == ranges[1].version and ranges[0].subnet_of(ranges[1])  # type: ignore[arg-type]
