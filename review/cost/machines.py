"""Price VMs, disks and Dataproc clusters by the hour, running always or for each batch run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from review.cost.price_book import PriceBook
from review.cost.usage import CostLine, Usage
from review.findings.text import span
from review.plan.context import EXPRESSION
from review.plan.values import Values, get_blocks, get_flag, get_number, get_text, get_value, is_known

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
    """A number of VMs of one machine type, each with a boot disk."""

    count: float
    type: str
    disk_gib: float = 0.0
    disk_type: str = "pd-standard"
    spot: bool = False

    @property
    def label(self) -> str:
        """The number and the type."""
        return f"{self.count:g} × {span(self.type)}"


def price_resources(usage: Usage) -> Iterator[CostLine]:
    """Yield the cost of these types."""
    yield from _price_batches(usage)
    yield from _price_clusters(usage)
    yield from _price_machines(usage)
    yield from _price_groups(usage)
    yield from _price_reservations(usage)
    yield from _price_disks(usage)


def price_machines_hour(book: PriceBook, machines: Machines) -> float | None:
    """Return what VMs cost an hour with their disks; None where a type or its price is not known."""
    hour = book.price_machine_hour(machines.type)
    disk = book.find_price("disk_gib_month", machines.disk_type)
    if hour is None or disk is None:
        return None
    share = book.price("spot_share") if machines.spot else 1
    return machines.count * (hour * share + machines.disk_gib * disk / book.assumption("hours_a_month"))


def price_dataproc_hour(book: PriceBook, parts: list[Machines]) -> float | None:
    """Return what a Dataproc cluster costs an hour, its fee and its disks included; None where a type is not known."""
    total = 0.0
    for part in parts:
        shape, hour = book.find_machine(part.type), price_machines_hour(book, part)
        if shape is None or hour is None:
            return None
        total += hour + part.count * shape[0] * book.price("dataproc_vcpu_hour")
    return total


def _price_batches(usage: Usage) -> Iterator[CostLine]:
    """Yield the managed clusters that a workflow template creates for each run."""
    for address, values in usage.inventory.of_type("google_dataproc_workflow_template"):
        config = get_value(values, "placement.managed_cluster.config")
        often = usage.calls.get(address, 0.0)
        if config is None or not often:
            if not get_blocks(values, "placement.cluster_selector"):
                usage.leave_out(address, "runs")
            continue
        minutes = usage.book.assumption("dataproc_minutes_a_run")
        parts = list_cluster_machines(config)
        hour = price_dataproc_hour(usage.prices_of(values), parts)
        if hour is None:
            usage.unknown[address] = _list_types(parts)
            continue
        hour += _price_cluster_accelerators(usage, address, values, config)
        sentence = " and ".join(each.label for each in parts)
        whole = (
            f"{often * minutes:,.0f} Dataproc minutes: {often:,.0f} runs of {minutes:g} minutes on {sentence}"
        )
        yield CostLine(f"batch {usage.name(address)}", often * minutes / 60 * hour, whole)


def _price_clusters(usage: Usage) -> Iterator[CostLine]:
    for address, values in usage.inventory.of_type("google_dataproc_cluster"):
        parts = list_cluster_machines(get_value(values, "cluster_config"))
        hour = price_dataproc_hour(usage.prices_of(values), parts)
        if hour is None:
            usage.unknown[address] = _list_types(parts)
            continue
        hour += _price_cluster_accelerators(usage, address, values, get_value(values, "cluster_config"))
        sentence = " and ".join(each.label for each in parts)
        yield CostLine(f"cluster {usage.name(address)}", hour * usage.hours_a_month, f"always on, {sentence}")


def _price_cluster_accelerators(usage: Usage, address: str, values: Values, config: Any) -> float:
    """Return what the GPUs of a Dataproc cluster cost an hour; local SSDs are added to `usage.unknown`."""
    total = 0.0
    for part in ("master_config", "worker_config", "secondary_worker_config"):
        block = next(iter(get_blocks(config, part)), {})
        place = {
            "region": get_text(values, "region") or get_text(values, "location"),
            "accelerators": block.get("accelerators"),
        }
        total += price_accelerators(
            usage, address, place, "accelerators", get_number(block, "num_instances") or 1
        )
        if get_number(block, "disk_config.num_local_ssds"):
            usage.unknown[address] = "local SSDs"
    return total


def list_cluster_machines(config: Any) -> list[Machines]:
    """Return the VMs of a Dataproc cluster's configuration."""
    found = []
    for part, default in (("master_config", 1.0), ("worker_config", 2.0), ("secondary_worker_config", 0.0)):
        block = next(iter(get_blocks(config, part)), {})
        count = get_number(block, "num_instances")
        count = default if count is None else count
        if not count or (part == "worker_config" and not block and _is_single_node(config)):
            continue
        found.append(
            Machines(
                count,
                get_text(block, "machine_type") or get_text(block, "machine_type_uri") or "n1-standard-4",
                get_number(block, "disk_config.boot_disk_size_gb") or 500,
                get_text(block, "disk_config.boot_disk_type") or "pd-standard",
                spot=part.startswith("secondary") and get_text(block, "preemptibility") != "NON_PREEMPTIBLE",
            )
        )
    return found


def _is_single_node(config: Any) -> bool:
    properties = get_value(config, "software_config.properties") or get_value(
        config, "software_config.override_properties"
    )
    return isinstance(properties, dict) and properties.get("dataproc:dataproc.allow.zero.workers") == "true"


def _list_types(parts: list[Machines]) -> str:
    return ", ".join(f"{span(each.type)} with {span(each.disk_type)}" for each in parts)


def read_machines(values: Values, count: float = 1) -> Machines:
    """Return the VMs of an instance's or a template's values."""
    disk = next(iter(get_blocks(values, "boot_disk.initialize_params")), {})
    template = next((each for each in get_blocks(values, "disk") if get_flag(each, "boot", default=True)), {})
    return Machines(
        count,
        get_text(values, "machine_type"),
        get_number(disk, "size") or get_number(template, "disk_size_gb") or 10,
        get_text(disk, "type") or get_text(template, "disk_type") or "pd-standard",
        spot=get_flag(values, "scheduling.preemptible")
        or get_text(values, "scheduling.provisioning_model") == "SPOT",
    )


def price_accelerators(usage: Usage, address: str, values: Values, path: str, count: float = 1) -> float:
    """Return what GPUs cost an hour; those without a price are added to `usage.unknown`."""
    total = 0.0
    for each in get_blocks(values, path):
        kind = (get_text(each, "type") or get_text(each, "accelerator_type")).rpartition("/")[2]
        hour = usage.prices_of(values).find_price("gpu_hour", kind)
        if hour is None:
            usage.unknown[address] = f"GPU {span(kind)}"
        else:
            total += hour * count * (get_number(each, "count") or get_number(each, "accelerator_count") or 1)
    return total


def _price_machines(usage: Usage) -> Iterator[CostLine]:
    for address, values in usage.inventory.of_type("google_compute_instance"):
        if get_text(values, "desired_status") == "TERMINATED":
            yield CostLine(f"VM {usage.name(address)}", 0.0, "is stopped; its disks are not counted")
            continue
        yield from _price_always_on(usage, address, values, read_machines(values), "VM")


def _price_always_on(
    usage: Usage, address: str, values: Values, machines: Machines, noun: str
) -> Iterator[CostLine]:
    """Yield VMs with their boot disks, addresses and GPUs."""
    book = usage.prices_of(values)
    hour = price_machines_hour(book, machines)
    if hour is None:
        unpriced = machines.type if book.price_machine_hour(machines.type) is None else machines.disk_type
        usage.unknown[address] = span(unpriced or "no machine type")
        return
    gpus = price_accelerators(usage, address, values, "guest_accelerator", machines.count)
    if get_blocks(values, "scratch_disk"):
        usage.unknown[address] = "local SSDs"
    outside = sum(
        1
        for each in get_blocks(values, "network_interface")
        for access in get_blocks(each, "access_config")
        if not get_text(access, "nat_ip")
    )
    month = (hour + gpus + machines.count * outside * book.price("address_hour")) * usage.hours_a_month
    sentence = (
        f"{f'{machines.count:g} × ' if machines.count != 1 else ''}{span(machines.type)} always on"
        f"{', as spot' if machines.spot else ''}, disk of {machines.disk_gib:g} GiB"
        f"{', with an external address' if outside else ''}"
    )
    yield CostLine(f"{noun} {usage.name(address)}", month, sentence)


def _price_groups(usage: Usage) -> Iterator[CostLine]:
    """Yield managed instance groups: their target size, in VMs of their template."""
    for address, values in usage.inventory.of_type(
        "google_compute_instance_group_manager", "google_compute_region_instance_group_manager"
    ):
        size, template = get_number(values, "target_size"), _find_template(usage, address, values)
        if size is None or template is None:
            usage.unknown[address] = "its size, or the template of its VMs"
            continue
        yield from _price_always_on(usage, address, template, read_machines(template, size), "VMs of")


def _find_template(usage: Usage, address: str, values: Values) -> Values | None:
    """Return the values of the template that a group's first version uses; None if it is not in the plan."""
    wanted = next((get_text(each, "instance_template") for each in get_blocks(values, "version")), "")
    expression = EXPRESSION.fullmatch(wanted)
    referred = (
        expression[1]
        if expression
        else usage.inventory.context.referenced_address(usage.inventory.changes[address], "version")
    )
    for found, template in usage.inventory.of_type(*TEMPLATES):
        names = {get_text(template, each) for each in ("id", "self_link", "self_link_unique", "name")} - {""}
        if usage.inventory.changes[found].configured_address == referred or wanted in names:
            return template
        if is_known(wanted) and wanted and wanted.rpartition("/")[2] == get_text(template, "name"):
            return template
    return None


def _price_reservations(usage: Usage) -> Iterator[CostLine]:
    """Yield reserved VMs, which are billed whether they run or not."""
    for address, values in usage.inventory.of_type("google_compute_reservation"):
        block = next(iter(get_blocks(values, "specific_reservation")), {})
        machines = Machines(
            get_number(block, "count") or 1, get_text(block, "instance_properties.machine_type"), disk_gib=0
        )
        hour = price_machines_hour(usage.prices_of(values), machines)
        if hour is None:
            usage.unknown[address] = span(machines.type or "no machine type")
            continue
        properties = {
            **next(iter(get_blocks(block, "instance_properties")), {}),
            "zone": get_text(values, "zone"),
        }
        hour += price_accelerators(usage, address, properties, "guest_accelerators", machines.count)
        if get_blocks(properties, "local_ssds"):
            usage.unknown[address] = "local SSDs"
        sentence = f"{machines.label} always on, used or not"
        yield CostLine(f"reservation {usage.name(address)}", hour * usage.hours_a_month, sentence)


def _price_disks(usage: Usage) -> Iterator[CostLine]:
    for address, values in usage.inventory.of_type("google_compute_disk", "google_compute_region_disk"):
        kind = get_text(values, "type").rpartition("/")[2] or "pd-standard"
        size, price = get_number(values, "size"), usage.prices_of(values).find_price("disk_gib_month", kind)
        if size is None or price is None:
            usage.unknown[address] = "its size" if price is not None else span(kind)
            continue
        twice = 2 if usage.inventory.changes[address].type == "google_compute_region_disk" else 1
        sentence = f"{size:g} GiB of {span(kind)}{', in two zones' if twice == 2 else ''}"
        yield CostLine(f"disk {usage.name(address)}", twice * size * price, sentence)
