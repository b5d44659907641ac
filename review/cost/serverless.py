"""Price schedules, functions, services and messages, which cost only while they are used."""

from collections.abc import Iterator

from review.cost.usage import CALLABLE_TYPES, KIB_A_GIB, CostLine, Usage
from review.findings.text import plural
from review.plan.values import Values, get_blocks, get_flag, get_number, get_text

MESSAGING_TYPES = ("google_pubsub_topic", "google_pubsub_subscription")
TYPES = (*CALLABLE_TYPES, *MESSAGING_TYPES, "google_cloud_scheduler_job")
FIRST_GENERATION = "google_cloudfunctions_function"
JOB = "google_cloud_run_v2_job"
MEMORY = {"Ki": 1 / 1024**2, "Mi": 1 / 1024, "Gi": 1.0, "K": 1 / 1024**2, "M": 1 / 1024, "G": 1.0}


def price_resources(usage: Usage) -> Iterator[CostLine]:
    """Yield the cost of these types."""
    yield from _price_schedules(usage)
    yield from _price_requests(usage)
    yield from _price_first_generation(usage)
    yield from _price_minimum_instances(usage)
    yield from _price_messages(usage)


def _price_schedules(usage: Usage) -> Iterator[CostLine]:
    count = sum(1 for _ in usage.inventory.of_type("google_cloud_scheduler_job"))
    if count:
        paid = max(0.0, count - usage.book.free_tier("scheduler_jobs"))
        free = f"{usage.book.free_tier('scheduler_jobs'):g} are free per billing account"
        yield CostLine(
            "schedules", paid * usage.book.price("scheduler_job_month"), f"{plural(count, 'job')}; {free}"
        )


def _price_requests(usage: Usage) -> Iterator[CostLine]:
    """Yield functions, services and jobs while they handle calls, beyond the free tier."""
    vcpu_seconds = gib_seconds = requests = assumed = 0.0
    longest = [0.0, 0.0]  # vCPU and GiB seconds if each scheduled call runs until its timeout
    for address, values in usage.inventory.of_type(*CALLABLE_TYPES):
        if usage.inventory.changes[address].type == FIRST_GENERATION or _is_always_allocated(values):
            continue
        vcpus, gib = _read_size(values)
        often = _count_calls(usage, address)
        if not often:
            usage.leave_out(address, "runs")
        assumed += often if address not in usage.calls else 0
        busy = (
            often
            * usage.book.assumption("call_seconds")
            * max(1.0, get_number(values, "template.task_count") or 1)
        )
        vcpu_seconds, gib_seconds, requests = (
            vcpu_seconds + busy * vcpus,
            gib_seconds + busy * gib,
            requests + often,
        )
        until_timeout = usage.calls.get(address, 0.0) * _read_timeout(values)
        longest = [longest[0] + until_timeout * vcpus, longest[1] + until_timeout * gib]
    if requests:
        month = _price_busy_time(usage, vcpu_seconds, gib_seconds, requests)
        yield CostLine("functions and services", month, _describe_basis(usage, requests, assumed))
        if (most := _price_busy_time(usage, longest[0], longest[1], requests)) > month:
            basis = "if every scheduled call ran until its timeout"
            usage.at_most.append(CostLine("functions and services", most, basis))


def _price_busy_time(usage: Usage, vcpu_seconds: float, gib_seconds: float, requests: float) -> float:
    """Return what instances cost while they handle calls, beyond the free tier."""
    return (
        max(0.0, vcpu_seconds - usage.book.free_tier("run_vcpu_seconds"))
        * usage.book.price("run_vcpu_second")
        + max(0.0, gib_seconds - usage.book.free_tier("run_gib_seconds")) * usage.book.price("run_gib_second")
        + max(0.0, requests / 1e6 - usage.book.free_tier("run_million_requests"))
        * usage.book.price("run_million_requests")
    )


def _read_timeout(values: Values) -> float:
    """Return the seconds that a call may take; 0 if the plan does not state them."""
    seconds = get_number(values, "service_config.timeout_seconds")
    if seconds is not None:
        return seconds
    stated = get_text(values, "template.timeout") or get_text(values, "template.template.timeout")
    return get_number({"seconds": stated.removesuffix("s")}, "seconds") or 0.0


def _price_first_generation(usage: Usage) -> Iterator[CostLine]:
    """Yield functions of the first generation, which are billed by GHz according to their memory."""
    ghz_seconds = gib_seconds = requests = assumed = 0.0
    for address, values in usage.inventory.of_type(FIRST_GENERATION):
        memory = f"{get_number(values, 'available_memory_mb') or 256:g}"
        ghz = usage.book.table["function1_ghz"].get(memory)
        often = _count_calls(usage, address)
        assumed += often if address not in usage.calls else 0
        if ghz is None:
            usage.unknown[address] = f"memory of {memory} MB"
            continue
        busy = often * usage.book.assumption("call_seconds")
        ghz_seconds, gib_seconds = ghz_seconds + busy * float(ghz), gib_seconds + busy * float(memory) / 1024
        requests += often
        if get_number(values, "min_instances"):
            usage.unknown[address] = "minimum instances of a 1st gen function"
    if requests:
        month = (
            max(0.0, ghz_seconds - usage.book.free_tier("function1_ghz_seconds"))
            * usage.book.price("function1_ghz_second")
            + max(0.0, gib_seconds - usage.book.free_tier("function1_gib_seconds"))
            * usage.book.price("function1_gib_second")
            + max(0.0, requests / 1e6 - usage.book.free_tier("run_million_requests"))
            * usage.book.price("run_million_requests")
        )
        yield CostLine("1st gen functions", month, _describe_basis(usage, requests, assumed))


def _count_calls(usage: Usage, address: str) -> float:
    """Return the calls of a month: those of schedules, or the assumption for a service without one."""
    if address in usage.calls:
        return usage.calls[address]
    is_job = usage.inventory.changes[address].type == JOB
    return 0.0 if is_job else usage.book.assumption("calls_a_month_without_schedule")


def _describe_basis(usage: Usage, requests: float, assumed: float) -> str:
    parts = [f"{requests - assumed:,.0f} scheduled calls"] if requests > assumed else []
    parts += [f"{assumed:,.0f} assumed calls of services without a schedule"] if assumed else []
    return f"{' and '.join(parts)}, {usage.book.assumption('call_seconds'):g} s each, beyond the free tier"


def _price_minimum_instances(usage: Usage) -> Iterator[CostLine]:
    """Yield minimum instances, which always run: idle, or with their CPU always allocated."""
    for address, values in usage.inventory.of_type(*CALLABLE_TYPES):
        if usage.inventory.changes[address].type == FIRST_GENERATION:
            continue
        if get_text(values, "template.node_selector.accelerator"):
            usage.unknown[address] = "its GPU"
        least = max(
            get_number(values, path) or 0
            for path in (
                "service_config.min_instance_count",
                "template.scaling.min_instance_count",
                "scaling.min_instance_count",
                "scaling.manual_instance_count",
            )
        )
        if not least:
            if _is_always_allocated(values):
                usage.unknown[address] = "its number of instances, which are billed for their whole lifetime"
            continue
        vcpus, gib = _read_size(values)
        kind = "always" if _is_always_allocated(values) else "idle"
        month = (
            least
            * usage.hours_a_month
            * 3600
            * (
                vcpus * usage.book.price(f"run_{kind}_vcpu_second")
                + gib * usage.book.price(f"run_{kind}_gib_second")
            )
        )
        sentence = (
            f"{plural(int(least), 'instance')} of {vcpus:g} vCPU and {gib:g} GiB, always running"
            f"{', CPU always allocated' if kind == 'always' else ''}"
        )
        yield CostLine(f"minimum instances of {usage.name(address)}", month, sentence)


def _is_always_allocated(values: Values) -> bool:
    """Return whether a service is billed by instances, not by requests: its CPU is always allocated."""
    return any(
        not get_flag(container, "resources.cpu_idle", default=True)
        for container in get_blocks(values, "template.containers")
    )


def _price_messages(usage: Usage) -> Iterator[CostLine]:
    topics = {address for address, _ in usage.inventory.of_type("google_pubsub_topic")}
    count = sum(often for address, often in usage.calls.items() if address in topics)
    if not count:
        for address, _ in usage.inventory.of_type(*MESSAGING_TYPES):
            usage.leave_out(address, "messages")
    else:
        gib = 2 * count * usage.book.assumption("message_kib") / KIB_A_GIB  # published and delivered
        paid = max(0.0, gib - usage.book.free_tier("pubsub_gib")) * usage.book.price("pubsub_gib")
        yield CostLine(
            "messages",
            paid,
            f"{count:,.0f} messages of {usage.book.assumption('message_kib'):g} KiB, in and out",
        )


def _read_size(values: Values) -> tuple[float, float]:
    """Return vCPUs and GiB of a function or a service, of all its containers together."""
    containers = [
        *get_blocks(values, "template.containers"),
        *get_blocks(values, "template.template.containers"),
    ]
    if containers:
        return (
            sum(_parse_vcpus(get_text(each, "resources.limits.cpu") or "1") for each in containers),
            sum(_parse_gib(get_text(each, "resources.limits.memory") or "512Mi") for each in containers),
        )
    gib = _parse_gib(get_text(values, "service_config.available_memory") or "256M")
    # The CPU that a function gets for its memory if it requests none.
    return _parse_vcpus(get_text(values, "service_config.available_cpu")) or min(
        2.0, max(0.167, gib * 0.58)
    ), gib


def _parse_gib(memory: str) -> float:
    for unit, factor in MEMORY.items():
        if memory.endswith(unit):
            try:
                return float(memory.removesuffix(unit)) * factor
            except ValueError:
                return 0.5
    return 0.5


def _parse_vcpus(cpu: str) -> float:
    try:
        return float(cpu.removesuffix("m")) / (1000 if cpu.endswith("m") else 1)
    except ValueError:
        return 0.0
