"""Pub/Sub topics and subscriptions: lost messages, retention and delivery."""

from collections.abc import Iterator

from review.data.destruction import destruction_finding
from review.findings.finding import NO, Finding, Kind, Severity
from review.findings.text import plural, span, spans
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import (
    format_duration,
    get_blocks,
    get_flag,
    get_text,
    get_value,
    is_known,
    parse_duration,
)

TYPES = ("google_pubsub_topic", "google_pubsub_subscription")
REPORTS_DELETION = True
RETENTION = "message_retention_duration"
DEFAULT = "604800s"  # a week, the default of subscriptions


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which messages are lost, and where they are delivered from now on."""
    is_topic = change.type == "google_pubsub_topic"
    name = span(get_text(change.present, "name") or context.names.of(change.address))
    if change.destroys:
        yield (_topic_deletion if is_topic else _subscription_deletion)(change, context, name)
    if change.before is None or change.after is None:
        return
    yield from _retention_findings(change, context, name, "" if is_topic else DEFAULT)
    if not is_topic:
        yield from _subscription_findings(change, context, name)


def _verb(change: Change) -> str:
    return "replaced" if change.action == "replace" else "deleted"


def _topic_deletion(change: Change, context: Context, name: str) -> Finding:
    """Return the loss of a topic; its subscriptions stay without a topic unless they are recreated too."""
    sentence = (
        f"topic {name} is {_verb(change)}: messages published until its subscriptions are attached again "
        "are lost"
    )
    orphans = [
        each
        for each in context.of_type("google_pubsub_subscription")
        if each.before is not None
        and each.action in ("no-op", "update")
        and _is_subscribed(each, change, context)
    ]
    if orphans:
        names = spans([context.names.of(each.address) for each in orphans], 5)
        stay = "stays" if len(orphans) == 1 else "stay"
        sentence = f"{sentence}; {plural(len(orphans), 'subscription')} {stay} without a topic: {names}"
    return destruction_finding(change, context, sentence, size=45, recovery=NO)


def _is_subscribed(subscription: Change, topic: Change, context: Context) -> bool:
    value = get_value(subscription.old, "topic")
    if is_known(value):
        return get_text(subscription.old, "topic").rpartition("/")[2] == get_text(topic.old, "name")
    return context.referenced_address(subscription, "topic") == topic.configured_address


def _subscription_deletion(change: Change, context: Context, name: str) -> Finding:
    sentence = f"subscription {name} is {_verb(change)}: its undelivered messages are lost"
    if change.action == "replace":
        sentence = f"{sentence}, and so are messages published before the new one exists"
    return destruction_finding(change, context, sentence, size=43, recovery=NO)


def _retention_findings(change: Change, context: Context, name: str, default: str) -> Iterator[Finding]:
    old, new = (parse_duration(get_text(side, RETENTION, default)) or 0 for side in (change.old, change.new))
    if new < old:
        now = f"kept for {format_duration(new)}" if new else "not kept"
        sentence = f"messages of {name} are {now} instead of {format_duration(old)}: older messages are lost"
        yield Finding(
            Kind.DATA,
            Severity.LOSS,
            context.where(change),
            sentence,
            recovery=NO,
            size=32,
            address=change.address,
        )
    elif new > old:
        sentence = (
            f"messages of {name} are kept for {format_duration(new)}; before: "
            f"{format_duration(old) if old else 'not kept'}"
        )
        yield Finding(Kind.DATA, Severity.CHANGE, context.where(change), sentence, address=change.address)


def _subscription_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    def finding(severity: Severity, sentence: str, kind: Kind = Kind.SERVICE) -> Finding:
        return Finding(kind, severity, context.where(change), sentence, address=change.address)

    old, new = (get_text(side, "push_config.push_endpoint") for side in (change.old, change.new))
    if old != new:
        now = (
            f"pushed to {context.format_argument(change, change.new, 'push_config.push_endpoint')}"
            if new
            else "waiting to be pulled"
        )
        yield finding(
            Severity.CARE,
            f"messages of {name} are {now} from now on; before: {f'pushed to {span(old)}' if old else 'pulled'}",
        )
    old, new = (
        get_text(side, "push_config.oidc_token.service_account_email") for side in (change.old, change.new)
    )
    if old != new and get_blocks(change.new, "push_config"):
        summary = (
            f"pushes of {name} authenticate as {span(new or 'nobody')} instead of {span(old or 'nobody')}"
        )
        yield finding(Severity.CHANGE, summary, Kind.ACCESS)
    if get_flag(change.old, "retain_acked_messages") and not get_flag(change.new, "retain_acked_messages"):
        yield finding(
            Severity.CARE, f"{name} no longer retains acknowledged messages: it cannot be replayed", Kind.DATA
        )
    had, has = get_blocks(change.old, "dead_letter_policy"), get_blocks(change.new, "dead_letter_policy")
    if had and not has:
        yield finding(Severity.CARE, f"undeliverable messages of {name} no longer go to a dead-letter topic")
    old, new = (get_text(side, "expiration_policy.ttl") for side in (change.old, change.new))
    if old != new and new and get_blocks(change.new, "expiration_policy"):
        summary = f"subscription {name} expires after {format_duration(parse_duration(new))} without activity"
        yield finding(Severity.CARE, summary, Kind.DATA)
    deadlines = get_text(change.old, "ack_deadline_seconds"), get_text(change.new, "ack_deadline_seconds")
    if deadlines[0] != deadlines[1]:
        summary = (
            f"messages of {name} are redelivered after {span(deadlines[1])} seconds instead of "
            f"{span(deadlines[0])}"
        )
        yield finding(Severity.CHANGE, summary)
