"""Buckets, tables and images: what is kept, for how long, and how often it is read and written."""

from collections.abc import Iterator

from review.cost.inventory import KIB_A_GIB, CostLine, Usage
from review.findings.text import plural, span
from review.plan.values import get_blocks, get_number, get_text
from review.types.storage.bucket import list_deletion_rules

TYPES = ("google_storage_bucket", "google_bigquery_table", "google_artifact_registry_repository")


def lines(side: Usage) -> Iterator[CostLine]:
    """Yield what these cost."""
    yield from _price_operations(side)
    yield from _price_buckets(side)
    yield from _price_tables(side)
    yield from _price_images(side)


def _price_operations(side: Usage) -> Iterator[CostLine]:
    """Reads and writes of every scheduled call of what knows a bucket."""
    often = side.storage_calls
    if often:
        writes, reads = (often * side.book.assumed(f"{each}_a_call") for each in ("writes", "reads"))
        month = writes / 1000 * side.book.price("storage_thousand_writes")
        month += reads / 1000 * side.book.price("storage_thousand_reads")
        told = f"{writes:,.0f} writes and {reads:,.0f} reads: {side.book.assumed('writes_a_call'):g} of each per call"
        yield CostLine("storage operations", month, told)


def _price_buckets(side: Usage) -> Iterator[CostLine]:
    for address, values in side.world.of_type("google_storage_bucket"):
        often = side.calls_by_name.get(get_text(values, "name"))
        if not often:
            continue
        ages = [
            age for whose, age, _ in list_deletion_rules(values) if whose == "objects" and age is not None
        ]
        kept = min(ages, default=side.book.assumed("days_kept_without_age"))
        soft = (
            (get_number(values, "soft_delete_policy.retention_duration_seconds") or 0) / 86_400 if ages else 0
        )
        days = kept + soft
        gib = often * side.book.assumed("object_kib_a_call") / KIB_A_GIB * days * 12 / 365
        class_ = get_text(values, "storage_class") or "STANDARD"
        if class_ == "STANDARD" and get_text(values, "location").upper() in ("EU", "US", "ASIA"):
            class_ = "MULTI_REGIONAL"
        price = side.at(values).find("storage_gib_month", class_)
        if price is None:
            side.unknown[address] = f"storage class {span(class_)}"
            continue
        month = gib * price
        told = f"{days:g} days of {side.book.assumed('object_kib_a_call'):g} KiB per call, {gib:,.2f} GiB"
        yield CostLine(f"bucket {side.name(address)}", month, told if ages else f"{told}; it keeps growing")


def _price_tables(side: Usage) -> Iterator[CostLine]:
    gib = 0.0
    count = 0
    for _, values in side.world.of_type("google_bigquery_table"):
        often = side.calls_by_name.get(get_text(values, "table_id"))
        if not often or any(get_blocks(values, each) for each in ("view", "external_data_configuration")):
            continue
        expires = get_number(values, "time_partitioning.expiration_ms")
        days = expires / 86_400_000 if expires else side.book.assumed("days_kept_without_age")
        gib += often * side.book.assumed("table_kib_a_call") / KIB_A_GIB * days * 12 / 365
        count += 1
    if count:
        month = max(0.0, gib - side.book.free("bigquery_gib")) * side.book.price("bigquery_gib_month")
        told = f"{plural(count, 'table')}, {gib:,.2f} GiB at {side.book.assumed('table_kib_a_call'):g} KiB per call; "
        yield CostLine(
            "BigQuery storage",
            month,
            f"{told}{side.book.free('bigquery_gib'):g} GiB are free; queries not counted",
        )


def _price_images(side: Usage) -> Iterator[CostLine]:
    repositories = sum(1 for _ in side.world.of_type("google_artifact_registry_repository"))
    if repositories:
        each = side.book.assumed("registry_gib")
        paid = max(0.0, repositories * each - side.book.free("registry_gib"))
        told = f"{plural(repositories, 'repository', 'repositories')} of {each:g} GiB"
        yield CostLine("images", paid * side.book.price("registry_gib_month"), told)
