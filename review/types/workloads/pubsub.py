"""Topics and subscriptions: the messages that wait in them."""

from collections.abc import Iterator

from review.data.destruction import destruction
from review.findings.finding import NO, Finding, Kind, Severity
from review.findings.text import plural, span, spans
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import blocks, flag, get, known, period, seconds, text

TYPES = ("google_pubsub_topic", "google_pubsub_subscription")
TELLS_THE_END = True
RETENTION = "message_retention_duration"
DEFAULT = "604800s"  # of a subscription: a week


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Say which messages are lost, and where they go from now on."""
    is_topic = change.type == "google_pubsub_topic"
    name = span(text(change.present, "name") or context.names.of(change.address))
    if change.destroys:
        yield (_topic if is_topic else _subscription)(change, context, name)
    if change.before is None or change.after is None:
        return
    yield from _retention(change, context, name, "" if is_topic else DEFAULT)
    if not is_topic:
        yield from _subscription_changes(change, context, name)


def _verb(change: Change) -> str:
    return "replaced" if change.action == "replace" else "deleted"


def _topic(change: Change, context: Context, name: str) -> Finding:
    """A topic's subscriptions stay, attached to nothing, unless they are made anew as well."""
    told = f"topic {name} is {_verb(change)}: messages published until its subscriptions are attached again are lost"
    orphans = [
        each
        for each in context.of_type("google_pubsub_subscription")
        if each.before is not None and each.action in ("no-op", "update") and _is_of(each, change, context)
    ]
    if orphans:
        names = spans([context.names.of(each.address) for each in orphans], 5)
        stay = "stays" if len(orphans) == 1 else "stay"
        told = f"{told}; {plural(len(orphans), 'subscription')} {stay} without a topic: {names}"
    return destruction(change, context, told, size=45, undo=NO)


def _is_of(subscription: Change, topic: Change, context: Context) -> bool:
    value = get(subscription.old, "topic")
    if known(value):
        return text(subscription.old, "topic").rpartition("/")[2] == text(topic.old, "name")
    return context.refers(subscription, "topic") == topic.configured


def _subscription(change: Change, context: Context, name: str) -> Finding:
    told = f"subscription {name} is {_verb(change)}: its undelivered messages are lost"
    if change.action == "replace":
        told = f"{told}, and so are messages published before the new one exists"
    return destruction(change, context, told, size=43, undo=NO)


def _retention(change: Change, context: Context, name: str, default: str) -> Iterator[Finding]:
    old, new = (seconds(text(side, RETENTION, default)) or 0 for side in (change.old, change.new))
    if new < old:
        now = f"kept for {period(new)}" if new else "not kept"
        told = f"messages of {name} are {now} instead of {period(old)}: older messages are lost"
        yield Finding(
            Kind.DATA, Severity.LOSS, context.where(change), told, undo=NO, size=32, address=change.address
        )
    elif new > old:
        told = f"messages of {name} are kept for {period(new)}; before: {period(old) if old else 'not kept'}"
        yield Finding(Kind.DATA, Severity.CHANGE, context.where(change), told, address=change.address)


def _subscription_changes(change: Change, context: Context, name: str) -> Iterator[Finding]:
    def finding(severity: Severity, sentence: str, kind: Kind = Kind.SERVICE) -> Finding:
        return Finding(kind, severity, context.where(change), sentence, address=change.address)

    old, new = (text(side, "push_config.push_endpoint") for side in (change.old, change.new))
    if old != new:
        now = (
            f"pushed to {context.told(change, change.new, 'push_config.push_endpoint')}"
            if new
            else "waiting to be pulled"
        )
        yield finding(
            Severity.CARE,
            f"messages of {name} are {now} from now on; before: {f'pushed to {span(old)}' if old else 'pulled'}",
        )
    old, new = (
        text(side, "push_config.oidc_token.service_account_email") for side in (change.old, change.new)
    )
    if old != new and blocks(change.new, "push_config"):
        told = f"pushes of {name} authenticate as {span(new or 'nobody')} instead of {span(old or 'nobody')}"
        yield finding(Severity.CHANGE, told, Kind.ACCESS)
    if flag(change.old, "retain_acked_messages") and not flag(change.new, "retain_acked_messages"):
        yield finding(
            Severity.CARE, f"{name} no longer retains acknowledged messages: it cannot be replayed", Kind.DATA
        )
    had, has = blocks(change.old, "dead_letter_policy"), blocks(change.new, "dead_letter_policy")
    if had and not has:
        yield finding(Severity.CARE, f"undeliverable messages of {name} no longer go to a dead-letter topic")
    old, new = (text(side, "expiration_policy.ttl") for side in (change.old, change.new))
    if old != new and new and blocks(change.new, "expiration_policy"):
        told = f"subscription {name} expires after {period(seconds(new))} without activity"
        yield finding(Severity.CARE, told, Kind.DATA)
    deadlines = text(change.old, "ack_deadline_seconds"), text(change.new, "ack_deadline_seconds")
    if deadlines[0] != deadlines[1]:
        told = f"messages of {name} are redelivered after {span(deadlines[1])} seconds instead of {span(deadlines[0])}"
        yield finding(Severity.CHANGE, told)
