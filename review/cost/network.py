"""Price gateways, addresses and load balancers."""

from collections.abc import Iterator

from review.cost.machines import list_cluster_machines
from review.cost.price_book import region_of
from review.cost.usage import CostLine, Usage
from review.findings.text import plural
from review.plan.values import get_blocks, get_number, get_text, get_value

TYPES = (
    "google_compute_router_nat",
    "google_compute_address",
    "google_compute_global_address",
    "google_compute_forwarding_rule",
    "google_compute_global_forwarding_rule",
)
RULES_IN_ONE = 5  # forwarding rules that are billed together


def price_resources(usage: Usage) -> Iterator[CostLine]:
    """Yield the cost of these types."""
    yield from _price_gateways(usage)
    yield from _price_addresses(usage)
    yield from _price_rules(usage)


def _price_gateways(usage: Usage) -> Iterator[CostLine]:
    """Yield NAT gateways, which are billed by the VMs that use them, up to a maximum."""
    for address, values in usage.inventory.of_type("google_compute_router_nat"):
        book = usage.prices_of(values)
        vms = max(1, _count_vms(usage, region_of(get_text(values, "region"))))
        each, most = (book.price(f"nat_{name}_hour") * usage.hours_a_month for name in ("machine", "most"))
        bounds = (
            f"{usage.book.table['currency']}{each:.2f} per VM, "
            f"{usage.book.table['currency']}{most:.2f} at most"
        )
        yield CostLine(
            f"NAT gateway {usage.name(address)} ({bounds})",
            min(vms * each, most),
            f"{plural(vms, 'VM')} of the plan without an external address (at least one); data not counted",
        )


def _count_vms(usage: Usage, region: str) -> int:
    """Return how many VMs of the plan in a region have no external address."""
    count = 0
    for _, values in usage.inventory.of_type("google_compute_instance"):
        inside = not any(
            get_blocks(each, "access_config") for each in get_blocks(values, "network_interface")
        )
        count += inside and region in ("", region_of(get_text(values, "zone")))
    for _, values in usage.inventory.of_type("google_container_node_pool"):
        if region in ("", region_of(get_text(values, "location"))):
            count += int(get_number(values, "node_count") or get_number(values, "initial_node_count") or 1)
    for _, values in usage.inventory.of_type("google_dataproc_cluster"):
        count += int(sum(each.count for each in list_cluster_machines(get_value(values, "cluster_config"))))
    return count


def _price_addresses(usage: Usage) -> Iterator[CostLine]:
    """Yield external addresses: unused ones cost twice as much, those of forwarding rules nothing."""
    used = unused = 0
    for _, values in usage.inventory.of_type("google_compute_address"):
        if get_text(values, "address_type") != "INTERNAL":
            idle = get_value(values, "users") == [] and get_text(values, "status") != "IN_USE"
            used, unused = used + (not idle), unused + idle
    for address, values in usage.inventory.of_type("google_compute_global_address"):
        if get_text(values, "address_type") == "INTERNAL" or get_value(values, "users"):
            continue
        if get_value(values, "users") == []:
            unused += 1
        else:
            usage.leave_out(address, "unused hours")
    if used or unused:
        month = used * usage.book.price("address_hour") + unused * usage.book.price("address_unused_hour")
        idle = f", {unused} of them unused" if unused else ""
        yield CostLine(
            "addresses", month * usage.hours_a_month, f"{plural(used + unused, 'address', 'addresses')}{idle}"
        )


def _price_rules(usage: Usage) -> Iterator[CostLine]:
    count = sum(1 for _ in usage.inventory.of_type(*TYPES[-2:]))
    if count:
        hour = usage.book.price("forwarding_rules_hour")
        hour += max(0, count - RULES_IN_ONE) * usage.book.price("forwarding_rule_more_hour")
        yield CostLine(
            "forwarding rules",
            hour * usage.hours_a_month,
            f"{plural(count, 'rule')} always on, data not counted",
        )
