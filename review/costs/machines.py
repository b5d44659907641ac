"""Machines, disks and clusters: what costs by the hour, all the time or for each run."""

from collections.abc import Iterator
from typing import Any

from review.costs.side import Line, Side
from review.text import span
from review.values import blocks, flag, get, number, text

TYPES = (
    "google_dataproc_workflow_template",
    "google_dataproc_cluster",
    "google_container_cluster",
    "google_container_node_pool",
    "google_compute_instance",
    "google_compute_disk",
    "google_compute_region_disk",
)


def lines(side: Side) -> Iterator[Line]:
    """Yield what these cost."""
    yield from _batches(side)
    yield from _clusters(side)
    yield from _machines(side)
    yield from _disks(side)


def _batches(side: Side) -> Iterator[Line]:
    """Clusters that a workflow template makes for each run."""
    for address, values in side.world.of_type("google_dataproc_workflow_template"):
        config = get(values, "placement.managed_cluster.config")
        often = side.calls.get(address, 0.0)
        if config is None or not often:
            continue
        minutes = side.book.assumed("dataproc_minutes_a_run")
        hour, told = _cluster_hour(side, config)
        if hour is None:
            side.unknown.append(address)
            continue
        whole = f"{often * minutes:,.0f} Dataproc minutes: {often:,.0f} runs of {minutes:g} minutes on {told}"
        yield Line(f"batch {side.name(address)}", often * minutes / 60 * hour, whole)


def _clusters(side: Side) -> Iterator[Line]:
    for address, values in side.world.of_type("google_dataproc_cluster"):
        hour, told = _cluster_hour(side, get(values, "cluster_config"))
        if hour is None:
            side.unknown.append(address)
            continue
        yield Line(f"cluster {side.name(address)}", hour * side.hours, f"all the time, {told}")
    for address, _ in side.world.of_type("google_container_cluster"):
        fee = side.book.price("gke_cluster_hour") * side.hours
        yield Line(f"cluster {side.name(address)}", fee, "its fee; nodes come beside it")
    for address, values in side.world.of_type("google_container_node_pool"):
        count = (
            number(values, "node_count")
            or number(values, "initial_node_count")
            or number(values, "autoscaling.min_node_count")
        )
        hour = side.book.machine_hour(text(values, "node_config.machine_type") or "e2-medium")
        if count is None or hour is None:
            side.unknown.append(address)
            continue
        spot = flag(values, "node_config.spot") or flag(values, "node_config.preemptible")
        month = count * hour * side.hours * (side.book.price("spot_share") if spot else 1)
        yield Line(f"nodes {side.name(address)}", month, f"{count:g} in each zone, all the time")


def _cluster_hour(side: Side, config: Any) -> tuple[float | None, str]:
    """Return what a Dataproc cluster costs an hour, disks included, and its machines in words."""
    total, told = 0.0, []
    for part, default in (
        ("master_config", 1.0),
        ("worker_config", 2.0),
        ("secondary_worker_config", 0.0),
    ):
        block = next(iter(blocks(config, part)), {})
        count = number(block, "num_instances")
        count = default if count is None else count
        type_ = text(block, "machine_type") or text(block, "machine_type_uri") or "n1-standard-4"
        machine, hour = side.book.machine(type_), side.book.machine_hour(type_)
        if not count or (part == "worker_config" and not block and _single_node(config)):
            continue
        if machine is None or hour is None:
            return None, ""
        spot = part.startswith("secondary") and text(block, "preemptibility") != "NON_PREEMPTIBLE"
        disk = number(block, "disk_config.boot_disk_size_gb") or 500
        kind = text(block, "disk_config.boot_disk_type") or "pd-standard"
        total += count * machine[0] * side.book.price("dataproc_vcpu_hour")
        total += count * hour * (side.book.price("spot_share") if spot else 1)
        total += count * disk * side.book.price("disk_gib_month", kind) / side.hours
        told.append(f"{count:g} × {span(type_)}")
    return total, " and ".join(told)


def _machines(side: Side) -> Iterator[Line]:
    for address, values in side.world.of_type("google_compute_instance"):
        hour = side.book.machine_hour(text(values, "machine_type"))
        if hour is None:
            side.unknown.append(address)
            continue
        spot = (
            flag(values, "scheduling.preemptible") or text(values, "scheduling.provisioning_model") == "SPOT"
        )
        size = number(values, "boot_disk.initialize_params.size") or 10
        kind = text(values, "boot_disk.initialize_params.type") or "pd-standard"
        month = hour * side.hours * (side.book.price("spot_share") if spot else 1)
        month += size * side.book.price("disk_gib_month", kind)
        told = f"{span(text(values, 'machine_type'))} all the time{', as spot' if spot else ''}, disk of {size:g} GiB"
        yield Line(f"machine {side.name(address)}", month, told)


def _disks(side: Side) -> Iterator[Line]:
    for address, values in side.world.of_type("google_compute_disk", "google_compute_region_disk"):
        size, kind = number(values, "size") or 0, text(values, "type").rpartition("/")[2] or "pd-standard"
        yield Line(
            f"disk {side.name(address)}", size * side.book.price("disk_gib_month", kind), f"{size:g} GiB"
        )


def _single_node(config: Any) -> bool:
    properties = get(config, "software_config.properties") or get(
        config, "software_config.override_properties"
    )
    return isinstance(properties, dict) and properties.get("dataproc:dataproc.allow.zero.workers") == "true"
