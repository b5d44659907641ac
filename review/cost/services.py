"""Price databases, caches, secrets and keys."""

from collections.abc import Iterator

from review.cost.price_book import PriceBook
from review.cost.usage import CostLine, Usage
from review.findings.text import plural, span
from review.plan.values import Values, get_blocks, get_flag, get_number, get_text

TYPES = (
    "google_sql_database_instance",
    "google_redis_instance",
    "google_secret_manager_secret_version",
    "google_kms_crypto_key",
)
# Counted only with a user's price: type → the name of that price.
PRICED = {
    "google_alloydb_instance": "alloydb_vcpu_hour",
    "google_bigquery_reservation": "bigquery_slot_hour",
    "google_bigtable_instance": "bigtable_node_hour",
    "google_composer_environment": "composer_environment_hour",
    "google_filestore_instance": "filestore_gib_month",
    "google_monitoring_alert_policy": "alert_condition_month",
    "google_spanner_instance": "spanner_node_hour",
}
# Unit of an amount → what the amount leaves out, where that is not storage, backups and network.
BESIDE = {"conditions": "time series", "environment": "its vCPUs, memory and storage"}
# GiB of a cache → its size class: larger caches cost less per GiB.
REDIS = ((4, "M1"), (10, "M2"), (35, "M3"), (100, "M4"), (1e9, "M5"))


def price_resources(usage: Usage) -> Iterator[CostLine]:
    """Yield the cost of these types."""
    yield from _price_databases(usage)
    yield from _price_caches(usage)
    yield from _price_by_table(usage)
    versions = sum(1 for _ in usage.inventory.of_type("google_secret_manager_secret_version"))
    if versions:
        paid = max(0.0, versions - usage.book.free_tier("secret_versions"))
        yield CostLine(
            "secrets", paid * usage.book.price("secret_version_month"), plural(versions, "version")
        )
    keys = sum(1 for _ in usage.inventory.of_type("google_kms_crypto_key"))
    if keys:
        yield CostLine("keys", keys * usage.book.price("kms_key_month"), plural(keys, "key"))


def _price_databases(usage: Usage) -> Iterator[CostLine]:
    for address, values in usage.inventory.of_type("google_sql_database_instance"):
        tier, book = get_text(values, "settings.tier"), usage.prices_of(values)
        hour = _price_sql_hour(book, values, tier)
        kind = get_text(values, "settings.disk_type") or "PD_SSD"
        price = book.find_price("sql_disk_gib_month", kind)
        if hour is None or price is None:
            edition = get_text(values, "settings.edition")
            usage.unknown[address] = (
                f"{span(tier) if tier else 'its tier'}{f' of edition {span(edition)}' if edition else ''}"
            )
            continue
        if get_text(values, "database_version").startswith("SQLSERVER"):
            usage.unknown[address] = "the SQL Server license"
        if get_text(values, "settings.activation_policy") == "NEVER":
            hour = 0.0
        twice = 2 if get_text(values, "settings.availability_type") == "REGIONAL" else 1
        size = get_number(values, "settings.disk_size") or 10
        sentence = (
            f"{span(tier)} {'always on' if hour else 'stopped'}, disk of {size:g} GiB"
            f"{', in two zones' if twice == 2 else ''}; backups not counted"
        )
        yield CostLine(
            f"database {usage.name(address)}", twice * (hour * usage.hours_a_month + size * price), sentence
        )


def _price_sql_hour(book: PriceBook, values: Values, tier: str) -> float | None:
    """Return what an instance of Cloud SQL costs an hour; None for editions and tiers that are not in the table."""
    if get_text(values, "settings.edition") not in ("", "ENTERPRISE"):
        return None
    if (shared := book.find_price("sql_shared_hour", tier)) is not None:
        return shared
    parts = tier.split("-")
    if tier.startswith("db-custom-") and len(parts) == 4 and parts[2].isdigit() and parts[3].isdigit():
        gib = int(parts[3]) / 1024
        return int(parts[2]) * book.price("sql_vcpu_hour") + gib * book.price("sql_gib_hour")
    return None


def _price_caches(usage: Usage) -> Iterator[CostLine]:
    for address, values in usage.inventory.of_type("google_redis_instance"):
        size, tier = get_number(values, "memory_size_gb"), get_text(values, "tier") or "BASIC"
        class_ = next((name for most, name in REDIS if (size or 0) <= most), "M5")
        price = usage.prices_of(values).find_price("redis_gib_hour", f"{tier} {class_}")
        if size is None or price is None or get_text(values, "read_replicas_mode") == "READ_REPLICAS_ENABLED":
            usage.unknown[address] = "its size" if size is None else f"tier {span(tier)} with read replicas"
            continue
        sentence = f"{size:g} GiB, {span(tier)}, size class {class_}"
        yield CostLine(f"cache {usage.name(address)}", size * usage.hours_a_month * price, sentence)


def _price_by_table(usage: Usage) -> Iterator[CostLine]:
    """Yield services with a user's price; those without one are added to `usage.not_counted`."""
    for address, values in usage.inventory.of_type(*PRICED):
        type_ = usage.inventory.changes[address].type
        amount, unit = _price_amount(type_, values)
        kind = (
            get_text(values, "edition")
            or get_text(values, "tier")
            or get_text(values, "config.environment_size")
            or ("STANDARD" if "slot" in PRICED[type_] else "")
        )
        book = usage.prices_of(values)
        price = book.find_price(PRICED[type_], kind)
        if price is None:
            usage.leave_out(address)
            continue
        if amount is None:
            usage.unknown[address] = f"its number of {unit}"
            continue
        month = amount * price * (1 if PRICED[type_].endswith("_month") else usage.hours_a_month)
        beside = BESIDE.get(unit, "storage, backups and network")
        yield CostLine(
            f"{type_.removeprefix('google_').replace('_', ' ')} {usage.name(address)}",
            month,
            f"{amount:g} {unit}; {beside} not counted",
        )


def _price_amount(type_: str, values: Values) -> tuple[float | None, str]:
    """Return the billed amount and its unit."""
    if type_ == "google_spanner_instance":
        units = get_number(values, "processing_units")
        least = get_number(values, "autoscaling_config.autoscaling_limits.min_nodes")
        return get_number(values, "num_nodes") or (units / 1000 if units else None) or least, "nodes"
    if type_ == "google_bigtable_instance":
        return _add_up(values, "cluster", "num_nodes", "autoscaling_config.min_nodes"), "nodes"
    if type_ == "google_filestore_instance":
        return _add_up(values, "file_shares", "capacity_gb"), "GiB"
    if type_ == "google_alloydb_instance":
        return _count_vcpus(values), "vCPUs"
    return {
        "google_bigquery_reservation": (get_number(values, "slot_capacity"), "slots"),
        "google_composer_environment": (1.0, "environment"),
        "google_monitoring_alert_policy": (float(len(get_blocks(values, "conditions"))), "conditions"),
    }[type_]


def _add_up(values: Values, block: str, *paths: str) -> float | None:
    """Return the sum of the first known number of each block; None if there is no block, or one without a number."""
    numbers = [
        next(filter(None, (get_number(each, path) for path in paths)), None)
        for each in get_blocks(values, block)
    ]
    return sum(each for each in numbers if each) if numbers and all(numbers) else None


def _count_vcpus(values: Values) -> float | None:
    """Return the vCPUs of an AlloyDB instance, of all its nodes."""
    vcpus = get_number(values, "machine_config.cpu_count")
    pool = get_number(values, "read_pool_config.node_count") or 1
    has_standby = get_text(values, "availability_type") == "REGIONAL" and not get_flag(
        values, "read_pool_config"
    )
    return vcpus * pool * (2 if has_standby else 1) if vcpus else None
