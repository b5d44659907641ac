"""Clusters of Google Kubernetes Engine: a fee for each, and its nodes in every zone with their disks."""

from collections.abc import Iterator

from review.cost.machines import Machines, price_accelerators, price_machines_hour
from review.cost.price_book import region_of
from review.cost.usage import CostLine, Usage
from review.findings.text import plural, span
from review.plan.context import EXPRESSION
from review.plan.values import Values, get_blocks, get_flag, get_number, get_text, get_texts, is_known

TYPES = ("google_container_cluster", "google_container_node_pool")
DEFAULT_MACHINE = "e2-medium"


def price_resources(usage: Usage) -> Iterator[CostLine]:
    """Yield the cost of these types."""
    clusters = dict(usage.inventory.of_type("google_container_cluster"))
    separate: set[str] = set()
    for address, values in usage.inventory.of_type("google_container_node_pool"):
        cluster = _find_cluster(usage, address, values, clusters)
        separate.add(get_text(values, "name"))
        place = get_text(values, "location") or get_text(cluster, "location")
        yield from _price_nodes(usage, address, values, place, cluster)
    for address, values in clusters.items():
        autopilot = get_flag(values, "enable_autopilot")
        sentence = (
            "management fee; pods are not counted"
            if autopilot
            else "management fee; nodes are separate lines"
        )
        yield CostLine(
            f"cluster {usage.name(address)}",
            usage.prices_of(values).price("gke_cluster_hour") * usage.hours_a_month,
            sentence,
        )
        if not autopilot:
            yield from _price_own_nodes(usage, address, values, separate)


def _price_own_nodes(usage: Usage, address: str, values: Values, separate: set[str]) -> Iterator[CostLine]:
    """Yield the nodes that a cluster declares itself: its node pools, or the default pool."""
    pools = [each for each in get_blocks(values, "node_pool") if get_text(each, "name") not in separate]
    if not get_blocks(values, "node_pool") and not get_flag(values, "remove_default_node_pool"):
        pools = [values]
    for pool in pools:
        if pool is values or get_number(pool, "node_count") or get_number(pool, "initial_node_count"):
            yield from _price_nodes(usage, address, pool, get_text(values, "location"), values)


def _price_nodes(
    usage: Usage, address: str, values: Values, place: str, cluster: Values
) -> Iterator[CostLine]:
    count = get_number(values, "node_count")
    for path in ("autoscaling.min_node_count", "initial_node_count"):
        count = get_number(values, path) if count is None else count
    zones = len(get_texts(values, "node_locations") or get_texts(cluster, "node_locations"))
    if not zones:
        is_region = bool(place) and region_of(place) == place.rpartition("/")[2]
        zones = int(usage.book.assumption("zones_a_region")) if is_region else 1
    if (least := get_number(values, "autoscaling.total_min_node_count")) is not None:
        count, zones = least, 1
    type_ = get_text(values, "node_config.machine_type") or DEFAULT_MACHINE
    book = usage.prices_of({"location": place})
    spot = get_flag(values, "node_config.spot") or get_flag(values, "node_config.preemptible")
    hour = price_machines_hour(book, Machines(1, type_, spot=spot))
    if count is None or hour is None:
        usage.unknown[address] = "its number of nodes" if hour is not None else span(type_)
        return
    nodes = count * zones
    accelerator = price_accelerators(
        usage, address, {**values, "location": place}, "node_config.guest_accelerator"
    )
    if get_number(values, "node_config.local_ssd_count"):
        usage.unknown[address] = "local SSDs"
    zone = plural(zones, "zone") if place else f"{plural(zones, 'zone')}, as its location is not known"
    sentence = f"{count:g} × {span(type_)} in {zone}{', as spot' if spot else ''}, always on"
    if most := get_number(values, "autoscaling.max_node_count") or get_number(
        values, "autoscaling.total_max_node_count"
    ):
        sentence = f"{sentence}; autoscaling adds up to {most:g}"
    yield CostLine(
        f"nodes {usage.name(address)}", nodes * (hour + accelerator) * usage.hours_a_month, sentence
    )
    size = get_number(values, "node_config.disk_size_gb") or usage.book.assumption("node_disk_gib")
    kind = get_text(values, "node_config.disk_type") or "pd-balanced"
    price = book.find_price("disk_gib_month", kind)
    if price is None:
        usage.unknown[address] = span(kind)
        return
    yield CostLine(
        f"node disks {usage.name(address)}", nodes * size * price, f"{nodes:g} × {size:g} GiB of {kind}"
    )


def _find_cluster(usage: Usage, address: str, values: Values, clusters: dict[str, Values]) -> Values:
    """Return the cluster of a node pool; empty if it is not in the plan."""
    name = get_text(values, "cluster")
    expression = EXPRESSION.fullmatch(name)
    referred = (
        expression[1]
        if expression
        else usage.inventory.context.referenced_address(usage.inventory.changes[address], "cluster")
    )
    for found, cluster in clusters.items():
        if usage.inventory.changes[found].configured_address == referred:
            return cluster
        if is_known(name) and name and name.rpartition("/")[2] == get_text(cluster, "name"):
            return cluster
    return {}
