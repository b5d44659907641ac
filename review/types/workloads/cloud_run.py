"""Cloud Run services and jobs."""

from collections.abc import Iterator

from review.code.archive_comparison import compare_archives
from review.code.artifact_users import source_of
from review.code.workloads import environment, identity, reach, sizes, variables
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, blocks, first, flag, text

TYPES = ("google_cloud_run_v2_service", "google_cloud_run_v2_job", "google_cloud_run_service")
INGRESS = {
    "INGRESS_TRAFFIC_INTERNAL_ONLY": (0, "from inside the project and its network only"),
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": (1, "from inside and through a load balancer"),
    "INGRESS_TRAFFIC_ALL": (2, "from the whole internet"),
    "": (2, "from the whole internet"),
}
SIZES = {
    "template.timeout": "timeout",
    "template.scaling.max_instance_count": "maximum instances",
    "template.scaling.min_instance_count": "minimum instances",
    "template.max_instance_request_concurrency": "concurrent requests",
    "template.containers.resources.limits.cpu": "CPU",
    "template.containers.resources.limits.memory": "memory",
    "template.template.timeout": "timeout",
    "template.template.max_retries": "retries",
    "template.template.containers.resources.limits.cpu": "CPU",
    "template.template.containers.resources.limits.memory": "memory",
}
PLACES = ("template.containers", "template.template.containers", "template.spec.containers")
ACCOUNTS = {
    "google_cloud_run_v2_service": "template.service_account",
    "google_cloud_run_v2_job": "template.template.service_account",
    "google_cloud_run_service": "template.spec.service_account_name",
}


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Say how a service's image, environment, identity and reach change."""
    if change.before is None or change.after is None:
        if change.after is not None and flag(change.new, "invoker_iam_disabled"):
            yield _open(change, context)
        return
    before, after = containers(change.old), containers(change.new)
    for name in sorted({*before, *after}):
        old, new = before.get(name, {}), after.get(name, {})
        of = f" of container {span(name)}" if len(after) > 1 else ""
        yield from _image(change, context, text(old, "image"), text(new, "image"), of)
        yield from environment(change, context, variables(old, "env"), variables(new, "env"), of)
    yield from identity(change, context, ACCOUNTS[change.type])
    yield from reach(change, context, "ingress", INGRESS)
    yield from sizes(change, context, SIZES)
    if flag(change.new, "invoker_iam_disabled") and not flag(change.old, "invoker_iam_disabled"):
        yield _open(change, context)


def containers(values: Values) -> dict[str, Values]:
    """Return the containers by name, or by their place where they have none."""
    found: dict[str, Values] = {}
    for path in PLACES:
        for index, container in enumerate(blocks(first(values), path)):
            found[text(container, "name") or str(index)] = container
    return found


def _open(change: Change, context: Context) -> Finding:
    told = "anyone who can reach it can call it: the IAM check of callers is disabled (invoker_iam_disabled)"
    return Finding(
        Kind.ACCESS, Severity.WIDENED, context.where(change), told, size=88, address=change.address
    )


def _image(change: Change, context: Context, old: str, new: str, of: str) -> Iterator[Finding]:
    if old == new:
        return
    source = source_of(new, context)
    told = f"image{of} {span(old or 'none')} → {span(new or 'none')}"
    if source is None:
        told = f"{told}; its source is not in this plan"
    else:
        told = f"{told}, built from {context.where(source)}"
    if source is not None and source.action in ("replace", "update"):
        before = context.lookup(text(source.old, "source"), "before")
        after = context.lookup(text(source.new, "source"), "after")
        code = compare_archives(before, after, context.plan.secrets.mask)
        told = f"{told}; changes: {code.told}"
    yield Finding(Kind.CODE, Severity.CODE, context.where(change), told, size=8, address=change.address)
