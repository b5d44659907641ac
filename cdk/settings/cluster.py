"""Whether Dataproc can make the cluster of the nightly batch: image, subnet, machine types and disks."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network

from cdk.settings.checks import check_choice, check_range
from cdk.settings.errors import Problem
from cdk.settings.sections import Batch

# Dataproc image → its Python version, for which the job's packages are compiled.
DATAPROC_PYTHON = {
    "2.3-debian12": "3.11",
    "2.3-ubuntu22": "3.11",
    "3.0-debian12": "3.12",
    "3.0-ubuntu24": "3.12",
}
# Machine series that can boot from standard persistent disks, and their numbers of vCPUs.
_MACHINE_CPUS = {
    "e2": (2, 4, 8, 16, 32),
    "n1": (1, 2, 4, 8, 16, 32, 64, 96),
    "n2": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128),
    "n2d": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224),
    "t2d": (1, 2, 4, 8, 16, 32, 48, 60),
}
_MACHINE = re.compile(r"(\w+)-(standard|highmem|highcpu)-([1-9][0-9]{0,2})", re.ASCII)
_PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def find_cluster_problems(batch: Batch) -> Iterable[Problem]:
    yield from check_choice(batch.image, "batch.image", tuple(DATAPROC_PYTHON))
    yield from check_range("batch.timeout_minutes", batch.timeout_minutes, 10, 1440)
    if not _is_private_range(batch.subnet):
        yield (
            "batch.subnet",
            batch.subnet,
            "a private IPv4 range of at least 8 addresses, such as 10.20.0.0/24",
        )
    for key, machine in (("master", batch.master), ("workers", batch.workers)):
        if not _is_machine_type(machine.machine_type):
            yield (
                f"batch.{key}.machine_type",
                machine.machine_type,
                f"a machine type of the series {', '.join(_MACHINE_CPUS)}, such as n1-standard-4",
            )
        yield from check_range(f"batch.{key}.disk_gigabytes", machine.disk_gigabytes, 30, 64_000)
    if batch.workers.count != 0:
        yield from check_range(
            "batch.workers.count", batch.workers.count, 2, 100, or_else="0 (a single node) or "
        )


def _is_machine_type(name: str) -> bool:
    match = _MACHINE.fullmatch(name)
    return match is not None and int(match[3]) in _MACHINE_CPUS.get(match[1], ())


def _is_private_range(text: str) -> bool:
    try:
        network = IPv4Network(text)
    except ValueError:
        return False
    return network.prefixlen <= 29 and any(network.subnet_of(private) for private in _PRIVATE)
