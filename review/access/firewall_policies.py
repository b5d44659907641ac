"""Describe what the deletion of a firewall policy opens and closes, as far as the plan has its rules."""

from collections.abc import Iterator

from review.access.arguments import access_finding
from review.findings.finding import Finding, Severity
from review.findings.text import plural, span, spans
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_text

TYPES = (
    "google_compute_firewall_policy",
    "google_compute_network_firewall_policy",
    "google_compute_region_network_firewall_policy",
)
NAME_ARGUMENTS = ("name", "short_name", "id", "firewall_policy_id", "network_firewall_policy_id")
MOST = 4  # names in a sentence


def policy_deletion_finding(change: Change, context: Context) -> Finding:
    """Return the finding of a policy that is deleted: its rules end with it, whether or not the plan has them."""
    name = get_text(change.old, "name") or get_text(change.old, "short_name")
    targets = [
        get_text(each.old, "attachment_target").rpartition("/")[2]
        for each in _list_parts(change, context, "association")
        if get_text(each.old, "attachment_target")
    ]
    scope = f" for {spans(targets, MOST)}" if targets else ""
    rules = list(_list_parts(change, context, "rule"))
    if rules:
        known = (
            f"the plan has {plural(len(rules), 'rule')} of it "
            f"({spans([context.names.of(each.address) for each in rules], MOST)}); whether it has others is not known"
        )
    else:
        known = "its rules are not in this plan, so which connections change is not known"
    sentence = (
        f"firewall policy {span(name or context.names.of(change.address))} is deleted, and its rules no longer "
        f"apply{scope}: connections that it denied may be allowed, and connections that it allowed may be "
        f"denied; {known}"
    )
    return access_finding(change, context, Severity.WIDENED, sentence, size=46)


def _list_parts(policy: Change, context: Context, part: str) -> Iterator[Change]:
    """Yield the rules or associations of the plan that belong to a policy."""
    names = {get_text(policy.old, key) for key in NAME_ARGUMENTS} - {""}
    for each in context.of_type(f"{policy.type}_{part}"):
        value = get_text(each.values, "firewall_policy")
        if (
            context.referenced_address(each, "firewall_policy") == policy.configured_address
            or value in names
            or value.rpartition("/")[2] in names
        ):
            yield each
