"""Cloud Run services and jobs."""

from collections.abc import Iterator

from review.code.archive_comparison import compare_archives
from review.code.artifact_users import find_source
from review.code.workloads import (
    environment_findings,
    identity_findings,
    ingress_findings,
    read_variables,
    size_findings,
)
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, get_blocks, get_flag, get_text, unwrap_block

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
CONTAINER_PATHS = ("template.containers", "template.template.containers", "template.spec.containers")
ACCOUNTS = {
    "google_cloud_run_v2_service": "template.service_account",
    "google_cloud_run_v2_job": "template.template.service_account",
    "google_cloud_run_service": "template.spec.service_account_name",
}


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield how a service's image, environment, identity and ingress change."""
    if change.before is None or change.after is None:
        if change.after is not None and get_flag(change.new, "invoker_iam_disabled"):
            yield _public_invoker_finding(change, context)
        return
    before, after = index_containers(change.old), index_containers(change.new)
    for name in sorted({*before, *after}):
        old, new = before.get(name, {}), after.get(name, {})
        of = f" of container {span(name)}" if len(after) > 1 else ""
        yield from _image_findings(change, context, get_text(old, "image"), get_text(new, "image"), of)
        yield from environment_findings(
            change, context, read_variables(old, "env"), read_variables(new, "env"), of
        )
    yield from identity_findings(change, context, ACCOUNTS[change.type])
    yield from ingress_findings(change, context, "ingress", INGRESS)
    yield from size_findings(change, context, SIZES)
    if get_flag(change.new, "invoker_iam_disabled") and not get_flag(change.old, "invoker_iam_disabled"):
        yield _public_invoker_finding(change, context)


def index_containers(values: Values) -> dict[str, Values]:
    """Return the containers by name, or by index if they have none."""
    found: dict[str, Values] = {}
    for path in CONTAINER_PATHS:
        for index, container in enumerate(get_blocks(unwrap_block(values), path)):
            found[get_text(container, "name") or str(index)] = container
    return found


def _public_invoker_finding(change: Change, context: Context) -> Finding:
    sentence = (
        "anyone who can reach it can call it: the IAM check of callers is disabled (invoker_iam_disabled)"
    )
    return Finding(
        Kind.ACCESS, Severity.WIDENED, context.where(change), sentence, size=88, address=change.address
    )


def _image_findings(change: Change, context: Context, old: str, new: str, of: str) -> Iterator[Finding]:
    if old == new:
        return
    source = find_source(new, context)
    sentence = f"image{of} {span(old or 'none')} → {span(new or 'none')}"
    if source is None:
        sentence = f"{sentence}; its source is not in this plan"
    else:
        sentence = f"{sentence}, built from {context.where(source)}"
    if source is not None and source.action in ("replace", "update"):
        before = context.lookup(get_text(source.old, "source"), "before")
        after = context.lookup(get_text(source.new, "source"), "after")
        code = compare_archives(before, after, context.plan.secrets.mask)
        sentence = f"{sentence}; {code.problem or f'changes: {code.summary}'}"
    yield Finding(Kind.CODE, Severity.CODE, context.where(change), sentence, size=8, address=change.address)
