"""APIs and log metrics: small resources of which a change does more than it seems."""

from collections.abc import Iterator

from review.context import Context
from review.findings import Finding, Kind, Weight
from review.plan import Change
from review.text import span
from review.values import flag, text

TYPES = ("google_project_service", "google_logging_metric")


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Say what an API that is switched off stops, and what a renamed metric leaves behind."""
    where = context.where(change)
    if change.type == "google_project_service":
        if change.destroys and flag(change.old, "disable_on_destroy", default=True):
            name = span(text(change.old, "service"))
            told = f"the API {name} is switched off, and with it everything in the project that needs it"
            yield Finding(Kind.SERVICE, Weight.INTERRUPTED, where, told, size=8, address=change.address)
    elif change.action == "update" and text(change.old, "name") != text(change.new, "name"):
        names = span(text(change.old, "name")), span(text(change.new, "name"))
        told = f"metric {names[0]} is not renamed: {names[1]} is made beside it, and the old one stays, known to nobody"
        yield Finding(Kind.SERVICE, Weight.CARE, where, told, undo="by hand", address=change.address)
