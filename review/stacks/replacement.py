"""Decide which changes replace a resource, from the provider's schema in `google_types.json`."""

import ipaddress
import re
from collections.abc import Iterator

from review.data.bigquery_schema import compare_schemas
from review.google_cloud.resource_types import look_up_type
from review.plan.differences import list_differences
from review.plan.model import Change
from review.plan.values import flatten_values, get_blocks, get_value


def replacing_arguments(change: Change) -> Iterator[str]:
    """Yield each argument whose change replaces the resource."""
    known = look_up_type(change.type)
    paths = known.replaces if known else ()
    for difference in list_differences(change):
        for side in (difference.before, difference.after):
            for leaf, _ in flatten_values(side, difference.path):
                path = re.sub(r"\[[^\]]*\]", "", leaf)
                if any(
                    each in ("*", path) or path.startswith(f"{each}.") for each in paths
                ) and not _is_in_place(change, path):
                    yield path
    if change.type == "google_bigquery_table":
        yield from _replacing_table_arguments(change)


def _is_in_place(change: Change, path: str) -> bool:
    """Return whether the provider applies this change in place, though other changes of the argument replace."""
    old, new = get_value(change.old, path), get_value(change.new, path)
    if path == "ip_cidr_range":
        return is_grown_range(str(old), str(new))
    return path == "location" and str(old).lower() == str(new).lower()


def _replacing_table_arguments(change: Change) -> Iterator[str]:
    """Yield what replaces a BigQuery table: a column that cannot change in place, partitioning, a view's query."""
    columns = compare_schemas(get_value(change.old, "schema"), get_value(change.new, "schema")) or ()
    is_view = any(get_blocks(change.new, part) for part in ("view", "materialized_view"))
    if not is_view and any(each.replaces for each in columns):
        yield "schema"
    for block in ("time_partitioning", "range_partitioning", "view", "materialized_view"):
        if get_blocks(change.old, block) and not get_blocks(change.new, block):
            yield block


def is_grown_range(old: str, new: str) -> bool:
    """Return whether a range of addresses contains another, which a subnetwork grows to in place."""
    try:
        ranges = ipaddress.ip_network(old), ipaddress.ip_network(new)
    except ValueError:
        return False
    return ranges[0].version == ranges[1].version and ranges[0].subnet_of(ranges[1])  # type: ignore[arg-type]
