"""Networks and subnetworks: what a deletion disconnects."""

from collections.abc import Iterator

from review.data.destruction import destruction_finding
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import plural, span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_text, get_value

TYPES = ("google_compute_network", "google_compute_subnetwork")


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which resources use a network that is deleted or replaced."""
    if change.destroys:
        yield from _deletion_findings(change, context)


def _deletion_findings(change: Change, context: Context) -> Iterator[Finding]:
    name = span(get_text(change.present, "name"))
    dependents = [
        each
        for each in context.of_type(
            "google_compute_firewall", "google_compute_subnetwork", "google_compute_router"
        )
        if each.before is not None
        and not each.destroys
        and (
            context.referenced_address(each, "network") == change.configured_address
            or _is_in_network(each, change)
        )
    ]
    noun = "network" if change.type.endswith("_network") else "subnetwork"
    verb = "replaced" if change.action == "replace" else "deleted"
    sentence = f"{noun} {name} is {verb}: resources in it lose connectivity"
    if dependents:
        sentence = (
            f"{sentence}; the apply fails part-way, because {plural(len(dependents), 'resource')} of the plan "
            "still use it"
        )
    finding = destruction_finding(change, context, sentence, size=0, severity=Severity.INTERRUPTED)
    yield Finding(
        Kind.SERVICE, Severity.INTERRUPTED, finding.where, finding.sentence, size=10, address=change.address
    )


def _is_in_network(other: Change, network: Change) -> bool:
    found = get_value(other.old, "network")
    return isinstance(found, str) and found.rpartition("/")[2] == get_text(network.old, "name")
