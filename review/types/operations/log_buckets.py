"""Buckets of Cloud Logging: how long logs are kept."""

from collections.abc import Iterator

from review.findings.finding import NO, Finding, Kind, Severity
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import format_duration, get_flag, get_number

TYPES = ("google_logging_*_bucket_config",)
DAY = 86_400


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which logs are kept for a shorter time, and a retention that is locked."""
    if change.action != "update":
        return
    old, new = (get_number(side, "retention_days") or 30 for side in (change.old, change.new))
    if new != old:
        now, then = format_duration(new * DAY), format_duration(old * DAY)
        ending = ": older ones are deleted" if new < old else ""
        severity = Severity.LOSS if new < old else Severity.CHANGE
        sentence = f"logs in it are kept for {now} instead of {then}{ending}"
        yield Finding(
            Kind.DATA, severity, context.where(change), sentence, NO, size=28, address=change.address
        )
    if get_flag(change.new, "locked") and not get_flag(change.old, "locked"):
        sentence = (
            "its retention is locked: it can never be shortened, nor the bucket deleted while it holds logs"
        )
        yield Finding(Kind.DATA, Severity.CARE, context.where(change), sentence, NO, address=change.address)
