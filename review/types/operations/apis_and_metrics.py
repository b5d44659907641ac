"""APIs and log metrics."""

from collections.abc import Iterator

from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_flag, get_text

TYPES = ("google_project_service", "google_logging_metric")


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what a disabled API interrupts, and what a renamed metric leaves."""
    where = context.where(change)
    if change.type == "google_project_service":
        if change.destroys and get_flag(change.old, "disable_on_destroy", default=True):
            name = span(get_text(change.old, "service"))
            sentence = f"API {name} is disabled: everything in the project that uses it fails"
            yield Finding(Kind.SERVICE, Severity.INTERRUPTED, where, sentence, size=8, address=change.address)
    elif change.action == "update" and get_text(change.old, "name") != get_text(change.new, "name"):
        names = span(get_text(change.old, "name")), span(get_text(change.new, "name"))
        sentence = (
            f"metric {names[0]} is not renamed: {names[1]} is created, and the old one stays, no longer managed "
            "by Terraform"
        )
        yield Finding(
            Kind.SERVICE, Severity.CARE, where, sentence, recovery="manually", address=change.address
        )
