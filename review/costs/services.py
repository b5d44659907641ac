"""Databases, caches, gateways, addresses, secrets and keys."""

from collections.abc import Iterator

from review.costs.side import Line, Side
from review.text import plural, span
from review.values import number, text

TYPES = (
    "google_sql_database_instance",
    "google_redis_instance",
    "google_compute_router_nat",
    "google_compute_address",
    "google_compute_global_address",
    "google_secret_manager_secret_version",
    "google_kms_crypto_key",
)


def lines(side: Side) -> Iterator[Line]:
    """Yield what these cost."""
    yield from _databases(side)
    yield from _others(side)


def _databases(side: Side) -> Iterator[Line]:
    for address, values in side.world.of_type("google_sql_database_instance"):
        tier = text(values, "settings.tier")
        parts = tier.split("-")
        shared = side.book.table["prices"]["sql_shared_hour"]
        if tier in shared:
            hour = float(shared[tier])
        elif tier.startswith("db-custom-") and len(parts) == 4 and parts[2].isdigit() and parts[3].isdigit():
            hour = int(parts[2]) * side.book.price("sql_vcpu_hour") + int(parts[3]) / 1024 * side.book.price(
                "sql_gib_hour"
            )
        else:
            side.unknown.append(address)
            continue
        twice = 2 if text(values, "settings.availability_type") == "REGIONAL" else 1
        size = number(values, "settings.disk_size") or 10
        disk = size * side.book.price("sql_disk_gib_month", text(values, "settings.disk_type") or "PD_SSD")
        told = f"{span(tier)} all the time, disk of {size:g} GiB{', in two zones' if twice == 2 else ''}"
        yield Line(f"database {side.name(address)}", twice * (hour * side.hours + disk), told)
    for address, values in side.world.of_type("google_redis_instance"):
        size, tier = number(values, "memory_size_gb") or 0, text(values, "tier") or "BASIC"
        month = size * side.hours * side.book.price("redis_gib_hour", tier)
        yield Line(f"cache {side.name(address)}", month, f"{size:g} GiB, {span(tier)}")


def _others(side: Side) -> Iterator[Line]:
    nats = sum(1 for _ in side.world.of_type("google_compute_router_nat"))
    if nats:
        month = nats * side.book.price("nat_gateway_hour") * side.hours
        yield Line("NAT gateways", month, f"{plural(nats, 'gateway')} all the time, data not counted")
    addresses = [
        values for _, values in side.world.of_type("google_compute_address", "google_compute_global_address")
    ]
    outside = sum(1 for values in addresses if text(values, "address_type") != "INTERNAL")
    if outside:
        yield Line(
            "addresses",
            outside * side.book.price("address_hour") * side.hours,
            plural(outside, "address", "addresses"),
        )
    versions = sum(1 for _ in side.world.of_type("google_secret_manager_secret_version"))
    if versions:
        paid = max(0.0, versions - side.book.free("secret_versions"))
        yield Line("secrets", paid * side.book.price("secret_version_month"), plural(versions, "version"))
    keys = sum(1 for _ in side.world.of_type("google_kms_crypto_key"))
    if keys:
        yield Line("keys", keys * side.book.price("kms_key_month"), plural(keys, "key"))
