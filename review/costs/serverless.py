"""Schedules, functions, services and messages: what costs only while it is used."""

from collections.abc import Iterator

from review.costs.side import KIB_A_GIB, RUNS, Line, Side
from review.text import plural
from review.values import Values, blocks, number, text

TYPES = (*RUNS, "google_cloud_scheduler_job", "google_pubsub_subscription")


def lines(side: Side) -> Iterator[Line]:
    """Yield what these cost."""
    yield from _schedules(side)
    yield from _runs(side)
    yield from _messages(side)


def _schedules(side: Side) -> Iterator[Line]:
    count = sum(1 for _ in side.world.of_type("google_cloud_scheduler_job"))
    if count:
        paid = max(0.0, count - side.book.free("scheduler_jobs"))
        free = f"{side.book.free('scheduler_jobs'):g} are free in a billing account"
        yield Line(
            "schedules", paid * side.book.price("scheduler_job_month"), f"{plural(count, 'job')}; {free}"
        )


def _runs(side: Side) -> Iterator[Line]:
    """Functions and services: while they are called, and their fewest instances all the time."""
    vcpu_seconds = gib_seconds = requests = 0.0
    for address, values in side.world.of_type(*RUNS):
        vcpus, gib = _size(values)
        often = side.calls.get(address, side.book.assumed("calls_a_month_without_schedule"))
        busy = often * side.book.assumed("call_seconds")
        vcpu_seconds, gib_seconds, requests = (
            vcpu_seconds + busy * vcpus,
            gib_seconds + busy * gib,
            requests + often,
        )
        least = max(
            number(values, path) or 0
            for path in (
                "service_config.min_instance_count",
                "template.scaling.min_instance_count",
                "min_instances",
            )
        )
        if least:
            idle = least * side.hours * 3600
            month = idle * (
                vcpus * side.book.price("run_idle_vcpu_second") + gib * side.book.price("run_idle_gib_second")
            )
            told = f"{plural(int(least), 'instance')} of {vcpus:g} vCPU and {gib:g} GiB, always there"
            yield Line(f"instances kept of {side.name(address)}", month, told)
    if requests:
        month = (
            max(0.0, vcpu_seconds - side.book.free("run_vcpu_seconds")) * side.book.price("run_vcpu_second")
            + max(0.0, gib_seconds - side.book.free("run_gib_seconds")) * side.book.price("run_gib_second")
            + max(0.0, requests / 1e6 - side.book.free("run_million_requests"))
            * side.book.price("run_million_requests")
        )
        told = (
            f"{requests:,.0f} scheduled calls of {side.book.assumed('call_seconds'):g} s, beyond what is free"
        )
        yield Line("functions and services", month, told)


def _messages(side: Side) -> Iterator[Line]:
    topics = {address for address, _ in side.world.of_type("google_pubsub_topic")}
    count = sum(often for address, often in side.calls.items() if address in topics)
    if count:
        gib = 2 * count * side.book.assumed("message_kib") / KIB_A_GIB  # published and delivered
        paid = max(0.0, gib - side.book.free("pubsub_gib")) * side.book.price("pubsub_gib")
        yield Line(
            "messages",
            paid,
            f"{count:,.0f} messages of {side.book.assumed('message_kib'):g} KiB, in and out",
        )


MEMORY = {"Ki": 1 / 1024**2, "Mi": 1 / 1024, "Gi": 1.0, "K": 1 / 1024**2, "M": 1 / 1024, "G": 1.0}


def _size(values: Values) -> tuple[float, float]:
    """Return vCPUs and GiB of a function or a service."""
    for container in (
        *blocks(values, "template.containers"),
        *blocks(values, "template.template.containers"),
    ):
        gib = _gib(text(container, "resources.limits.memory") or "512Mi")
        return _vcpus(text(container, "resources.limits.cpu") or "1"), gib
    gib = _gib(
        text(values, "service_config.available_memory")
        or f"{number(values, 'available_memory_mb') or 256:g}M"
    )
    # What a function gets for its memory where it asks for no CPU.
    return _vcpus(text(values, "service_config.available_cpu")) or min(2.0, max(0.167, gib * 0.58)), gib


def _gib(memory: str) -> float:
    for unit, factor in MEMORY.items():
        if memory.endswith(unit):
            try:
                return float(memory.removesuffix(unit)) * factor
            except ValueError:
                return 0.5
    return 0.5


def _vcpus(cpu: str) -> float:
    try:
        return float(cpu.removesuffix("m")) / (1000 if cpu.endswith("m") else 1)
    except ValueError:
        return 0.0
