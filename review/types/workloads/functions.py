"""Cloud Functions of both generations."""

from collections.abc import Iterator

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
from review.plan.values import get_text

TYPES = ("google_cloudfunctions2_function", "google_cloudfunctions_function")
INGRESS = {
    "ALLOW_INTERNAL_ONLY": (0, "from inside the project and its network only"),
    "ALLOW_INTERNAL_AND_GCLB": (1, "from inside and through a load balancer"),
    "ALLOW_ALL": (2, "from the whole internet"),
}
RUNTIME = {
    "build_config.runtime": "runtime",
    "build_config.entry_point": "entry point",
    "runtime": "runtime",
    "entry_point": "entry point",
}
SIZES = {
    f"{above}{path}": words
    for above, paths in (
        (
            "service_config.",
            {
                "available_memory": "memory",
                "available_cpu": "CPU",
                "timeout_seconds": "timeout in seconds",
                "max_instance_count": "maximum instances",
                "min_instance_count": "minimum instances",
                "max_instance_request_concurrency": "concurrent requests",
            },
        ),
        (
            "",
            {
                "available_memory_mb": "memory in MiB",
                "timeout": "timeout in seconds",
                "max_instances": "maximum instances",
                "min_instances": "minimum instances",
            },
        ),
    )
    for path, words in paths.items()
}
ENVIRONMENT = (
    "service_config.environment_variables",
    "service_config.secret_environment_variables",
    "environment_variables",
    "secret_environment_variables",
)
BUILD_ENVIRONMENT = ("build_config.environment_variables", "build_environment_variables")


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield how a function's code, runtime, environment, identity and ingress change."""
    if change.before is None or change.after is None:
        return
    yield from _source_findings(change, context)
    yield from _runtime_findings(change, context)
    yield from environment_findings(
        change, context, read_variables(change.old, *ENVIRONMENT), read_variables(change.new, *ENVIRONMENT)
    )
    yield from environment_findings(
        change,
        context,
        read_variables(change.old, *BUILD_ENVIRONMENT),
        read_variables(change.new, *BUILD_ENVIRONMENT),
        of=" of its build",
    )
    path = "service_config." if change.type.endswith("2_function") else ""
    yield from identity_findings(change, context, f"{path}service_account_email")
    yield from ingress_findings(change, context, f"{path}ingress_settings", INGRESS)
    yield from size_findings(change, context, SIZES)


def _source_findings(change: Change, context: Context) -> Iterator[Finding]:
    for path in ("build_config.source.storage_source.object", "source_archive_object"):
        old, new = get_text(change.old, path), get_text(change.new, path)
        if old != new:
            sentence = (
                f"is rebuilt from {span(new or '(unknown)')} instead of {span(old)}; the current revision "
                "serves until the build succeeds"
            )
            yield Finding(
                Kind.SERVICE, Severity.CHANGE, context.where(change), sentence, size=3, address=change.address
            )


def _runtime_findings(change: Change, context: Context) -> Iterator[Finding]:
    parts = [
        f"{words} {span(get_text(change.old, path))} → {span(get_text(change.new, path))}"
        for path, words in RUNTIME.items()
        if get_text(change.old, path) != get_text(change.new, path)
    ]
    if parts:
        yield Finding(
            Kind.CODE, Severity.CODE, context.where(change), "; ".join(parts), size=6, address=change.address
        )
