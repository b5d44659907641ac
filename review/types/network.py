"""Firewalls, networks and addresses: who may reach what over the network."""

from collections.abc import Iterator

from review.context import Context
from review.destruction import destruction
from review.findings import Finding, Kind, Weight
from review.plan import Change
from review.text import plural, span, spans
from review.values import Values, blocks, flag, get, text, texts

TYPES = ("google_compute_firewall", "google_compute_network", "google_compute_subnetwork")
ANYWHERE = ("0.0.0.0/0", "::/0")


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Say what a rule lets through, or what hangs on a network that is replaced."""
    if change.type == "google_compute_firewall":
        yield from _firewall(change, context)
    elif change.destroys:
        yield from _network(change, context)


def _opens(values: Values) -> bool:
    return (
        bool(blocks(values, "allow"))
        and not flag(values, "disabled")
        and text(values, "direction") != "EGRESS"
    )


def _sources(values: Values) -> list[str]:
    found = [
        *texts(values, "source_ranges"),
        *texts(values, "source_tags"),
        *texts(values, "source_service_accounts"),
    ]
    return sorted(found) or (list(ANYWHERE[:1]) if values else [])


def _ports(values: Values) -> list[str]:
    found = []
    for allowed in blocks(values, "allow"):
        protocol = text(allowed, "protocol")
        ports = texts(allowed, "ports")
        found += [f"{protocol} {port}" for port in ports] or [
            f"{protocol}, every port" if protocol in ("tcp", "udp") else protocol
        ]
    return sorted(found)


def _firewall(change: Change, context: Context) -> Iterator[Finding]:
    before, after = (values if _opens(values) else {} for values in (change.old, change.new))
    old, new = (set(_sources(before)), set(_ports(before))), (set(_sources(after)), set(_ports(after)))
    targets = [*texts(change.new, "target_tags"), *texts(change.new, "target_service_accounts")]
    to = f"machines tagged {spans(targets, 4)}" if targets else "every machine of the network"
    name = span(text(change.present, "name"))
    fewer_targets = (
        change.after is not None and _targets(change.old) and not _targets(change.new) and bool(old[0])
    )
    if new[0] - old[0] or new[1] - old[1] or fewer_targets:
        public = bool(new[0] & set(ANYWHERE))
        who = "the whole internet" if public else spans(sorted(new[0]), 5)
        told = f"firewall rule {name}: {who} may now reach {to} by {spans(sorted(new[1]), 6)}"
        if old[0]:
            told = f"{told}; before: {spans(sorted(old[0]), 5)} by {spans(sorted(old[1]), 6)}"
        weight = Weight.WIDENED if public or change.before is not None else Weight.CARE
        yield Finding(
            Kind.ACCESS,
            weight,
            context.where(change),
            told,
            size=70 if public else 22,
            address=change.address,
        )
    elif old != new:
        who, by = spans(sorted(new[0]), 5) or "nobody", spans(sorted(new[1]), 6) or "nothing"
        told = f"firewall rule {name} lets less through: {who} by {by}"
        yield Finding(Kind.ACCESS, Weight.CHANGE, context.where(change), told, address=change.address)
    denied = bool(blocks(change.old, "deny")) and not flag(change.old, "disabled")
    denies = bool(blocks(change.new, "deny")) and not flag(change.new, "disabled")
    if denied and not denies:
        told = f"firewall rule {name} no longer keeps anything out"
        yield Finding(
            Kind.ACCESS, Weight.WIDENED, context.where(change), told, size=26, address=change.address
        )


def _targets(values: Values) -> bool:
    return bool(texts(values, "target_tags") or texts(values, "target_service_accounts"))


def _network(change: Change, context: Context) -> Iterator[Finding]:
    name = span(text(change.present, "name"))
    hanging = [
        each
        for each in context.of_type(
            "google_compute_firewall", "google_compute_subnetwork", "google_compute_router"
        )
        if each.before is not None
        and not each.destroys
        and (context.refers(each, "network") == change.configured or _of(each, change))
    ]
    noun = "network" if change.type.endswith("_network") else "subnetwork"
    verb = "replaced" if change.action == "replace" else "deleted"
    told = f"{noun} {name} is {verb}: whatever is in it loses its connection"
    if hanging:
        told = f"{told}; the apply fails half-way, as {plural(len(hanging), 'resource')} hold on to it"
    finding = destruction(change, context, told, size=0, weight=Weight.INTERRUPTED)
    yield Finding(
        Kind.SERVICE, Weight.INTERRUPTED, finding.where, finding.sentence, size=10, address=change.address
    )


def _of(other: Change, network: Change) -> bool:
    found = get(other.old, "network")
    return isinstance(found, str) and found.rpartition("/")[2] == text(network.old, "name")
