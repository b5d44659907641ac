"""Price buckets, tables and images: stored data by retention, and reads and writes."""

from collections.abc import Iterator

from review.cost.usage import CALLABLE_TYPES, KIB_A_GIB, CostLine, Usage
from review.findings.text import plural, span
from review.plan.context import REFERENCE
from review.plan.values import Values, get_blocks, get_number, get_text, get_value, is_known
from review.types.storage.bucket import list_deletion_rules

TYPES = ("google_storage_bucket", "google_bigquery_table", "google_artifact_registry_repository")
TABLE, SERVICE_ACCOUNT = "google_bigquery_table", "google_service_account"
WRITING_ROLES = ("roles/bigquery.dataEditor", "roles/bigquery.dataOwner", "roles/bigquery.admin")
IDENTITY_PATHS = (
    "service_config.service_account_email",
    "service_account_email",
    "template.service_account",
    "template.template.service_account",
)


def price_resources(usage: Usage) -> Iterator[CostLine]:
    """Yield the cost of these types."""
    yield from _price_operations(usage)
    yield from _price_buckets(usage)
    yield from _price_tables(usage)
    yield from _price_images(usage)


def _price_operations(usage: Usage) -> Iterator[CostLine]:
    """Yield the reads and writes of every scheduled call of a workload that has a bucket's name."""
    often = usage.storage_calls
    if often:
        writes, reads = (often * usage.book.assumption(f"{each}_a_call") for each in ("writes", "reads"))
        month = writes / 1000 * usage.book.price("storage_thousand_writes")
        month += reads / 1000 * usage.book.price("storage_thousand_reads")
        sentence = (
            f"{writes:,.0f} writes and {reads:,.0f} reads: {usage.book.assumption('writes_a_call'):g} of each "
            "per call"
        )
        yield CostLine("storage operations", month, sentence)


def _price_buckets(usage: Usage) -> Iterator[CostLine]:
    for address, values in usage.inventory.of_type("google_storage_bucket"):
        often = usage.calls_by_name.get(get_text(values, "name"))
        if not often:
            usage.leave_out(address, "stored data")
            continue
        ages = [
            age for whose, age, _ in list_deletion_rules(values) if whose == "objects" and age is not None
        ]
        kept = min(ages, default=usage.book.assumption("days_kept_without_age"))
        soft = (
            (get_number(values, "soft_delete_policy.retention_duration_seconds") or 0) / 86_400 if ages else 0
        )
        days = kept + soft
        gib = often * usage.book.assumption("object_kib_a_call") / KIB_A_GIB * days * 12 / 365
        class_ = get_text(values, "storage_class") or "STANDARD"
        if class_ == "STANDARD" and get_text(values, "location").upper() in ("EU", "US", "ASIA"):
            class_ = "MULTI_REGIONAL"
        price = usage.prices_of(values).find_price("storage_gib_month", class_)
        if price is None:
            usage.unknown[address] = f"storage class {span(class_)}"
            continue
        month = gib * price
        sentence = (
            f"{days:g} days of {usage.book.assumption('object_kib_a_call'):g} KiB per call, {gib:,.2f} GiB"
        )
        yield CostLine(
            f"bucket {usage.name(address)}", month, sentence if ages else f"{sentence}; it keeps growing"
        )


def _price_tables(usage: Usage) -> Iterator[CostLine]:
    gib = 0.0
    count = 0
    written = _count_calls_of_writers(usage)
    for address, values in usage.inventory.of_type(TABLE):
        if any(get_blocks(values, each) for each in ("view", "external_data_configuration")):
            continue
        name = get_text(values, "table_id")
        often = max(usage.calls_by_name.get(name, 0.0), written.get(name, 0.0))
        if not often:
            usage.leave_out(address, "stored data")
            continue
        expires = get_number(values, "time_partitioning.expiration_ms")
        days = expires / 86_400_000 if expires else usage.book.assumption("days_kept_without_age")
        gib += often * usage.book.assumption("table_kib_a_call") / KIB_A_GIB * days * 12 / 365
        count += 1
    if count:
        month = max(0.0, gib - usage.book.free_tier("bigquery_gib")) * usage.book.price("bigquery_gib_month")
        sentence = (
            f"{plural(count, 'table')}, {gib:,.2f} GiB at {usage.book.assumption('table_kib_a_call'):g} KiB "
            "per call; "
        )
        yield CostLine(
            "BigQuery storage",
            month,
            f"{sentence}{usage.book.free_tier('bigquery_gib'):g} GiB are free; queries not counted",
        )


def _count_calls_of_writers(usage: Usage) -> dict[str, float]:
    """Return calls a month by table ID, of the workload with the most calls whose service account may write to it."""
    by_identity: dict[str, float] = {}
    for address, values in usage.inventory.of_type(*CALLABLE_TYPES):
        for identity in _list_referred(usage, address, values, IDENTITY_PATHS, SERVICE_ACCOUNT):
            by_identity[identity] = max(usage.calls.get(address, 0.0), by_identity.get(identity, 0.0))
    found: dict[str, float] = {}
    for address, values in usage.inventory.of_type("google_bigquery_table_iam_member"):
        if get_text(values, "role") not in WRITING_ROLES:
            continue
        members = _list_referred(usage, address, values, ("member",), SERVICE_ACCOUNT)
        often = max(
            (by_identity.get(each.removeprefix("serviceAccount:"), 0.0) for each in members), default=0.0
        )
        for table in _list_referred(usage, address, values, ("table_id",), TABLE):
            name = get_text(usage.inventory.resources.get(table, {}), "table_id", table)
            found[name] = max(often, found.get(name, 0.0))
    return found


def _list_referred(
    usage: Usage, address: str, values: Values, paths: tuple[str, ...], type_: str
) -> set[str]:
    """Return the values at these paths, as far as they are known, and the resources of a type that they refer to."""
    references = usage.inventory.context.plan.references.get(
        usage.inventory.changes[address].configured_address, {}
    )
    known = {get_text(values, path) for path in paths if is_known(get_value(values, path))}
    matches = [REFERENCE.fullmatch(each) for path in paths for each in references.get(path.split(".")[0], ())]
    referred = {match[1] for match in matches if match}
    return (known - {""}) | {each for each in referred if each.split(".")[-2] == type_}


def _price_images(usage: Usage) -> Iterator[CostLine]:
    repositories = sum(1 for _ in usage.inventory.of_type("google_artifact_registry_repository"))
    if repositories:
        each = usage.book.assumption("registry_gib")
        paid = max(0.0, repositories * each - usage.book.free_tier("registry_gib"))
        sentence = f"{plural(repositories, 'repository', 'repositories')} of {each:g} GiB"
        yield CostLine("images", paid * usage.book.price("registry_gib_month"), sentence)
