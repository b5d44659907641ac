"""Compute Engine instances: restarts, public addresses, identities. Deletions are reported by `review.data.actions`."""

from collections.abc import Iterator

from review.code.workloads import identity_findings
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_blocks, get_flag, get_text

TYPES = ("google_compute_instance",)


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield whether a VM is restarted, gets a public address or runs as another account."""
    where = context.where(change)
    old, new = (
        sum(len(get_blocks(each, "access_config")) for each in get_blocks(side, "network_interface"))
        for side in (change.old, change.new)
    )
    if new > old:
        sentence = "gets a public address; firewall rules decide who can reach it"
        yield Finding(Kind.ACCESS, Severity.WIDENED, where, sentence, size=29, address=change.address)
    if change.before is None or change.after is None:
        return
    kinds = get_text(change.old, "machine_type"), get_text(change.new, "machine_type")
    if kinds[0] != kinds[1] and change.action == "update":
        sentence = f"is stopped and started again: machine type {span(kinds[0])} → {span(kinds[1])}"
        if not get_flag(change.new, "allow_stopping_for_update"):
            option = span("allow_stopping_for_update")
            sentence = (
                f"must be stopped to change its machine type {span(kinds[0])} → {span(kinds[1])}: the apply fails "
                f"part-way while it runs, because {option} is not set"
            )
        yield Finding(Kind.SERVICE, Severity.INTERRUPTED, where, sentence, address=change.address)
    yield from identity_findings(change, context, "service_account.email")
