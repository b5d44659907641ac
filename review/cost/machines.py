"""Machines, disks and Dataproc clusters: what costs by the hour, all the time or for each run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from review.cost.inventory import Line, Side
from review.cost.price_book import Book
from review.findings.text import span
from review.plan.context import EXPRESSION
from review.plan.values import Values, blocks, flag, get, known, number, text

TYPES = (
    "google_dataproc_workflow_template",
    "google_dataproc_cluster",
    "google_compute_instance",
    "google_compute_instance_group_manager",
    "google_compute_region_instance_group_manager",
    "google_compute_reservation",
    "google_compute_disk",
    "google_compute_region_disk",
)
TEMPLATES = ("google_compute_instance_template", "google_compute_region_instance_template")


@dataclass(frozen=True)
class Machines:
    """So many machines of one type, each with a boot disk."""

    count: float
    type: str
    disk_gib: float = 0.0
    disk_type: str = "pd-standard"
    spot: bool = False

    @property
    def told(self) -> str:
        """How many of which type."""
        return f"{self.count:g} × {span(self.type)}"


def lines(side: Side) -> Iterator[Line]:
    """Yield what these cost."""
    yield from _batches(side)
    yield from _clusters(side)
    yield from _machines(side)
    yield from _groups(side)
    yield from _reservations(side)
    yield from _disks(side)


def machines_hour(book: Book, machines: Machines) -> float | None:
    """Return what machines cost an hour with their disks; None where a type or its price is not known."""
    hour = book.machine_hour(machines.type)
    disk = book.find("disk_gib_month", machines.disk_type)
    if hour is None or disk is None:
        return None
    share = book.price("spot_share") if machines.spot else 1
    return machines.count * (hour * share + machines.disk_gib * disk / book.assumed("hours_a_month"))


def dataproc_hour(book: Book, parts: list[Machines]) -> float | None:
    """Return what a Dataproc cluster costs an hour, its fee and its disks included; None where a type is not known."""
    total = 0.0
    for part in parts:
        shape, hour = book.machine(part.type), machines_hour(book, part)
        if shape is None or hour is None:
            return None
        total += hour + part.count * shape[0] * book.price("dataproc_vcpu_hour")
    return total


def _batches(side: Side) -> Iterator[Line]:
    """Clusters that a workflow template makes for each run."""
    for address, values in side.world.of_type("google_dataproc_workflow_template"):
        config = get(values, "placement.managed_cluster.config")
        often = side.calls.get(address, 0.0)
        if config is None or not often:
            continue
        minutes = side.book.assumed("dataproc_minutes_a_run")
        parts = cluster_parts(config)
        hour = dataproc_hour(side.at(values), parts)
        if hour is None:
            side.unknown[address] = _which(parts)
            continue
        told = " and ".join(each.told for each in parts)
        whole = f"{often * minutes:,.0f} Dataproc minutes: {often:,.0f} runs of {minutes:g} minutes on {told}"
        yield Line(f"batch {side.name(address)}", often * minutes / 60 * hour, whole)


def _clusters(side: Side) -> Iterator[Line]:
    for address, values in side.world.of_type("google_dataproc_cluster"):
        parts = cluster_parts(get(values, "cluster_config"))
        hour = dataproc_hour(side.at(values), parts)
        if hour is None:
            side.unknown[address] = _which(parts)
            continue
        told = " and ".join(each.told for each in parts)
        yield Line(f"cluster {side.name(address)}", hour * side.hours, f"always on, {told}")


def cluster_parts(config: Any) -> list[Machines]:
    """Return the machines of a Dataproc cluster's configuration."""
    found = []
    for part, default in (("master_config", 1.0), ("worker_config", 2.0), ("secondary_worker_config", 0.0)):
        block = next(iter(blocks(config, part)), {})
        count = number(block, "num_instances")
        count = default if count is None else count
        if not count or (part == "worker_config" and not block and _single_node(config)):
            continue
        found.append(
            Machines(
                count,
                text(block, "machine_type") or text(block, "machine_type_uri") or "n1-standard-4",
                number(block, "disk_config.boot_disk_size_gb") or 500,
                text(block, "disk_config.boot_disk_type") or "pd-standard",
                spot=part.startswith("secondary") and text(block, "preemptibility") != "NON_PREEMPTIBLE",
            )
        )
    return found


def _single_node(config: Any) -> bool:
    properties = get(config, "software_config.properties") or get(
        config, "software_config.override_properties"
    )
    return isinstance(properties, dict) and properties.get("dataproc:dataproc.allow.zero.workers") == "true"


def _which(parts: list[Machines]) -> str:
    return ", ".join(f"{span(each.type)} with {span(each.disk_type)}" for each in parts)


def machine_of(values: Values, count: float = 1) -> Machines:
    """Return the machines of an instance's or a template's values."""
    disk = next(iter(blocks(values, "boot_disk.initialize_params")), {})
    template = next((each for each in blocks(values, "disk") if flag(each, "boot", default=True)), {})
    return Machines(
        count,
        text(values, "machine_type"),
        number(disk, "size") or number(template, "disk_size_gb") or 10,
        text(disk, "type") or text(template, "disk_type") or "pd-standard",
        spot=flag(values, "scheduling.preemptible")
        or text(values, "scheduling.provisioning_model") == "SPOT",
    )


def accelerators(side: Side, address: str, values: Values, path: str, count: float = 1) -> float:
    """Return what GPUs cost an hour; those without a price are put down as not known."""
    total = 0.0
    for each in blocks(values, path):
        kind = text(each, "type").rpartition("/")[2]
        hour = side.at(values).find("gpu_hour", kind)
        if hour is None:
            side.unknown[address] = f"GPU {span(kind)}"
        else:
            total += hour * count * (number(each, "count") or 1)
    return total


def _machines(side: Side) -> Iterator[Line]:
    for address, values in side.world.of_type("google_compute_instance"):
        if text(values, "desired_status") == "TERMINATED":
            yield Line(f"machine {side.name(address)}", 0.0, "is stopped; its disks are not counted")
            continue
        yield from _all_the_time(side, address, values, machine_of(values), "machine")


def _all_the_time(side: Side, address: str, values: Values, machines: Machines, noun: str) -> Iterator[Line]:
    """Yield machines with their boot disks, addresses and GPUs."""
    book = side.at(values)
    hour = machines_hour(book, machines)
    if hour is None:
        unpriced = machines.type if book.machine_hour(machines.type) is None else machines.disk_type
        side.unknown[address] = span(unpriced or "no machine type")
        return
    gpus = accelerators(side, address, values, "guest_accelerator", machines.count)
    if blocks(values, "scratch_disk"):
        side.unknown[address] = "local SSDs"
    outside = sum(
        1
        for each in blocks(values, "network_interface")
        for access in blocks(each, "access_config")
        if not text(access, "nat_ip")
    )
    month = (hour + gpus + machines.count * outside * book.price("address_hour")) * side.hours
    told = (
        f"{f'{machines.count:g} × ' if machines.count != 1 else ''}{span(machines.type)} always on"
        f"{', as spot' if machines.spot else ''}, disk of {machines.disk_gib:g} GiB"
        f"{', with an external address' if outside else ''}"
    )
    yield Line(f"{noun} {side.name(address)}", month, told)


def _groups(side: Side) -> Iterator[Line]:
    """Managed instance groups: as many machines of their template as they aim at."""
    for address, values in side.world.of_type(
        "google_compute_instance_group_manager", "google_compute_region_instance_group_manager"
    ):
        size, template = number(values, "target_size"), _template(side, address, values)
        if size is None or template is None:
            side.unknown[address] = "its size, or the template of its machines"
            continue
        yield from _all_the_time(side, address, template, machine_of(template, size), "machines of")


def _template(side: Side, address: str, values: Values) -> Values | None:
    """Return the values of the template that a group's first version uses; None where the plan does not have it."""
    wanted = next((text(each, "instance_template") for each in blocks(values, "version")), "")
    expression = EXPRESSION.fullmatch(wanted)
    referred = (
        expression[1] if expression else side.world.context.refers(side.world.changes[address], "version")
    )
    for found, template in side.world.of_type(*TEMPLATES):
        names = {text(template, each) for each in ("id", "self_link", "self_link_unique", "name")} - {""}
        if side.world.changes[found].configured == referred or wanted in names:
            return template
        if known(wanted) and wanted and wanted.rpartition("/")[2] == text(template, "name"):
            return template
    return None


def _reservations(side: Side) -> Iterator[Line]:
    """Machines that are reserved are paid for whether they run or not."""
    for address, values in side.world.of_type("google_compute_reservation"):
        block = next(iter(blocks(values, "specific_reservation")), {})
        machines = Machines(
            number(block, "count") or 1, text(block, "instance_properties.machine_type"), disk_gib=0
        )
        hour = machines_hour(side.at(values), machines)
        if hour is None:
            side.unknown[address] = span(machines.type or "no machine type")
            continue
        told = f"{machines.told} always on, used or not"
        yield Line(f"reservation {side.name(address)}", hour * side.hours, told)


def _disks(side: Side) -> Iterator[Line]:
    for address, values in side.world.of_type("google_compute_disk", "google_compute_region_disk"):
        kind = text(values, "type").rpartition("/")[2] or "pd-standard"
        size, price = number(values, "size"), side.at(values).find("disk_gib_month", kind)
        if size is None or price is None:
            side.unknown[address] = "its size" if price is not None else span(kind)
            continue
        twice = 2 if side.world.changes[address].type == "google_compute_region_disk" else 1
        told = f"{size:g} GiB of {span(kind)}{', in two zones' if twice == 2 else ''}"
        yield Line(f"disk {side.name(address)}", twice * size * price, told)
