"""Cloud Scheduler jobs and Dataproc workflow templates: when they run, what, and on which VMs."""

import base64
import binascii
from collections.abc import Iterator

from review.findings.finding import Finding, Kind, Severity
from review.findings.text import format_value, span
from review.plan.context import Context
from review.plan.differences import format_difference, list_differences
from review.plan.model import Change
from review.plan.values import get_flag, get_text, get_value, is_known

TYPES = ("google_cloud_scheduler_job", "google_dataproc_workflow_template")
REPORTS_DELETION = True
TARGETS = {
    "pubsub_target.topic_name": "publishes to",
    "http_target.uri": "calls",
    "app_engine_http_target.relative_uri": "calls",
}
BODIES = ("pubsub_target.data", "http_target.body", "app_engine_http_target.body")
ACCOUNTS = ("http_target.oidc_token.service_account_email", "http_target.oauth_token.service_account_email")


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield when a job runs and what it calls, or how a template's machines and arguments change."""
    if change.type == "google_dataproc_workflow_template":
        yield from _template_findings(change, context)
    elif change.after is None or change.action == "replace":
        verb = (
            "is replaced: a run that is due meanwhile is skipped"
            if change.after is not None
            else "is deleted and no longer runs"
        )
        yield _finding(change, context, Severity.INTERRUPTED, verb)
    elif change.before is not None:
        yield from _job_findings(change, context)


def _finding(
    change: Change, context: Context, severity: Severity, sentence: str, kind: Kind = Kind.SERVICE
) -> Finding:
    return Finding(kind, severity, context.where(change), sentence, address=change.address)


def _job_findings(change: Change, context: Context) -> Iterator[Finding]:
    old, new = change.old, change.new
    if get_flag(old, "paused") != get_flag(new, "paused"):
        off = get_flag(new, "paused")
        yield _finding(
            change,
            context,
            Severity.INTERRUPTED if off else Severity.CHANGE,
            "is paused and no longer runs" if off else "runs again",
        )
    when = [f"{get_text(side, 'schedule')} {get_text(side, 'time_zone', 'Etc/UTC')}" for side in (old, new)]
    if when[0] != when[1]:
        yield _finding(
            change, context, Severity.CHANGE, f"runs at {span(when[1])} instead of {span(when[0])}"
        )
    for path, verb in TARGETS.items():
        if get_text(old, path) != get_text(new, path):
            before = f"; before: {span(get_text(old, path))}" if get_text(old, path) else ""
            yield _finding(
                change,
                context,
                Severity.CARE,
                f"{verb} {context.format_argument(change, new, path)} from now on{before}",
            )
    for path in BODIES:
        if get_value(old, path) != get_value(new, path):
            bodies = [span(_decode_body(get_value(side, path), context)) for side in (old, new)]
            yield _finding(change, context, Severity.CHANGE, f"sends {bodies[1]} instead of {bodies[0]}")
    for path in ACCOUNTS:
        if get_text(old, path) != get_text(new, path):
            before = span(get_text(old, path) or "nobody")
            sentence = f"calls as {context.format_argument(change, new, path)} instead of {before}"
            yield _finding(change, context, Severity.CHANGE, sentence, Kind.ACCESS)


def _decode_body(body: object, context: Context) -> str:
    """Return a body as it is sent; Terraform stores it in base64, so secrets in it are masked again."""
    if not isinstance(body, str) or not is_known(body):
        return format_value(body)
    try:
        return context.plan.secrets.mask(base64.b64decode(body, validate=True).decode())
    except (binascii.Error, ValueError):
        return body


def _template_findings(change: Change, context: Context) -> Iterator[Finding]:
    if change.before is None:
        return
    if change.after is None:
        yield _finding(change, context, Severity.INTERRUPTED, "is deleted: no further run can start")
        return
    found = [
        each for each in list_differences(change) if not each.path.startswith(("effective_labels", "version"))
    ]
    shown = "; ".join(format_difference(each) for each in found[:5])
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    sentence = f"is deleted and created again, which does not affect running jobs: {shown}{more}"
    yield _finding(change, context, Severity.CHANGE, sentence)
